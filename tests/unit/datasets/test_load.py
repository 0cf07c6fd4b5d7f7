import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets import DATASETS, data_fingerprint, load_dataset
from spx.errors import DatasetError
from spx.graph.features import SparseFeatures

from .raw_files import write_heterophilous


@pytest.mark.parametrize(("name", "close"), [("minesweper", "minesweeper"), ("arxiv", "ogbn-arxiv"), ("Cora", "cora")])
def test_unknown_dataset_lists_close_matches_and_all_names(tmp_path: Path, name: str, close: str) -> None:
    with pytest.raises(DatasetError, match=f"unknown dataset '{name}'; did you mean .*{close}") as caught:
        load_dataset(name, tmp_path)
    assert all(known in str(caught.value) for known in DATASETS)


def test_unknown_dataset_without_a_close_match(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"unknown dataset 'zzz'\. Known: actor, "):
        load_dataset("zzz", tmp_path)


def test_unknown_protocol(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"unknown split protocol 'papers'; did you mean paper.*public, paper"):
        load_dataset("minesweeper-sim", tmp_path, protocol="papers")


@pytest.mark.parametrize(
    ("name", "protocol", "split", "message"),
    [
        ("actor", "public", 10, "split 10 of dataset 'actor': the protocol 'public' has 10 splits, 0 to 9"),
        ("wikics", "paper", 20, "20 splits, 0 to 19"),
        ("cora", "public", 1, "1 split, number 0"),
        ("ogbn-arxiv", "public", 1, "1 split, number 0"),
        ("minesweeper-sim", "public", 10, "10 splits, 0 to 9"),
        ("photo", "public", -1, "must be an integer >= 0"),
        ("photo", "public", True, "split True of dataset 'photo' must be an integer"),
        ("photo", "public", "0", "split '0' of dataset 'photo' must be an integer"),
    ],
)
def test_split_out_of_range_is_told_before_any_download(
    tmp_path: Path, name: str, protocol: str, split: int, message: str, no_network: list[str]
) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(name, tmp_path, protocol=protocol, split=split)
    assert no_network == []


def test_data_dir_is_a_file_or_below_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for data_dir in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DatasetError, match=f"data_dir {data_dir}: {tmp_path / 'file'} is not a folder"):
            load_dataset("minesweeper", data_dir)


def test_data_dir_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_heterophilous(tmp_path / "data")
    assert load_dataset("minesweeper", "~/data").num_nodes == 30


def test_what_was_asked_for_is_recorded(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    dataset = load_dataset("minesweeper", str(tmp_path), protocol="paper", split=2)
    assert (dataset.name, dataset.protocol, dataset.split_index) == ("minesweeper", "paper", 2)
    assert (dataset.task, dataset.metric) == ("multiclass", "roc_auc")


def test_every_dataset_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_dataset: object) -> None:
        raise DatasetError("checked")

    monkeypatch.setattr("spx.datasets.load.check_dataset", refuse)
    with pytest.raises(DatasetError, match="checked"):
        load_dataset("minesweeper-sim", tmp_path)


@pytest.mark.full
def test_import_stays_light() -> None:
    heavy = ("lightning", "torch_geometric", "polars", "scipy", "pooch", "requests", "safetensors")
    code = f"import sys, spx.datasets; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def bag_of_words(num_nodes: int = 30, num_columns: int = 40) -> np.ndarray:
    """One word in forty a node, of which every second counts minus."""
    x = np.zeros((num_nodes, num_columns), np.float32)
    x[np.arange(num_nodes), np.arange(num_nodes) % num_columns] = 1
    return x * np.where(np.arange(num_nodes) % 2, 1, -1)[:, None].astype(np.float32)


def write_graph(folder: Path, x: np.ndarray) -> str:
    nodes = np.arange(len(x))
    np.savez(folder / "graph.npz", x=x, y=nodes % 3, edge_index=np.stack((nodes, np.roll(nodes, 1))))
    return str(folder / "graph.npz")


@pytest.mark.parametrize(
    ("form", "share", "sparse"),
    [("auto", 0.025, True), ("auto", 1, False), ("sparse", 1, True), ("dense", 0.025, False), ("sparse", 0.025, True)],
)
def test_the_form_of_features_follows_what_is_zero_or_the_setting(
    tmp_path: Path, form: str, share: float, sparse: bool
) -> None:
    """Either form has the same fingerprint, a minus zero counts as zero."""
    x = bag_of_words() if share < 1 else np.random.default_rng(0).random((30, 5), np.float32)
    path = write_graph(tmp_path, x)
    dataset = load_dataset(path, features=form)
    assert isinstance(dataset.x, SparseFeatures) is sparse
    assert (dataset.x.to_dense() if sparse else dataset.x).equal(torch.from_numpy(x))
    assert {data_fingerprint(load_dataset(path, features=each)) for each in ("auto", "sparse", "dense")} == {
        data_fingerprint(dataset)
    }


@pytest.mark.parametrize(("form", "sparse"), [("auto", False), ("sparse", True), ("dense", False)])
def test_mapped_features_stay_on_disk_unless_they_are_to_be_sparse(tmp_path: Path, form: str, sparse: bool) -> None:
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n")
    (tmp_path / "nodes.csv").write_text("id,label\n" + "".join(f"{node},{node % 3}\n" for node in range(30)))
    np.save(tmp_path / "features.npy", bag_of_words())
    dataset = load_dataset(str(tmp_path), features=form)
    assert isinstance(dataset.x, SparseFeatures) is sparse
    assert data_fingerprint(dataset) == data_fingerprint(load_dataset(str(tmp_path)))


def test_an_unknown_form_of_features(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"--data.features 'csr' is not known: give auto, sparse, dense"):
        load_dataset("minesweeper-sim", tmp_path, features="csr")
