"""What is copied to a device, and how often. torch's device "meta" takes copies without any memory."""

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spx.data import AugmentedGraphData, NodeBatch, ResampledGraphData
from spx.datasets import NodeDataset
from spx.graph.features import SparseFeatures

from .conftest import at_epoch

Make = Callable[..., ResampledGraphData]
META, CPU = torch.device("meta"), torch.device("cpu")


def draws_of(data: ResampledGraphData, part: str) -> list[NodeBatch]:
    (draws,) = getattr(data, f"{part}_dataloader")()
    return data.transfer_batch_to_device(draws, META)


def test_features_are_copied_once_for_all_draws_and_epochs(make: Make) -> None:
    data = make(0, eval_samples=3)
    first, *others = draws_of(data, "val")
    (train,) = data.train_dataloader()
    later = [*others, *draws_of(data, "test"), data.transfer_batch_to_device(train, META)]
    assert first.x.device == META
    assert len(later) == 6
    assert all(batch.x is first.x for batch in later)


def test_the_tables_of_an_evaluation_draw_are_copied_once(make: Make) -> None:
    data = make(0, eval_samples=2)
    before, after = draws_of(data, "val"), draws_of(at_epoch(data, 1), "val")
    for one, other in zip(before, after, strict=True):
        layers = zip(one.neighborhoods, other.neighborhoods, strict=True)
        assert all(table.neighbors is again.neighbors for table, again in layers)
    first, second = before
    assert first.neighborhoods[0].neighbors is not second.neighborhoods[0].neighbors


def test_the_graph_is_copied_once(toy: NodeDataset) -> None:
    data = at_epoch(AugmentedGraphData("toy", expander_degree=2))
    (train,), ((val,),) = data.train_dataloader(), data.val_dataloader()
    train, val = data.transfer_batch_to_device(train, META), data.transfer_batch_to_device(val, META)
    assert all(one is other for one, other in zip(train.neighborhoods[0], val.neighborhoods[0], strict=True))


def test_sparse_features_are_copied_once(toy: NodeDataset, make: Make) -> None:
    data = make(0, eval_samples=2)
    _ = data.scores  # found while the data are those that they were made for
    data.use_dataset(toy._replace(x=SparseFeatures.from_dense(toy.x)))
    first, second = draws_of(data, "val")
    assert isinstance(first.x, SparseFeatures)
    assert first.x.device == META
    assert first.x is second.x


def test_what_is_made_for_a_batch_goes_with_it(make: Make) -> None:
    data = make(0, batch_size=10)
    for batch in data.train_dataloader():
        data.transfer_batch_to_device(batch, META)
        assert data._copies
        del batch
    gc.collect()
    assert not data._copies


def test_what_changed_in_place_is_copied_anew() -> None:
    data, x = AugmentedGraphData("toy"), torch.zeros(3)
    first = data.transfer_batch_to_device([x], META)[0]
    assert data.transfer_batch_to_device([x], META)[0] is first
    x.add_(1)
    assert data.transfer_batch_to_device([x], META)[0] is not first


@pytest.mark.parametrize("device", [CPU, META])
def test_what_lies_there_already_is_no_copy(device: torch.device) -> None:
    data, x = AugmentedGraphData("toy"), torch.zeros(3, device=device)
    moved: Tensor = data.transfer_batch_to_device((x,), device)[0]
    assert moved is x
    assert not data._copies
