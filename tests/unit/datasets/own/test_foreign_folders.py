"""Folders of DGL, OGB and Geom-GCN, and paths that hold none of the formats."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.dataset_names import file_stamps

from . import foreign
from .conftest import dense, read
from .foreign import RANK, X
from .samples import NUM_NODES, arrays, write_npz


@pytest.mark.parametrize("make", foreign.FOLDERS)
def test_a_changed_file_is_seen(tmp_path: Path, make: Callable) -> None:
    path = str(tmp_path / "graph")
    for file in make(tmp_path / "graph"):
        before = file_stamps(path)
        file.write_bytes(file.read_bytes() + b"\n")
        assert file_stamps(path) != before, file


@pytest.mark.parametrize("make", foreign.FOLDERS)
def test_a_missing_file_is_named(tmp_path: Path, refused: Callable, make: Callable) -> None:
    for file in make(tmp_path / "graph"):
        if file.name.startswith(("meta", "mine_split", "node-feat")):
            continue
        content = file.read_bytes()
        file.unlink()
        refused(str(tmp_path / "graph"), file.name)
        file.write_bytes(content)


def replaced(file: Path, old: str, new: str) -> None:
    packed = file.suffix == ".gz"
    text = (gzip.decompress(file.read_bytes()) if packed else file.read_bytes()).decode()
    assert old in text
    content = text.replace(old, new, 1).encode()
    file.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize(
    ("make", "name", "old", "new", "message"),
    [
        (foreign.ogb, "raw/num-node-list.csv.gz", "30", "30\n30", "has 2 graphs, but one is trained on"),
        (
            foreign.ogb,
            "raw/num-node-list.csv.gz",
            "30",
            "31",
            "raw/node-label.csv.gz has 30 rows, but the graph 31 nodes",
        ),
        (foreign.ogb, "raw/node-label.csv.gz", "0", "a", "raw/node-label.csv.gz is no CSV.gz of numbers"),
        (foreign.ogb, "raw/node-label.csv.gz", "2", "2.5", "numbers that are no integers, such as 2.5"),
        (foreign.ogb, "raw/edge.csv.gz", "0,1", "0,30", "the edges name nodes from 0 to 30"),
        (foreign.ogb, "split/time/test.csv.gz", "\n", "\n30\n", "split/time/test.csv.gz names nodes up to 30"),
        (foreign.dgl, "meta.yaml", "edge_data:", "edges:", "meta.yaml is none of DGL's"),
        (
            foreign.dgl,
            "meta.yaml",
            "- file_name: nodes.csv",
            "- file_name: ../nodes.csv",
            "'../nodes.csv', which is no file",
        ),
        (foreign.dgl, "meta.yaml", "node_data:", "node_data:\n- file_name: a.csv", "node_data names 2 files"),
        (foreign.dgl, "meta.yaml", "dataset_name", "separator: xx\ndataset_name", "the separator 'xx'"),
        (foreign.dgl, "nodes.csv", "node_id", "node", "nodes.csv has no column 'node_id' (it has 'node'"),
        (foreign.dgl, "nodes.csv", "n1,", "n0,", "must differ for each node, but 'n0' is there more than once"),
        (foreign.dgl, "edges.csv", "n0,n1", "n0,far", "names ids that no node has, 1 times of 60, such as 'far'"),
        (foreign.geom_gcn, "out1_graph_edges.txt", "0\t1", "0\tone", "holds 'one' where an integer"),
        (
            foreign.geom_gcn,
            "out1_graph_edges.txt",
            "0\t1",
            "0\t1\t2",
            "out1_graph_edges.txt must have 2 cells in each line",
        ),
        (
            foreign.geom_gcn,
            "out1_node_feature_label.txt",
            "29\t",
            "30\t",
            "must number its nodes from 0 to 29, each once",
        ),
        (foreign.geom_gcn, "out1_node_feature_label.txt", ",", ",a,", "holds features that are no numbers"),
        (foreign.geom_gcn, "out1_node_feature_label.txt", ",", ",0.5,", "has features of 2 to 3 numbers"),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path, refused: Callable, make: Callable, name: str, old: str, new: str, message: str
) -> None:
    make(tmp_path / "graph")
    replaced(tmp_path / "graph" / name, old, new)
    refused(str(tmp_path / "graph"), message)


def test_ogbs_splits_are_numbered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign.ogb(tmp_path / "graph")
    shutil.copytree(tmp_path / "graph/split/time", tmp_path / "graph/split/random")
    for part, other in (("train", "test"), ("test", "train")):
        shutil.copy(tmp_path / f"graph/split/time/{other}.csv.gz", tmp_path / f"graph/split/random/{part}.csv.gz")
    assert read(str(tmp_path / "graph"), 1).split.train.tolist() == np.flatnonzero(RANK == 0).tolist()
    assert read(str(tmp_path / "graph"), 0).split.train.tolist() == np.flatnonzero(RANK == 2).tolist()
    assert "--data.split numbers its splits 'random', 'time'" in caplog.text


def test_several_labels_of_ogb(tmp_path: Path) -> None:
    foreign.ogb(tmp_path / "graph")
    rows = "".join(f"{i % 2}.0,{'' if i == 3 else i // 2 % 2}\n" for i in range(NUM_NODES))
    (tmp_path / "graph/raw/node-label.csv.gz").write_bytes(gzip.compress(rows.encode()))
    dataset = read(str(tmp_path / "graph"))
    assert dataset.task == "multilabel"
    assert dataset.y[2:4].tolist() == [[0, 1], [1, -1]]


def test_geom_gcns_splits_are_numbered_by_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign.geom_gcn(tmp_path / "graph")
    for place, number in enumerate((0, 9, 10)):
        expected = np.flatnonzero(np.roll(RANK, number) == 0).tolist()
        assert read(str(tmp_path / "graph"), place).split.train.tolist() == expected
    assert "--data.split numbers 'mine_split_0.6_0.2_0.npz'" in caplog.text


@pytest.mark.parametrize("all_cells", [False, True])
def test_geom_gcns_lists_of_words(tmp_path: Path, all_cells: bool) -> None:
    foreign.geom_gcn(tmp_path / "graph")
    x = (np.random.default_rng(0).random((NUM_NODES, 12)) < 0.3).astype(int)
    x[:, 11] |= x.sum(1) == 0
    x[0, 11] = 1
    cells = [",".join(map(str, row if all_cells else np.flatnonzero(row))) for row in x]
    rows = [f"{i}\t{cells[i]}\t{i % 3}\n" for i in range(NUM_NODES)]
    (tmp_path / "graph/out1_node_feature_label.txt").write_text("node_id\tfeature\tlabel\n" + "".join(rows))
    assert torch.equal(dense(read(str(tmp_path / "graph")).x), torch.from_numpy(x).float())


def test_dgls_separator_and_graphs(tmp_path: Path, refused: Callable) -> None:
    foreign.dgl(tmp_path / "graph")
    path = str(tmp_path / "graph")
    known = read(path)
    for name in ("nodes.csv", "edges.csv"):
        lines = (tmp_path / "graph" / name).read_text().split("\n")
        swapped = [";".join(part.replace(",", ";") for part in line.split(", ")) for line in lines]
        (tmp_path / "graph" / name).write_text("\n".join(swapped).replace('"', ""))
    replaced(tmp_path / "graph/nodes.csv", "feat", "f0;f1")
    replaced(tmp_path / "graph/meta.yaml", "dataset_name", "separator: ';'\ndataset_name")
    assert read(path).edge_index.equal(known.edge_index)
    assert read(path, scaling="none").x.equal(torch.from_numpy(X).float())
    text = (tmp_path / "graph/nodes.csv").read_text().strip().split("\n")
    numbered = [f"{line};{'graph_id' if not place else place % 2}" for place, line in enumerate(text)]
    (tmp_path / "graph/nodes.csv").write_text("\n".join(numbered))
    refused(path, "holds 2 graphs (graph_id), but one is trained on")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("g.pkl", ("can run code, so it is not opened", "pickle.load(open(PATH, 'rb'))", "torch.save(")),
        ("g.p", ("pickle.load(open(PATH, 'rb'))", "networkx.write_graphml(data")),
        ("g.joblib", ("joblib.load(PATH)", "torch.save(")),
        ("g.mat", ("scipy.io.loadmat(PATH)", "numpy.savez(")),
        ("g.bin", ("dgl.load_graphs(PATH)",)),
        ("g.json", ("networkx.node_link_graph",)),
        ("g.xlsx", ("export its sheets as CSV",)),
        ("g.graphml.gz", ("unpack it first",)),
        ("g.npy", ("it holds one array", "numpy.savez(")),
        ("g.xyz", ("this is no kind of file that is read; give a folder with nodes.csv",)),
        ("g", ("this is no kind of file that is read; give a folder with nodes.csv",)),
    ],
)
def test_other_files_are_told_how_to_convert(tmp_path: Path, refused: Callable, name: str, parts: tuple) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    refused(f"{tmp_path}/{name}", *parts)


def test_a_folder_of_files_that_are_read_by_their_own_paths(tmp_path: Path, refused: Callable) -> None:
    write_npz(tmp_path)
    torch.save(arrays(), tmp_path / "a.pt")
    refused(str(tmp_path), "no table of nodes, but 'a.pt', 'graph.npz': give the path of the graph's file itself")


def test_a_folder_of_nothing_that_is_read(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "notes.md").write_text("")
    refused(str(tmp_path), "the folder holds no nodes.csv", "'notes.md'")
