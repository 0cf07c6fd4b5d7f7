"""Batches of core nodes: what is in them, in which order, and with any number of workers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys import fit_toy

from spx.data import ResampledGraphData
from spx.datasets import NodeDataset
from spx.training import Spexphormer

from .conftest import at_epoch, same

Make = Callable[..., ResampledGraphData]


def test_each_training_node_is_judged_once_an_epoch(toy: NodeDataset, make: Make) -> None:
    batches = list(make(0, batch_size=16).train_dataloader())
    assert [batch.nodes.numel() for batch in batches] == [16, 16, 8]
    assert torch.cat([batch.nodes for batch in batches]).sort().values.equal(toy.split.train)


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_ranks_of_a_batch_share_its_core_nodes(make: Make, ranks: int, batch_size: int | None) -> None:
    alone = list(at_epoch(make(batch_size=batch_size or 40), 2).train_dataloader())
    loaders = [at_epoch(make(batch_size=batch_size), 2, world_size=ranks, rank=rank) for rank in range(ranks)]
    shares = list(zip(*(loader.train_dataloader() for loader in loaders), strict=True))
    assert len(shares) == len(alone)
    for batch, parts in zip(alone, shares, strict=True):
        assert torch.cat([part.nodes for part in parts]).sort().values.equal(batch.nodes.sort().values)


@pytest.mark.parametrize("part", ["val", "test", "predict"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_the_ranks_judge_each_node_once_in_evaluation(
    toy: NodeDataset, make: Make, part: str, batch_size: int | None
) -> None:
    ranks = [at_epoch(make(batch_size=batch_size), world_size=3, rank=rank) for rank in range(3)]
    draws = [list(getattr(data, f"{part}_dataloader")()) for data in ranks]
    nodes = torch.arange(90) if part == "predict" else getattr(toy.split, part)
    assert len({len(each) for each in draws}) == 1, "as many batches on every rank"
    assert torch.cat([batch.nodes for each in draws for (batch,) in each]).sort().values.equal(nodes.sort().values)


@pytest.mark.parametrize("part", ["val", "test", "predict"])
def test_evaluation_judges_the_nodes_in_their_order(toy: NodeDataset, make: Make, part: str) -> None:
    draws = list(getattr(make(0, batch_size=5, eval_batch_size=7), f"{part}_dataloader")())
    nodes = torch.arange(90) if part == "predict" else getattr(toy.split, part)
    assert torch.cat([batch.nodes for (batch,) in draws]).equal(nodes)
    assert max(batch.nodes.numel() for (batch,) in draws) == 7


def test_evaluation_batches_are_as_large_as_trainings_unless_told(make: Make) -> None:
    assert len(make(0, batch_size=10).val_dataloader()) == 3
    assert len(make(0, batch_size=10, eval_batch_size=30).val_dataloader()) == 1


def test_without_a_batch_size_all_nodes_are_one_batch(toy: NodeDataset, make: Make) -> None:
    (batch,) = make(0).train_dataloader()
    assert batch.x.equal(toy.x)
    assert batch.nodes.equal(toy.split.train)
    assert batch.targets.equal(toy.split.train)
    assert batch.y.equal(toy.y[toy.split.train])


def test_a_batch_size_beyond_the_training_nodes_is_one_batch(toy: NodeDataset, make: Make) -> None:
    (batch,) = make(0, batch_size=1000).train_dataloader()
    assert batch.nodes.sort().values.equal(toy.split.train)


def test_batches_carry_the_labels_and_features_of_their_nodes(toy: NodeDataset, make: Make) -> None:
    for batch in make(0, batch_size=6).train_dataloader():
        assert batch.targets.equal(torch.arange(batch.nodes.numel()))
        assert batch.y.equal(toy.y[batch.nodes])
        assert batch.x[batch.targets].equal(toy.x[batch.nodes]), "the core nodes enter first"
        assert batch.x.shape[0] < toy.num_nodes


def test_the_order_is_a_function_of_seed_and_epoch(make: Make) -> None:
    def order(data: ResampledGraphData) -> torch.Tensor:
        return torch.cat([batch.nodes for batch in data.train_dataloader()])

    first = order(make(3, batch_size=8))
    resumed = order(at_epoch(make(0, batch_size=8), 3))
    assert first.equal(resumed)
    assert not first.equal(order(make(4, batch_size=8)))
    assert not first.equal(order(make(3, batch_size=8, seed=1)))
    assert not order(make(2, batch_size=8, resample_every=2)).equal(order(make(3, batch_size=8, resample_every=2)))


def test_iterating_a_loader_again_gives_the_same_order(make: Make) -> None:
    loader = make(1, batch_size=8).train_dataloader()
    assert same(list(loader), list(loader)), "Lightning asks twice for an iterator, but once in the first epoch"


def test_a_batch_gives_the_logits_that_the_whole_graph_gives(make: Make) -> None:
    torch.manual_seed(0)
    model = Spexphormer(8, 2, 2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy").eval()
    ((whole,),) = make(0).test_dataloader()
    with torch.no_grad():
        expected = model(whole)
        logits = torch.cat([model(batch) for (batch,) in make(0, batch_size=7).test_dataloader()])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


def test_workers_change_neither_the_batches_nor_their_order(make: Make) -> None:
    none, two = (make(1, batch_size=16, eval_batch_size=10, eval_samples=2, num_workers=n) for n in (0, 2))
    assert two.train_dataloader().num_workers == two.val_dataloader().num_workers == 2
    assert same(list(none.train_dataloader()), list(two.train_dataloader()))
    assert same(list(none.val_dataloader()), list(two.val_dataloader()))


@pytest.mark.full
def test_workers_change_neither_the_trained_weights_nor_the_metrics(make: Make, tmp_path: Path) -> None:
    results = []
    for num_workers in (0, 2):
        model, trainer = fit_toy(
            make(batch_size=20, eval_batch_size=30, num_workers=num_workers), tmp_path, 2, num_sanity_val_steps=0
        )
        results.append((model.state_dict(), trainer.callback_metrics))
    (weights, metrics), (weights_2, metrics_2) = results
    assert weights.keys() == weights_2.keys()
    assert all(weights[name].equal(weights_2[name]) for name in weights)
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy"} <= metrics.keys()
    assert metrics == metrics_2


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("part", ["train", "val", "test", "predict"])
def test_loaders_leave_the_global_stream_alone(make: Make, part: str, batch_size: int | None) -> None:
    data = make(0, batch_size=batch_size, eval_samples=2)
    state = torch.get_rng_state()
    list(getattr(data, f"{part}_dataloader")())
    assert torch.get_rng_state().equal(state), "or evaluating more often would change the dropout"
