import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from .conftest import read
from .samples import NUM_NODES, masks, write_npz

PARTS = ("train", "val", "test")
UNEVEN = np.repeat([0, 1, -1], [20, 6, 4])


def test_a_draw_is_a_function_of_its_number(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    first, again, other = read(path, 3), read(path, 3), read(path, 4)
    assert all(map(torch.equal, first.split, again.split))
    assert not torch.equal(first.split.train, other.split.train)
    assert (first.split_index, other.split_index) == (3, 4)


@pytest.mark.parametrize("stratify", [True, False])
def test_a_draw_takes_each_labelled_node_once(tmp_path: Path, stratify: bool) -> None:
    dataset = read(write_npz(tmp_path, y=UNEVEN), stratify=stratify)
    assert torch.cat(dataset.split).sort().values.tolist() == list(range(26))


def test_each_class_by_the_shares(tmp_path: Path) -> None:
    dataset = read(write_npz(tmp_path, y=UNEVEN), shares=(0.5, 0.25, 0.25))
    counts = [torch.bincount(dataset.y[part]).tolist() for part in dataset.split]
    assert counts == [[10, 3], [5, 2], [5, 1]]


def test_all_nodes_by_the_shares(tmp_path: Path) -> None:
    path = write_npz(tmp_path, y=UNEVEN)
    draws = [read(path, number, stratify=False, shares=(0.5, 0.25, 0.25)) for number in range(8)]
    assert {tuple(len(part) for part in draw.split) for draw in draws} == {(13, 6, 7)}
    assert len({int((draw.y[draw.split.train] == 1).sum()) for draw in draws}) > 1, "classes are left to chance"


def test_several_labels_are_drawn_without_regard_to_them(tmp_path: Path) -> None:
    y = np.arange(2 * NUM_NODES).reshape(-1, 2) % 3 == 0
    assert [len(part) for part in read(write_npz(tmp_path, y=y)).split] == [18, 6, 6]


def test_a_split_in_the_file_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_npz(tmp_path, **masks())
    dataset = read(path, 1, shares=(0.2, 0.4, 0.4))
    assert dataset.split.test.tolist() == np.flatnonzero(masks()["test_mask"][1]).tolist()
    assert "--data.shares is not used" in caplog.text


def test_numbers_that_the_file_does_not_hold(tmp_path: Path, refused: Callable) -> None:
    refused(write_npz(tmp_path, **masks()), "split 5: its files hold 5 splits, 0 to 4", split=5)
    refused(write_npz(tmp_path, **masks(1)), "split 1: its files hold 1 split, number 0", split=1)


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_part_in_the_file(tmp_path: Path, refused: Callable, part: str) -> None:
    none = {**masks(), f"{part}_mask": np.zeros((5, NUM_NODES), bool)}
    refused(write_npz(tmp_path, **none), f"no node is in the {part} part of its split: put nodes in each part")


@pytest.mark.parametrize("val", [{"val_mask": None}, {"val_mask": np.zeros((5, NUM_NODES), bool)}])
@pytest.mark.parametrize(("more", "share"), [({}, "25%"), ({"shares": (0.4, 0.4, 0.2)}, "50%")])
def test_validation_is_drawn_from_the_training_nodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, val: dict, more: dict, share: str
) -> None:
    known = {name: mask.copy() for name, mask in masks().items()}
    known["train_mask"] |= known["val_mask"]
    path = write_npz(tmp_path, **{**known, **val})
    with caplog.at_level(logging.WARNING):
        dataset, again, other = read(path, 2, **more), read(path, 2, **more), read(path, 3, **more)
    assert all(map(torch.equal, dataset.split, again.split))
    assert len(dataset.split.val) == 20 * int(share[:2]) // 100
    assert torch.cat(dataset.split[:2]).sort().values.tolist() == np.flatnonzero(known["train_mask"][2]).tolist()
    assert dataset.split.test.tolist() == np.flatnonzero(known["test_mask"][2]).tolist()
    assert not torch.equal(dataset.split.val, other.split.val)
    said = f"has no validation nodes: {len(dataset.split.val)} of its 20 training nodes are drawn for it ({share}, by"
    assert said in caplog.text
    assert "seed 2)" in caplog.text
    assert "is not used" not in caplog.text


def test_validation_can_not_be_drawn_from_one_node_of_each_class(tmp_path: Path, refused: Callable) -> None:
    train, test = np.arange(NUM_NODES) < 3, np.arange(NUM_NODES) >= 3
    refused(write_npz(tmp_path, train_mask=train, test_mask=test), "no node is in the val part", "3 training nodes")


def test_unlabelled_nodes_in_a_part(tmp_path: Path, refused: Callable) -> None:
    known = masks()
    y = np.where(known["test_mask"][0], -1, np.arange(NUM_NODES) % 3)
    refused(write_npz(tmp_path, y=y, **known), "10 of the 10 nodes in the test part have no label: leave them out")


def test_a_node_in_two_parts(tmp_path: Path, refused: Callable) -> None:
    known = masks()
    known["val_mask"] |= known["test_mask"]
    refused(write_npz(tmp_path, **known), "10 nodes are in more than one of train, val and test. Correct the graph's")


@pytest.mark.parametrize(
    "shares", [(0.5, 0.5, 0.5), (0.5, 0.5, 0.0), (1.5, -0.25, -0.25), (0.5, 0.5), (float("nan"),) * 3]
)
def test_shares_that_are_none(tmp_path: Path, refused: Callable, shares: tuple) -> None:
    refused(write_npz(tmp_path), "--data.shares [", "must be three numbers above 0 with the sum 1", shares=shares)


@pytest.mark.parametrize("stratify", [True, False])
def test_too_few_labelled_nodes_for_three_parts(tmp_path: Path, refused: Callable, stratify: bool) -> None:
    y = np.full(NUM_NODES, -1)
    y[:2] = 0, 1
    refused(write_npz(tmp_path, y=y), "part would be empty: its shares", "of 2 labelled nodes", stratify=stratify)


def test_where_a_split_is_from_is_said(tmp_path: Path) -> None:
    path = write_npz(tmp_path, y=UNEVEN)
    drawn = "drawn at random in each class, shares 0.6, 0.2, 0.2 (--data.shares), seed 3 (--data.split)"
    assert read(path, 3).split_origin == drawn
    unstratified = read(path, stratify=False, shares=(0.5, 0.25, 0.25)).split_origin
    assert unstratified.startswith("drawn at random over all labelled nodes, shares 0.5, 0.25, 0.25 ")
    given = {f"{part}_mask": mask for part, mask in zip(PARTS, np.eye(3, NUM_NODES, dtype=bool), strict=True)}
    given["train_mask"][3:9] = True
    assert read(write_npz(tmp_path, **given)).split_origin == "given by the files"
    several = {name: np.stack((mask, mask)) for name, mask in given.items()}
    assert read(write_npz(tmp_path, **several), 1).split_origin == "given by the files, number 1 of 2 (from 0)"
    given["val_mask"][:] = False
    assert read(write_npz(tmp_path, **given), stratify=False).split_origin == (
        "given by the files; validation: 0.25 of their training nodes, drawn at random over all labelled nodes, seed 0"
    )
