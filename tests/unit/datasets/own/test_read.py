import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets import OwnSettings, load_dataset, split_fingerprint
from spx.datasets.own import read_own
from spx.errors import DatasetError

from .conftest import read
from .samples import arrays, write_folder, write_npz

MANY = np.arange(90).reshape(30, 3) % 2


def test_load_dataset_takes_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_npz(tmp_path)
    dataset = load_dataset(path, split=2, own=OwnSettings(undirected=True))
    assert (dataset.name, dataset.split_index) == ("graph", 2)
    assert split_fingerprint(dataset) == split_fingerprint(
        load_dataset(path, split=2, own=OwnSettings(undirected=True))
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_dataset("~/graph.npz").num_nodes == 30
    monkeypatch.chdir(tmp_path)
    assert load_dataset("graph.npz").num_nodes == 30


def test_a_folder_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("mine").name == "mine"


def test_undirected(tmp_path: Path) -> None:
    path = write_npz(tmp_path, x=None)
    directed, both = read(path), read(path, undirected=True)
    edges = set(map(tuple, arrays()["edge_index"].T.tolist()))
    assert set(map(tuple, both.edge_index.t().tolist())) == edges | {(target, source) for source, target in edges}
    assert torch.equal(both.x[:, 1], both.x[:, 2])
    assert not torch.equal(directed.x[:, 1], directed.x[:, 2])


def test_metrics(tmp_path: Path, refused: Callable) -> None:
    three = write_npz(tmp_path)
    assert read(three, metric="accuracy").metric == "accuracy"
    refused(three, "--data.metric roc_auc needs two classes, but there are 3: use accuracy", metric="roc_auc")
    refused(three, "--data.metric 'f1' is not known: give one of accuracy, balanced_accuracy, f1_macro,", metric="f1")
    for metric in ("balanced_accuracy", "f1_macro"):
        assert read(three, metric=metric).metric == metric
    two = write_npz(tmp_path, y=arrays()["y"] % 2)
    assert read(two, metric="average_precision").metric == "average_precision"
    assert read(two).metric == "accuracy"
    assert read(two, metric="roc_auc").metric == "roc_auc"
    several = write_npz(tmp_path, y=MANY)
    assert read(several).metric == "roc_auc"
    refused(several, "--data.metric accuracy doesn't hold for several labels", metric="accuracy")


def test_one_protocol(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with pytest.raises(DatasetError, match=f"graph {path}: protocol 'paper': own graphs have one protocol"):
        read_own(path, "paper", 0, OwnSettings())


def test_categorical_is_for_tables(tmp_path: Path, refused: Callable) -> None:
    refused(write_npz(tmp_path), "--data.categorical only holds for a folder of tables", categorical=("a",))


@pytest.mark.parametrize("name", ["missing.npz", "missing", "no/such/folder/", "nul\0l.pt", "x" * 300, "~nobody/x.pt"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}" if name[0] != "~" else name
    with pytest.raises(DatasetError, match="there is no file or folder at this path; give a folder"):
        read(path)


def test_another_kind_of_file(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "nodes.xlsx").write_text("id\n")
    refused(f"{tmp_path}/nodes.xlsx", "this is no kind of file that is read", "give a folder with nodes.csv and edges")
    (tmp_path / "nodes.csv").write_text("id\n")
    refused(str(tmp_path), "the folder holds no edges.csv")


@pytest.mark.parametrize("name", ["nodes.csv", "edges.csv"])
def test_a_table_alone_is_no_graph(tmp_path: Path, refused: Callable, name: str) -> None:
    folder = write_folder(tmp_path)
    refused(f"{folder}/{name}", f"this is the table of {name[:5]} alone: give the folder that holds both, {folder}")
    other = "edges" if name == "nodes.csv" else "nodes"
    (tmp_path / f"{other}.csv").unlink()
    holds = {"edges": "the columns source and target", "nodes": "the columns id, label and the features"}[other]
    put = f"alone: put the table of {other} beside it, {other}.csv (or .parquet) with {holds}, and give the folder"
    refused(f"{folder}/{name}", put)
    (tmp_path / name).rename(tmp_path / "mine.csv")
    call = f"table of {name[:5]} alone: call it {name}, put the table of {other} beside it, {other}.csv"
    refused(f"{folder}/mine.csv", call)


@pytest.mark.parametrize("name", ["nodes.csv.gz", "Nodes.TSV", "Nodes.txt", "my_nodes.tsv"])
def test_tables_of_other_endings_are_no_graph(tmp_path: Path, refused: Callable, name: str) -> None:
    folder = write_folder(tmp_path)
    (tmp_path / "nodes.csv").rename(tmp_path / name)
    refused(f"{folder}/{name}", f"this is the table of nodes alone: give the folder that holds both, {folder}")


def test_a_table_in_parts_is_no_graph(tmp_path: Path, refused: Callable) -> None:
    folder = write_folder(tmp_path / "graph")
    parts = tmp_path / "graph" / "nodes"
    parts.mkdir()
    (tmp_path / "graph" / "nodes.csv").rename(parts / "part-0.csv")
    assert read(folder).num_nodes
    refused(f"{folder}/nodes", f"this is the table of nodes alone: give the folder that holds both, {folder}")


def test_a_table_of_neither_kind(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "strange.csv").write_text("a,b\n1,2\n")
    refused(f"{tmp_path}/strange.csv", "this is one table, but a graph has two: nodes.csv", "edges.csv", "is given")


def test_a_pipe_is_not_waited_for(tmp_path: Path, refused: Callable) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    refused(f"{tmp_path}/pipe.npz", "there is no file or folder at this path")
    os.mkfifo(tmp_path / "nodes.csv")
    refused(str(tmp_path), "the folder holds no nodes.csv")


def test_a_path_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read(f"{tmp_path}/a\nb.npz")
    assert "\n" not in str(caught.value)


def test_whatever_a_library_raises_becomes_one_line(
    tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> None:
        raise ZeroDivisionError("a\n" * 1000)

    path = write_npz(tmp_path)
    monkeypatch.setattr("spx.datasets.own.read.read_npz", fail)
    message = refused(path, "it can't be read (ZeroDivisionError: a a a")
    assert len(message) < 500


def test_memory_errors_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> None:
        raise MemoryError

    path = write_npz(tmp_path)
    monkeypatch.setattr("spx.datasets.own.read.read_npz", fail)
    with pytest.raises(MemoryError):
        read(path)
