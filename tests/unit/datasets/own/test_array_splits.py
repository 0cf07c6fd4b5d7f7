from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .conftest import read
from .samples import NUM_NODES, masks, write_npz

LISTS = [np.flatnonzero(mask[2]) for mask in masks().values()]
NAMES = ("train_idx", "val_idx", "test_idx")


def parts(path: str, split: int = 0) -> list[list[int]]:
    return [nodes.tolist() for nodes in read(path, split).split]


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ("train_idx", "valid_idx", "test_idx"),
        ("idx_train", "idx_val", "idx_test"),
        ("train_index", "valid_index", "test_index"),
        ("train_indices", "val_indices", "test_indices"),
    ],
)
@pytest.mark.parametrize("form", [lambda nodes: nodes, lambda nodes: nodes[::-1, None].astype(np.int32)])
def test_lists_of_nodes(tmp_path: Path, names: tuple[str, ...], form: Callable) -> None:
    path = write_npz(tmp_path, **{name: form(nodes) for name, nodes in zip(names, LISTS, strict=True)})
    assert parts(path) == [nodes.tolist() for nodes in LISTS]


def test_a_list_of_each_split_a_row(tmp_path: Path) -> None:
    rows = {
        name: np.stack([np.flatnonzero(split) for split in mask])
        for name, mask in zip(NAMES, masks().values(), strict=True)
    }
    path = write_npz(tmp_path, **rows)
    assert parts(path, 2) == [nodes.tolist() for nodes in LISTS]
    assert parts(path, 1) != parts(path, 2)


def test_flags_under_the_name_of_a_list(tmp_path: Path) -> None:
    flags = {name: mask[2] for name, mask in zip(NAMES, masks().values(), strict=True)}
    assert parts(write_npz(tmp_path, **flags)) == [nodes.tolist() for nodes in LISTS]


def test_without_validation_some_of_the_training_nodes_are_drawn(tmp_path: Path) -> None:
    train, val, test = parts(write_npz(tmp_path, train_idx=LISTS[0], test_idx=LISTS[2]))
    assert sorted(train + val) == LISTS[0].tolist()
    assert val
    assert test == LISTS[2].tolist()


@pytest.mark.parametrize("numbers", [False, True])
def test_a_word_for_each_node(tmp_path: Path, numbers: bool) -> None:
    words = np.full(NUM_NODES, "validation" if not numbers else "1")
    words[LISTS[0]], words[LISTS[2]] = ("0", "2") if numbers else ("Train", "test")
    path = write_npz(tmp_path, split=words.astype(int) if numbers else words)
    assert parts(path) == [nodes.tolist() for nodes in LISTS]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train_idx": LISTS[0]}, "it has 'train_idx' but not all of 'train_idx', 'val_idx', 'test_idx'"),
        ({**dict(zip(NAMES, LISTS, strict=True)), **masks()}, "it has train_mask and train_idx, and they differ"),
        ({"train_idx": LISTS[0], "test_idx": [NUM_NODES]}, f"test_idx names node {NUM_NODES}, but the graph has 30"),
        ({"train_idx": LISTS[0], "test_idx": [-1]}, "test_idx names node -1"),
        ({"train_idx": LISTS[0], "test_idx": [0.5]}, "test_idx is [1] float64: it must be [n] numbers of nodes"),
        ({"train_idx": LISTS[0], "test_idx": LISTS[0]}, "split"),
        ({"split": np.full(NUM_NODES, "left")}, "'left': write train, val or test"),
    ],
)
def test_what_is_no_split(tmp_path: Path, refused: Callable, given: dict, message: str) -> None:
    refused(write_npz(tmp_path, **{name: np.asarray(value) for name, value in given.items()}), message)


def test_a_split_that_is_given_twice_may_be_the_same(tmp_path: Path) -> None:
    once = {name: mask[2] for name, mask in masks().items()}
    assert parts(write_npz(tmp_path, **once, train_idx=LISTS[0])) == [nodes.tolist() for nodes in LISTS]


@pytest.mark.parametrize("other", [np.array(["train", "test"]), np.array(3)])
def test_a_split_of_another_kind_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, other: np.ndarray) -> None:
    assert parts(write_npz(tmp_path, split=other))[2]
    assert "split is not used: it is" in caplog.text
    write = {name: mask[2] for name, mask in masks().items()}
    assert parts(write_npz(tmp_path, split=other, **write)) == [nodes.tolist() for nodes in LISTS]
    assert "split is not used, as there is 'train_mask'" in caplog.text
