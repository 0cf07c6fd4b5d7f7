import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets.own.arrays import graph_from_arrays

from .conftest import read
from .samples import NUM_NODES, arrays, masks, write_npz

Y = arrays()["y"]
IDS = np.array([f"n{i}" for i in range(NUM_NODES)])
SEVERAL = np.arange(4 * NUM_NODES).reshape(NUM_NODES, 4) % 3 == 0


@pytest.mark.parametrize("y", [Y.astype(np.uint8), Y.astype(float), Y[:, None], Y.astype(np.float16)[:, None]])
def test_kinds_of_classes(tmp_path: Path, y: np.ndarray) -> None:
    assert torch.equal(read(write_npz(tmp_path, y=y)).y, torch.from_numpy(Y))


@pytest.mark.parametrize(
    "y", [np.where(Y == 1, -1, Y), np.where(Y == 1, np.nan, Y), np.array(["0", "", "2"])[Y], np.where(Y == 1, -1.0, Y)]
)
def test_unlabelled_nodes(tmp_path: Path, y: np.ndarray) -> None:
    dataset = read(write_npz(tmp_path, y=y))
    assert dataset.y.tolist() == [0, -1, 1] * 10
    assert dataset.class_names == ("0", "2")
    assert not (dataset.y[torch.cat(dataset.split)] < 0).any()


def test_classes_as_text_are_kept(tmp_path: Path) -> None:
    dataset = read(write_npz(tmp_path, y=np.array(["b", "10", "9"])[Y]))
    assert dataset.class_names == ("10", "9", "b")
    assert dataset.y[:3].tolist() == [2, 0, 1]


def test_class_names(tmp_path: Path) -> None:
    names = np.array(["u", "v", "w", "never"])
    dataset = read(write_npz(tmp_path, class_names=names))
    assert dataset.class_names == ("u", "v", "w", "never")
    assert dataset.num_classes == 4
    assert read(write_npz(tmp_path, class_names=names, y=names[Y])).y.tolist() == Y.tolist()


def test_several_labels(tmp_path: Path) -> None:
    y = SEVERAL.astype(float)
    y[5] = np.nan
    dataset = read(write_npz(tmp_path, y=y, class_names=np.array(list("abcd"))))
    assert (dataset.task, dataset.metric, dataset.class_names) == ("multilabel", "roc_auc", tuple("abcd"))
    assert torch.equal(dataset.y, torch.from_numpy(np.nan_to_num(y)).float())
    assert not (torch.cat(dataset.split) == 5).any()
    assert read(write_npz(tmp_path, y=SEVERAL)).class_names == ("0", "1", "2", "3")


def test_edges_by_rows(tmp_path: Path) -> None:
    known = arrays()["edge_index"]
    dataset = read(write_npz(tmp_path, edge_index=None, edges=known.T))
    assert torch.equal(dataset.edge_index, torch.from_numpy(known))
    assert dataset.edge_index.is_contiguous()
    assert read(write_npz(tmp_path, edge_index=np.empty((2, 0)))).edge_index.shape == (2, 0)


def test_node_ids(tmp_path: Path) -> None:
    assert read(write_npz(tmp_path, node_ids=IDS)).node_ids.to_list() == IDS.tolist()
    assert read(write_npz(tmp_path, node_ids=np.arange(NUM_NODES) - 5)).node_ids.to_list() == list(range(-5, 25))


@pytest.mark.parametrize("x", [None, np.empty((NUM_NODES, 0))])
def test_degrees_are_the_features_where_there_are_none(tmp_path: Path, x: np.ndarray | None) -> None:
    dataset = read(write_npz(tmp_path, x=x, edge_index=np.array([[0, 1], [2, 2]])))
    log = [float(np.log(np.float32(count + 1))) for count in range(3)]
    wanted = torch.tensor([[1, 0, log[1]], [1, 0, log[1]], [1, log[2], 0], [1, 0, 0]])
    assert torch.allclose(dataset.x[:4], wanted)


def test_further_arrays_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        path = write_npz(tmp_path, x=None, embedding=np.ones((NUM_NODES, 2)))
        read(path)
    assert f"{path}: 'embedding' are not used; it has no x, so node degrees are the features" in caplog.text


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_masks(tmp_path: Path, turned: bool, dtype: type) -> None:
    known = masks()
    given = {name: (mask.T if turned else mask).astype(dtype) for name, mask in known.items()}
    path = write_npz(tmp_path, **given)
    for number in (0, 4):
        for nodes, mask in zip(read(path, number).split, known.values(), strict=True):
            assert nodes.tolist() == np.flatnonzero(mask[number]).tolist()


def test_a_mask_that_all_splits_share(tmp_path: Path) -> None:
    known = masks()
    test = known["test_mask"][0]
    given = {name: mask & ~test for name, mask in known.items()} | {"test_mask": test}
    assert read(write_npz(tmp_path, **given), 3).split.test.tolist() == np.flatnonzero(test).tolist()


@pytest.mark.parametrize("by_column", [False, True])
def test_square_masks_go_by_the_format(by_column: bool) -> None:
    known = masks(NUM_NODES)
    graph = graph_from_arrays({**arrays(), **known}, by_column, "file")
    wanted = known["train_mask"].T if by_column else known["train_mask"]
    assert graph.masks.train.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None}, "it has no y, the labels [N] (it has 'edge_index', 'x'): add it"),
        ({"y": None, "Y": Y, "class": Y}, "it has no y"),
        ({"y": np.empty((0,))}, "y is empty, [0]: it must hold a label for each node"),
        ({"y": np.zeros(NUM_NODES)}, "holds only 0, but two classes are needed"),
        ({"y": Y - 2}, "y holds -2: classes must be at least 0"),
        ({"y": Y + 0.5}, "y holds numbers that are no integers, such as 0.5"),
        ({"y": Y.reshape(5, 6, 1)}, "y is [5, 6, 1] int64: it must be classes [N]"),
        ({"y": np.array(3)}, "y is [] int64"),
        ({"y": Y.astype(complex)}, "holds complex128 values"),
        ({"y": IDS.reshape(-1, 2)}, "y is [15, 2] <U3"),
        ({"y": np.where(np.arange(4) == 1, np.nan, SEVERAL)}, "the labels y: '1' is empty for all nodes: leave it out"),
        ({"y": SEVERAL * 2}, "the labels y must be 0 or 1"),
        ({"y": SEVERAL, "class_names": IDS[:3]}, "y has 4 labels a node, but class_names 3"),
        ({"class_names": IDS[:2]}, "holds 2, but class_names has the places 0 to 1"),
        ({"class_names": np.array(["a", "b", "a"])}, "class_names ('a', 'b', 'a') must be [C] texts, all different"),
        ({"class_names": np.array("abc")}, "class_names ('abc',) must be"),
        ({"edge_index": None}, "it has no edge_index [2, E] or edges [E, 2] (it has 'x', 'y')"),
        ({"edges": np.zeros((4, 2), int)}, "it has both edge_index [2, E] and edges [E, 2]: keep one"),
        ({"edge_index": np.zeros((4, 2), int)}, "edge_index must be [2, E], not [4, 2]: an [E, 2] array is called"),
        ({"edge_index": np.zeros((2, 4))}, "edge_index holds float64 values"),
        ({"edge_index": np.array([[0], [NUM_NODES]])}, "edges name nodes from 0 to 30, but the graph has 30, numbered"),
        ({"edge_index": np.array([[0], [2**64 - 1]], dtype=np.uint64)}, "edges name nodes from -1 to 0"),
        ({"x": np.ones((NUM_NODES - 1, 2))}, "x must be [N, F] with N = 30 as in y, not [29, 2]"),
        ({"x": np.ones(NUM_NODES)}, "x must be [N, F] with N = 30 as in y, not [30]"),
        ({"x": IDS[:, None]}, "x holds <U3 values: features must be numbers"),
        (
            {"x": np.full((NUM_NODES, 1), np.nan)},
            "features of 30 of 30 nodes hold NaN or infinity. Correct the graph's",
        ),
        ({"x": np.full((NUM_NODES, 1), 1e300)}, "features of 30 of 30 nodes hold NaN or infinity"),
        ({"num_nodes": np.array(31)}, "num_nodes is 31, but y has 30 nodes"),
        ({"node_ids": IDS[:-1]}, "node_ids is [29] <U3: it must be [N] integers or texts, with N = 30"),
        ({"node_ids": np.zeros(NUM_NODES)}, "node_ids is [30] float64"),
        ({"node_ids": np.zeros(NUM_NODES, int)}, "node_ids must differ for each node, but 0 is there more than once"),
        ({"node_ids": np.where(Y == 0, IDS, "")[:NUM_NODES]}, "node_ids must differ for each node, but ''"),
        ({"node_ids": np.array(["", *IDS[1:]])}, "node_ids holds an empty text"),
        ({"train_mask": Y == 0}, "it has 'train_mask' but not all of 'train_mask', 'val_mask', 'test_mask'"),
        ({**masks(), "val_mask": np.ones((5, 7), bool)}, "val_mask must be [N], [S, N] or [N, S] with N = 30"),
        ({**masks(), "val_mask": masks(4)["val_mask"]}, "the masks have 5, 4, 5 splits"),
        ({**masks(), "val_mask": np.arange(NUM_NODES)}, "val_mask holds int64 values that are not true or false"),
        ({**masks(), "val_mask": np.ones(NUM_NODES)}, "val_mask holds float64 values"),
        ({**masks(), "val_mask": np.ones((0, NUM_NODES), bool)}, "val_mask must be [N], [S, N] or [N, S]"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, refused: Callable, changes: dict, message: str) -> None:
    refused(write_npz(tmp_path, **changes), message)


HALF = "caf\ud83d"


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("class_names", ["a", HALF, "c"]),
        ("y", np.array(["a", HALF, "c"])[Y].tolist()),
        ("node_ids", [HALF, *IDS[1:].tolist()]),
    ],
)
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_half_a_character_is_refused_when_it_is_read(
    tmp_path: Path, refused: Callable, kind: str, key: str, texts: list[str]
) -> None:
    if kind == "npz":
        path = write_npz(tmp_path, **{key: np.array(texts)})
    else:
        path = str(tmp_path / "graph.pt")
        tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
        torch.save({**tensors, key: texts}, path)
    refused(path, f"{key} holds 'caf\\ud83d', which is no whole text (half a character of UTF-16): write it anew")
