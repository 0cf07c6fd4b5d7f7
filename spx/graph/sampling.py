"""Sampling a k-regular sparse graph from the attention graph (method of Spexphormer, arXiv 2411.16278).

For each node, k distinct attention edges are drawn from its row, successively and without replacement,
with probability proportional to their scores. The draw is the one of weighted reservoir sampling
(Efraimidis and Spirakis, 2006): of independent keys Exp(1) / p the k smallest are kept.
The random number of an edge is a function of the draw's seed and the edge's place, so a draw is the same for any number
of threads and on every device.

Letters: N nodes, M attention edges, K sampled degree.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spx.errors import ConfigError, DatasetError
from spx.graph.csr import AttentionGraph, EdgeType
from spx.kernels import torch_sampling
from spx.kernels.compiled_rows import can_compile, row_ranges

SamplerName = Literal["attention", "uniform", "top"]
PART_EDGES = 1 << 21
"""Attention edges of 9 bytes each: a number whose draw takes 20 ms or more, and whose memory doesn't matter."""


class NeighborTable(NamedTuple):
    """A regular neighbourhood: each of N nodes attends to K sampled ones.

    Args:
        neighbors: [N, K] int32, the nodes attended to.
        edge_type: [N, K] uint8, see `spx.kernels.formula.EdgeType`.
    """

    neighbors: Tensor
    edge_type: Tensor

    @property
    def num_nodes(self) -> int:
        return self.neighbors.shape[0]

    @property
    def num_edges(self) -> int:
        return self.neighbors.numel()

    def rows(self, nodes: Tensor) -> "NeighborTable":
        """The rows of `nodes` [n] int64, in their order."""
        return NeighborTable(self.neighbors[nodes], self.edge_type[nodes])


def draw_seed(seed: int, draw: int, layer: int) -> int:
    """Seed of one layer's draw: a hash of the run's seed, the number of the draw and the layer.

    Neighbouring arguments give unrelated random streams; every rank and every resumed run gets the same.
    """
    digest = hashlib.sha256(f"{seed}/{draw}/{layer}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def sample_neighbors(
    graph: AttentionGraph,
    weights: Tensor | None,
    k: int,
    seed: int,
    sampler: SamplerName = "attention",
    graph_first: bool = False,
    rows: Tensor | None = None,
    edge_weight: Tensor | None = None,
) -> NeighborTable:
    """Draw the K attention edges of each node, or of some nodes.

    Drawn edges stand in the row's order. A row of at most K edges keeps all of them; its remaining slots are drawn from
    it with replacement, in proportion to the weights ("top": by repeating the ranked row from its start).

    Args:
        graph: the attention graph; every row must have an edge.
        weights: [M] non-negative scores; None for the sampler "uniform", which ignores them.
        k: K, at least 1.
        seed: of this draw (`draw_seed`); "top" draws nothing.
        sampler: "attention" in proportion to `weights`, "uniform", or "top", the K largest weights, which of
            equal ones the first.
        graph_first: whether a row's graph edges are drawn before all others: exactly so, whatever the weights. Within
            both kinds the law stays. A short row's draws with replacement are from its graph edges, if it has any.
        rows: [n] int64, nodes whose rows alone are drawn, which takes what these rows take; default: all N.
        edge_weight: [M] float32 factors of the weights, such as `spx.graph.weights.row_weights`; the sampler "uniform"
            then draws in proportion to them.

    Returns:
        The table over all N nodes, or those rows of it bit for bit, on the device of the graph.

    Raises:
        ConfigError: K below 1, weights missing, or weights or edge weights of another length.
        DatasetError: a row without an edge, among those to be drawn.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> table = sample_neighbors(graph, weights, k=2, seed=0)
        >>> table.neighbors.shape, table.edge_type.dtype
        (torch.Size([3, 2]), torch.uint8)
        >>> table.neighbors[2]  # its only edge twice
        tensor([2, 2], dtype=torch.int32)
    """
    if k < 1:
        raise ConfigError(f"k is {k}; each layer samples at least 1 neighbour per node.")
    if sampler != "uniform" and weights is None:
        raise ConfigError(f"The sampler '{sampler}' needs attention scores; only 'uniform' goes without.")
    if sampler != "uniform" and weights.shape != graph.source.shape:
        raise ConfigError(
            f"There are {weights.numel():,} scores for {graph.num_edges:,} attention edges: those of another graph."
        )
    degrees = graph.degrees() if rows is None else graph.indptr[rows + 1] - graph.indptr[rows]
    if (degrees == 0).any():
        empty = (degrees == 0).nonzero()[0]
        node = int(empty if rows is None else rows[empty])
        raise DatasetError(f"Node {node} has no attention edge to sample from. Augment with self-loops or an expander.")

    if edge_weight is not None and edge_weight.shape != graph.source.shape:
        raise ConfigError(
            f"There are {edge_weight.numel():,} edge weights for {graph.num_edges:,} attention edges: those of another "
            "graph."
        )
    weights, factors = (edge_weight, None) if sampler == "uniform" else (weights.detach(), edge_weight)
    first_type = int(EdgeType.GRAPH) if graph_first else None
    if sampler == "top":
        table = torch_sampling.draw(*graph, weights, k, seed, False, first_type, rows, factors)
    elif graph.indptr.device.type == "cpu" and can_compile():
        from spx.kernels import cpu_sampling

        table = cpu_sampling.draw(*graph, weights, k, seed, first_type, rows, factors)
    else:
        table = torch_sampling.draw(*graph, weights, k, seed, True, first_type, rows, factors)
    return NeighborTable(*table)


@dataclass(frozen=True, eq=False)
class LazyTable:
    """A table that is drawn when it is asked for: that of `sample_neighbors`, whose arguments it takes.

    Args:
        after_part: called when rows of `PART_EDGES` attention edges of many were drawn, to give back the memory that
            they were read from.
    """

    graph: AttentionGraph
    weights: Tensor | None
    k: int
    seed: int
    sampler: SamplerName = "attention"
    graph_first: bool = False
    edge_weight: Tensor | None = None
    after_part: Callable[[], None] | None = None

    def rows(self, nodes: Tensor) -> NeighborTable:
        """The rows of `nodes` [n] int64, in their order."""
        return self._draw(nodes)

    def whole(self) -> NeighborTable:
        """All rows."""
        if self.after_part is None:
            return self._draw(None)
        like = (self.graph.source, self.graph.edge_type)
        table = NeighborTable(*(each.new_empty(self.graph.num_nodes, self.k) for each in like))
        self.fill(table, 0, self.graph.num_nodes)
        return table

    def fill(self, table: NeighborTable, start: int, stop: int) -> None:
        """Draw the rows from `start` to before `stop` into the table's."""
        indptr = self.graph.indptr[start : stop + 1] - self.graph.indptr[start]
        parts = 1 if self.after_part is None else 1 + int(indptr[-1]) // PART_EDGES
        for first, last in row_ranges(indptr, parts):
            rows = slice(start + first, start + last)
            table.neighbors[rows], table.edge_type[rows] = self.rows(torch.arange(rows.start, rows.stop))
            if self.after_part is not None:
                self.after_part()

    def _draw(self, nodes: Tensor | None) -> NeighborTable:
        how = (self.k, self.seed, self.sampler, self.graph_first)
        return sample_neighbors(self.graph, self.weights, *how, nodes, self.edge_weight)
