from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.datasets import NodeDataset

K = [2, 3]
DEGREE = 2


@pytest.fixture
def scores(toy: NodeDataset, tmp_path: Path, write_scores: Callable[..., Path]) -> Path:
    """A score file of two layers over the augmented toy graph of expander degree 2."""
    return write_scores(tmp_path / "scores.safetensors", AugmentedGraphData("toy", expander_degree=DEGREE))


@pytest.fixture
def make(scores: Path) -> Callable[..., ResampledGraphData]:
    """make(epoch=None, **arguments): stage 2's data over that file, in a Trainer's hands at that epoch if given."""

    def make(epoch: int | None = None, **arguments: object) -> ResampledGraphData:
        data = ResampledGraphData(**{"dataset": "toy", "k": K, "scores": str(scores), **arguments})
        return data if epoch is None else at_epoch(data, epoch)

    return make


def at_epoch(
    data: GraphData, epoch: int = 0, *, world_size: int = 1, rank: int = 0, num_layers: int = 2, reload: int = 1
) -> GraphData:
    """The data as a rank's Trainer holds them."""
    data.trainer = SimpleNamespace(
        current_epoch=epoch,
        world_size=world_size,
        num_devices=1,  # a machine for each rank
        global_rank=rank,
        reload_dataloaders_every_n_epochs=reload,
        max_epochs=epoch + 1,
        lightning_module=SimpleNamespace(num_layers=num_layers),
    )
    return data


def same(first: object, second: object) -> bool:
    """Whether two batches, or any nesting of tuples and lists of tensors, hold equal tensors."""
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(same, first, second))
    return first.equal(second)
