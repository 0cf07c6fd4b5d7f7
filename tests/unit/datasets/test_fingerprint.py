import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets import (
    NodeDataset,
    changed_columns,
    changed_parts,
    data_fingerprint,
    fingerprint,
    split_fingerprint,
    what_changed,
)
from spx.datasets.fingerprint import SAMPLED_ROWS
from spx.graph.features import SparseFeatures

from .test_checks import dataset, multilabel, split

PINNED = "b89f0572e190075ff08bb76b9815675bb9d987cc6bff4121a891ffcca75ab443"


PINNED_PARTS = (
    "spx-data-2 nodes=6 edges=9b483a6b0327de69a5804e5fa8087958 labels=8a481323825e483e66ba2e61c70e40de "
    "split=0f1c18948de7230a62590a5e117a1ad0 features=9da47b19398cd05afb1e771d50c4975e"
)


def test_fingerprint_is_the_same_on_every_platform_and_in_every_release() -> None:
    assert split_fingerprint(dataset()) == PINNED


def test_features_and_names_do_not_count() -> None:
    assert split_fingerprint(dataset(x=torch.ones(6, 3), name="other", split_index=3)) == PINNED


@pytest.mark.parametrize(
    "other",
    [
        dataset(x=torch.zeros(7, 2)),
        dataset(edge_index=torch.tensor([[0, 5, 5], [1, 0, 1]])),
        dataset(edge_index=torch.tensor([[1, 0, 0], [0, 5, 5]])),
        dataset(y=torch.tensor([0, 1, 2, 0, -1, 2])),
        dataset(split=split([0, 1], [3], [2, 5])),
        dataset(split=split([0, 1, 2], [3], [5])),
        dataset(split=split([0], [1, 2], [3, 5])),
        multilabel(),
    ],
)
def test_everything_else_counts(other: NodeDataset) -> None:
    assert split_fingerprint(other) != PINNED


def test_memory_layout_does_not_count() -> None:
    strided = dataset().edge_index.t().contiguous().t()
    assert not strided.is_contiguous()
    assert split_fingerprint(dataset(edge_index=strided)) == PINNED


def changes(then: NodeDataset, now: NodeDataset) -> tuple[str, ...]:
    return changed_parts(data_fingerprint(then), data_fingerprint(now), now)


def test_the_fingerprint_of_parts_is_the_same_on_every_platform_and_in_every_release() -> None:
    assert data_fingerprint(dataset()) == PINNED_PARTS


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({}, ()),
        ({"name": "other", "split_index": 3}, ()),
        ({"x": torch.zeros(7, 2)}, ("nodes",)),
        ({"x": torch.ones(6, 2)}, ("features",)),
        ({"x": torch.zeros(6, 2, dtype=torch.float16)}, ("features",)),
        ({"edge_index": torch.tensor([[0, 5, 5], [1, 0, 1]])}, ("edges",)),
        ({"y": torch.tensor([0, 1, 2, 0, -1, 2])}, ("labels",)),
        ({"split": split([0, 1], [3], [2, 5])}, ("split",)),
        ({"split": split([0], [1, 2], [3, 5])}, ("split",)),
        ({"y": torch.tensor([0, 1, 2, 0, -1, 2]), "x": torch.ones(6, 2)}, ("labels", "features")),
        ({"class_names": ("a", "b", "d")}, ("classes",)),
        ({"class_names": None}, ()),
        ({"feature_names": ("b", "a"), "x": torch.ones(6, 2)}, ("columns",)),
        ({"feature_names": None}, ()),
    ],
)
def test_what_changed_is_told(change: dict, parts: tuple[str, ...]) -> None:
    then = dataset(class_names=("a", "b", "c"), feature_names=("a", "b"))
    assert changes(then, then._replace(**change)) == parts


def test_words() -> None:
    assert what_changed(["labels"]) == "its labels changed"
    assert (
        what_changed(["edges", "labels", "split", "features"])
        == "its edges, labels, split and features' values changed"
    )
    assert what_changed(["labels", "written"]).startswith("its labels changed; its features' file was written since")
    assert what_changed([]) == ""


def test_features_that_stay_on_disk_are_sampled(tmp_path: Path) -> None:
    file = tmp_path / "features.npy"
    x = np.arange(4 * SAMPLED_ROWS, dtype=np.float32)[:, None].repeat(3, 1)

    def read(values: np.ndarray, seconds: int) -> NodeDataset:
        np.save(tmp_path / "new.npy", values)
        os.replace(tmp_path / "new.npy", file)  # what is mapped stays as it is
        os.utime(file, (seconds, seconds))
        mapped = torch.from_numpy(np.load(file, mmap_mode="c"))
        return dataset(x=mapped, y=torch.zeros(len(values), dtype=torch.int64), features_file=str(file))

    then = read(x, 5)
    fingerprint = data_fingerprint(then)
    assert re.search(r" written=5000000000$", fingerprint)
    for values, seconds, parts in (
        (x, 5, ()),
        (x, 6, ("written",)),
        (x + (np.arange(len(x)) == 1)[:, None], 7, ("written",)),  # a row between the samples: its time alone tells
        (x + (np.arange(len(x)) == len(x) - 1)[:, None], 5, ("features",)),
        (x.astype(np.float16), 5, ("features",)),
        (x[:, :2].copy(), 5, ("features",)),
    ):
        now = read(values, seconds)
        assert changed_parts(fingerprint, data_fingerprint(now), now) == parts
    file.unlink()
    assert data_fingerprint(then).endswith(" written=gone")


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ("ab", "ab", None),
        (None, "ab", None),
        ("ab", None, None),
        ("ab", "ba", "another order: 'b' where 'a' was"),
        ("ab", "ac", "missing 'b'; new 'c'"),
        ("ab", "abc", "new 'c'"),
        ("abcdefgh", "a", "missing 'b', 'c', 'd', 'e', 'f', ... (7 in all)"),
        (["a" * 90], [], f"missing '{'a' * 57}...'"),
    ],
)
def test_columns_in_words(then: str | None, now: str | None, words: str | None) -> None:
    assert changed_columns(then, now) == words


def forms(x: torch.Tensor) -> tuple[NodeDataset, NodeDataset]:
    return dataset(x=x), dataset(x=SparseFeatures.from_dense(x))


@pytest.mark.parametrize("chunk", [1, 5, 1 << 24])
def test_the_form_of_the_features_does_not_count(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    x = torch.tensor([[0.0, 3.0, 0.0, -1.0]] * 5 + [[0.0, -0.0, 0.0, 0.0]])
    wanted = data_fingerprint(dataset(x=x.abs().copysign(x) + 0.0))
    monkeypatch.setattr(fingerprint, "DENSE_ELEMENTS", chunk)
    dense, sparse = forms(x)
    assert data_fingerprint(dense) == data_fingerprint(sparse) == wanted
    other = dataset(x=SparseFeatures.from_dense(x + torch.eye(6, 4)))
    assert changes(dense, other) == changes(sparse, other) == ("features",)


def test_older_records_of_minus_zeros_hold_for_dense_features() -> None:
    x = torch.tensor([[0.0, -0.0], [1.0, 2.0]] * 3)
    now = dataset(x=x)
    new = fingerprint.tensor_digest(x + 0.0)
    assert f"features={new}" in data_fingerprint(now)
    older = data_fingerprint(now).replace(new, fingerprint.tensor_digest(x))
    assert older != data_fingerprint(now)
    assert changed_parts(older, data_fingerprint(now), now) == ()
    changed = dataset(x=x + 1)
    assert changed_parts(older, data_fingerprint(changed), changed) == ("features",)


def test_sparse_features_of_a_large_dense_size_are_told_by_their_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where going through their zeros takes minutes."""
    monkeypatch.setattr(fingerprint, "DENSE_BYTES", 40)
    monkeypatch.setattr(SparseFeatures, "to_dense", None)
    x = torch.eye(6, 2)
    then, now, other = forms(x)[1], forms(x)[1], forms(x.roll(1, 0))[1]
    assert changes(then, now) == ()
    assert changes(then, other) == ("features",)
    assert changes(then, forms(torch.eye(6, 3))[1]) == ("features",)


def test_edge_weights_are_a_part_of_their_own() -> None:
    plain = dataset()
    weighted = plain._replace(edge_weight=torch.arange(1.0, plain.edge_index.size(1) + 1))
    other = plain._replace(edge_weight=weighted.edge_weight.flip(0))
    for then, now in ((weighted, other), (plain, weighted), (weighted, plain)):
        assert changes(then, now) == ("weights",)
    assert changes(weighted, weighted) == ()
    assert changed_parts(split_fingerprint(plain), data_fingerprint(weighted), weighted) == ("weights",), (
        "older records"
    )
    assert what_changed(["weights"]) == "its edge weights changed"
