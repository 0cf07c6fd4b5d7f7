"""Rows that are drawn when a batch needs them: the same batches, and less is drawn."""

from collections.abc import Callable

import pytest
import torch
from daily import every_day

from benchmarks.common import generated_dataset
from spx.data import ResampledGraphData, graph_data
from spx.datasets.types import Split
from spx.graph.sampling import LazyTable, NeighborTable

from .conftest import at_epoch, same

NUM_NODES = 4000


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, load_toy: object) -> Callable[..., ResampledGraphData]:
    """make(epoch, **settings): a graph of 4,000 nodes of which 40 are trained on."""
    dataset = generated_dataset(NUM_NODES, 10)
    order = torch.randperm(NUM_NODES, generator=torch.Generator().manual_seed(3))
    dataset = dataset._replace(split=Split(*(part.sort().values for part in order[:120].split(40))))
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: dataset)

    def make(epoch: int = 0, **settings: object) -> ResampledGraphData:
        usual = {"k": [3, 2], "sampler": "uniform", "expander_degree": 2, "batch_size": 20}
        return at_epoch(ResampledGraphData("generated", **usual | settings), epoch)

    return make


def kinds(data: ResampledGraphData, loader: object) -> list[list[type]]:
    return [[type(table) for table in tables] for tables in loader.dataset.draws]


def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spx.data.resampled.lazy_layers", lambda rows, degrees, *_: [False] * len(degrees))


@every_day("part", ["train", "val", "test", "predict"], 2)
@every_day("settings", [{}, {"sampler": "top"}, {"eval_samples": 3}, {"graph_first": True}], 2)
def test_lazy_and_whole_draws_give_the_same_batches(
    make: Callable[..., ResampledGraphData], monkeypatch: pytest.MonkeyPatch, part: str, settings: dict
) -> None:
    if settings.get("sampler") == "top":
        monkeypatch.setattr(ResampledGraphData, "scores", None)
        monkeypatch.setattr(
            ResampledGraphData, "_weights", lambda data, layer: torch.linspace(0, 1, data.graph.num_edges)
        )
    loader = getattr(make(2, **settings), f"{part}_dataloader")()
    few = part != "predict"
    assert kinds(make, loader)[0] == [LazyTable if few else NeighborTable] * 2
    batches = list(loader)
    whole(monkeypatch)
    loader = getattr(make(2, **settings), f"{part}_dataloader")()
    assert kinds(make, loader)[0] == [NeighborTable] * 2
    assert same(batches, list(loader))


def test_a_lazy_epoch_draws_no_whole_table(
    make: Callable[..., ResampledGraphData], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    from spx.graph import sampling

    sample = sampling.sample_neighbors

    def count(*arguments: object) -> NeighborTable:
        table = sample(*arguments)
        drawn.append(table.num_nodes)
        return table

    monkeypatch.setattr(sampling, "sample_neighbors", count)
    list(make().train_dataloader())
    assert len(drawn) == 2 * 2
    assert sum(drawn) < 250, "two batches of 20 nodes, which reach 80 each"
    drawn.clear()
    list(make(batch_size=None).train_dataloader())
    assert drawn == [NUM_NODES] * 2, "the whole graph in one batch"


def test_a_draw_that_many_epochs_share_is_whole(make: Callable[..., ResampledGraphData]) -> None:
    assert kinds(make, make(resample_every=1000).train_dataloader()) == [[NeighborTable] * 2]
    data = make()
    data._fitting, data.trainer.max_epochs = True, 3
    assert kinds(data, data.val_dataloader()) == [[LazyTable] * 2]
    data.trainer.max_epochs = -1
    assert kinds(data, data.val_dataloader()) == [[NeighborTable] * 2], "validated without an end"


def test_whole_tables_that_are_there_are_used(make: Callable[..., ResampledGraphData]) -> None:
    data = make()
    tables = data.evaluation_draws
    assert [[table is kept for table, kept in zip(*pair, strict=True)] for pair in
            zip(data.evaluation_draws_for([1]), tables, strict=True)] == [[True, True]]  # fmt: skip


def test_workers_draw_the_same_rows(make: Callable[..., ResampledGraphData]) -> None:
    none, two = (make(1, num_workers=number) for number in (0, 2))
    assert same(list(none.train_dataloader()), list(two.train_dataloader()))


def test_ranks_draw_the_rows_of_their_own_nodes(make: Callable[..., ResampledGraphData]) -> None:
    alone = [batch.nodes for batch in make().train_dataloader()]
    shares = [list(at_epoch(make(), world_size=2, rank=rank).train_dataloader()) for rank in range(2)]
    for nodes, parts in zip(alone, zip(*shares, strict=True), strict=True):
        assert torch.cat([part.nodes for part in parts]).sort().values.equal(nodes.sort().values)
    empty = list(at_epoch(make(batch_size=2), world_size=3, rank=2).train_dataloader())
    assert {batch.nodes.numel() for batch in empty} == {0}
