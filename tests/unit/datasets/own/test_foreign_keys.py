"""Arrays under the names and in the forms of other programs."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.graph.features import SparseFeatures

from .conftest import dense, read
from .foreign import EDGES, IDS, RANK, X, Y, adjacency, csr_parts
from .samples import NUM_NODES


class Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def save(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "graph.npz", **arrays)
    return str(folder / "graph.npz")


def edges_in(path: str, **settings: object) -> list[list[int]]:
    return sorted(read(path, **settings).edge_index.t().tolist())


@pytest.mark.parametrize("key", ["node_names", "class_names"])
def test_names_that_are_objects_are_left_out_and_never_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    marker = tmp_path / "marker"
    names = np.array([Bomb(marker)] * NUM_NODES, dtype=object)
    path = save(tmp_path, labels=Y, edges=EDGES, **csr_parts("attr", X), **{key: names})
    dataset = read(path)
    assert f"'{key}' are Python objects, which are not read" in caplog.text
    assert (dataset.node_ids, dataset.class_names) == (None, ("0", "1", "2"))
    assert not marker.exists()
    np.load(path, allow_pickle=True)[key]
    assert marker.exists(), "the bomb works"


def test_names_as_bytes_and_names_that_come_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(save(tmp_path, y=Y, edges=EDGES, node_names=np.array(IDS, dtype="S"))).node_ids.to_list() == IDS
    assert read(save(tmp_path, y=Y, edges=EDGES, node_names=np.array(IDS[:-1] + IDS[:1]))).node_ids is None
    assert "node_names is there more than once for some" in caplog.text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"features": X, "attr_matrix": X}, "'features', 'attr_matrix', and each could be x: call the right one x"),
        ({"labels": Y, "node_labels": Y}, "each could be y"),
        ({"attr": X, **csr_parts("attr", X)}, "it has attr as an array, and as the parts of a sparse matrix"),
        ({"adj_matrix": adjacency()[:-1]}, "the adjacency matrix must be [N, N], a row and a column for each node"),
        ({"adj_matrix": np.full((30, 30), "a")}, "the adjacency matrix holds <U1 values"),
    ],
)
def test_what_could_be_meant_twice_is_refused(tmp_path: Path, refused: Callable, names: dict, message: str) -> None:
    y = {} if any("label" in name for name in names) else {"y": Y}
    edges = {} if any("adj" in name for name in names) else {"edges": EDGES}
    refused(save(tmp_path, **y, **edges, **names), message)


def test_the_houses_name_is_taken_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = read(save(tmp_path, x=X, features=np.ones((NUM_NODES, 7)), y=Y, edges=EDGES))
    assert torch.equal(dataset.x, torch.from_numpy(X).float())
    assert "'features' are not used" in caplog.text


@pytest.mark.parametrize("other", [{"adj_matrix": adjacency()}, {"label": np.array([Y], dtype=object)}])
def test_what_is_given_already_is_not_read_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, other: dict[str, np.ndarray]
) -> None:
    assert read(save(tmp_path, y=Y, edges=EDGES, **other)).y.tolist() == Y.tolist()
    assert f"'{next(iter(other))}' are not used" in caplog.text


def test_what_is_taken_for_what_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(save(tmp_path, feat=X, label=Y, edges=EDGES))
    assert "taken: feat as x, label as y" in caplog.text


@pytest.mark.parametrize(("mark", "adj", "attr"), [("_", "adj", "attr"), (".", "adj_matrix", "node_attr")])
def test_sparse_parts(tmp_path: Path, mark: str, adj: str, attr: str) -> None:
    parts = {**csr_parts(adj, adjacency(), mark), **csr_parts(attr, X, mark)}
    dataset = read(save(tmp_path, node_label=Y, **parts))
    assert sorted(dataset.edge_index.t().tolist()) == sorted(EDGES.tolist())
    assert torch.equal(dense(dataset.x), torch.from_numpy(X).float())


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("data", None, "attr lacks 'data' of its parts data, indices, indptr, shape"),
        ("shape", np.array([30]), "attr is no CSR matrix of numbers"),
        ("shape", np.array([30, 1]), "attr is no CSR matrix: its parts don't fit one another"),
        ("shape", np.array([2**62, 2**62]), "attr is no CSR matrix"),
        ("indices", np.array([0.5]), "attr is no CSR matrix of numbers"),
        ("indices", np.full(int((X != 0).sum()), -1), "attr is no CSR matrix"),
        ("indptr", np.arange(31) * 1000, "attr is no CSR matrix"),
        ("indptr", np.append(np.arange(30) * 2, 0), "attr is no CSR matrix: its parts don't fit"),
        ("indptr", np.append(np.arange(30, dtype=np.uint64) * 2, np.uint64(2**64 - 1)), "attr is no CSR matrix"),
        ("data", np.ones(3, dtype=np.float16), "attr is no CSR matrix"),
        ("data", np.array(["a"]), "attr is no CSR matrix of numbers"),
    ],
)
def test_parts_that_make_no_matrix(
    tmp_path: Path, refused: Callable, part: str, value: np.ndarray | None, message: str
) -> None:
    parts = {**csr_parts("attr", X), f"attr_{part}": value}
    path = save(tmp_path, y=Y, edges=EDGES, **{key: array for key, array in parts.items() if array is not None})
    refused(path, message)


def test_an_entry_of_zero_is_no_edge_and_weights_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = csr_parts("adj", adjacency())
    read(save(tmp_path, y=Y, **parts))
    assert "weights" not in caplog.text
    parts["adj_data"] = parts["adj_data"].copy()
    parts["adj_data"][:2] = 0, 5
    gone = [0, int(parts["adj_indices"][0])]
    assert edges_in(save(tmp_path, y=Y, **parts)) == sorted(edge for edge in EDGES.tolist() if edge != gone)
    assert "the values of the adjacency matrix (weights) are not used" in caplog.text


def test_a_dense_adjacency_matrix(tmp_path: Path) -> None:
    assert edges_in(save(tmp_path, y=Y, adj_matrix=adjacency())) == sorted(EDGES.tolist())


def test_sparse_labels_are_several(tmp_path: Path) -> None:
    several = np.stack([Y == 0, Y >= 0], axis=1).astype(float)
    dataset = read(save(tmp_path, edges=EDGES, **csr_parts("labels", several)))
    assert (dataset.task, dataset.y.tolist()) == ("multilabel", several.tolist())


def test_edges_that_are_listed_once_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {"node_features": X, "node_labels": Y}
    assert edges_in(save(tmp_path, **names, edges=EDGES)) == sorted(EDGES.tolist())
    assert "no edge has its reverse" in caplog.text
    assert "--data.undirected true" in caplog.text
    caplog.clear()
    both = edges_in(save(tmp_path, **names, edges=EDGES), undirected=True)
    assert len(both) == 2 * len(EDGES)
    assert "no edge has its reverse" not in caplog.text, "it was said already"
    read(save(tmp_path, **names, edges=np.concatenate([EDGES, EDGES[:1, ::-1]])))
    assert "no edge has its reverse" not in caplog.text


def test_sparse_features_stay_sparse(tmp_path: Path) -> None:
    wide = np.zeros((NUM_NODES, 100))
    wide[:, 0] = 1
    x = read(save(tmp_path, y=Y, edges=EDGES, **csr_parts("attr", wide))).x
    assert isinstance(x, SparseFeatures)
    assert np.array_equal(x.to_dense().numpy(), wide)


def test_sparse_labels_have_a_bound(tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    several = np.stack([Y == 0, Y > 0], axis=1).astype(float)
    path = save(tmp_path, edges=EDGES, **csr_parts("labels", several))
    monkeypatch.setattr("spx.datasets.own.sparse.memory_bytes", lambda: 2 * 8 * 2 * NUM_NODES - 1)
    refused(path, "y is a sparse matrix of 30 x 2", "keep fewer columns")


def test_names_of_parts_in_dictionaries_of_splits(tmp_path: Path) -> None:
    tensors = {"y": torch.from_numpy(Y), "edge_index": torch.from_numpy(EDGES.T.copy())}
    parts = {
        name: torch.from_numpy(np.flatnonzero(number == RANK)) for number, name in enumerate(("train", "val", "test"))
    }
    for name in ("split_idx", "split", "splits"):
        torch.save({**tensors, name: parts}, tmp_path / "graph.pt")
        assert [nodes.tolist() for nodes in read(str(tmp_path / "graph.pt")).split] == [
            nodes.tolist() for nodes in parts.values()
        ]
