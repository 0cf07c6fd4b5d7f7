import pytest
import torch

from spx.datasets import NodeDataset, split_fingerprint

from .test_checks import dataset, multilabel, split

PINNED = "b89f0572e190075ff08bb76b9815675bb9d987cc6bff4121a891ffcca75ab443"


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
