"""Batches of core nodes, each with what its layers need of the graph."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from spx.data.batch import Draws, NodeBatch
from spx.data.stored_features import StoredFeatures
from spx.graph.blocks import build_blocks
from spx.graph.features import Features
from spx.graph.sampling import LazyTable, NeighborTable

Tables = tuple[NeighborTable | LazyTable, ...]
"""One draw: a table over all N nodes for each layer, first layer first."""


class FixedBatches(SequentialSampler):
    """Batches in their order, which were drawn before: what Lightning doesn't take for shuffled (`overfit_batches`).

    Args:
        batches: places of each one's core nodes.
    """

    def __init__(self, batches: Sequence[list[int]]):
        super().__init__(batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.data_source)


class CoreNodeBatches(Dataset):
    """Core nodes, fetched a batch at a time with all that their layers need, once for each draw.

    Args:
        nodes: [B_all] int64 core nodes.
        draws: R draws of L tables over all N nodes, of which lazy ones draw the rows that a batch reaches.
        x: [N, F] features, of which the rows of a batch are taken.
        y: [N] or [N, C] labels.
    """

    def __init__(self, nodes: Tensor, draws: Sequence[Tables], x: Features | StoredFeatures, y: Tensor):
        self.nodes, self.draws, self.x, self.y = nodes, draws, x, y

    def __len__(self) -> int:
        return self.nodes.numel()

    def __getitem__(self, indices: list[int]) -> Draws:
        core = self.nodes[indices]
        return [self._batch(tables, core) for tables in self.draws]

    def _batch(self, tables: Tables, core: Tensor) -> NodeBatch:
        blocks = build_blocks(tables, core)
        return NodeBatch(self.x[blocks.nodes], blocks.layers, torch.arange(core.numel()), self.y[core], core)


def as_is(draws: Draws) -> Draws:
    """For evaluation, which averages over the draws."""
    return draws


def only_draw(draws: Draws) -> NodeBatch:
    """For training, which has one."""
    return draws[0]


def core_node_loader(
    batches: CoreNodeBatches, places: Sequence[list[int]], collate: Callable, num_workers: int
) -> DataLoader:
    """A loader of these batches in their order.

    Args:
        batches: of core nodes.
        places: of each batch's nodes among them.
        collate: `as_is` or `only_draw`.
        num_workers: processes that build them; 0: this one does.
    """
    for table in batches.draws[0] if num_workers else ():
        table.rows(batches.nodes[:1])  # the kernel is compiled, or loaded, before processes are forked
    return DataLoader(
        batches,
        batch_size=None,
        sampler=FixedBatches(places),
        collate_fn=collate,
        num_workers=num_workers,
        generator=torch.Generator(),  # the global stream is dropout's
    )
