"""A graph's rows split over processes, so that each holds its share of the attention edges alone.

Letters: N nodes, M attention edges, E edges of the dataset, P ranks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spx.errors import ConfigError
from spx.graph.csr import CHUNK_EDGES, AttentionGraph


class GraphShard(NamedTuple):
    """Consecutive rows of an attention graph: those of one rank.

    The nodes that enter a layer are numbered anew: this rank's rows first, then the others in their order. So the
    first of those that enter are those that leave, as everywhere (`spx.graph.blocks`).

    Args:
        graph: this rank's rows; sources are positions among the N nodes in that numbering.
        bounds: P + 1 numbers; rank r has the rows `bounds[r]:bounds[r + 1]`.
        rank: r.
    """

    graph: AttentionGraph
    bounds: tuple[int, ...]
    rank: int

    @property
    def rows(self) -> slice:
        """This rank's rows among the N."""
        return slice(self.bounds[self.rank], self.bounds[self.rank + 1])

    @property
    def num_nodes(self) -> int:
        """Nodes that leave a layer on this rank."""
        return self.graph.num_nodes

    @property
    def num_edges(self) -> int:
        """Attention edges of this rank."""
        return self.graph.num_edges

    def global_sources(self) -> Tensor:
        """The sources as numbers of the whole graph's nodes, [edges of this rank] int32."""
        source, num_rows, start = self.graph.source, self.rows.stop - self.rows.start, self.rows.start
        before = (source >= num_rows) & (source < num_rows + start)
        return torch.where(source < num_rows, source + start, torch.where(before, source - num_rows, source))


def edge_bounds(edge_index: Tensor, num_nodes: int, added: int, parts: int) -> tuple[int, ...]:
    """Bounds of P ranges of consecutive rows that hold about as many attention edges each.

    A row counts the dataset's edges into it, those that occur twice twice, and the added ones. With rows of very
    unequal length no bounds can do better than the longest row.

    Args:
        edge_index: [2, E] int64, source above target.
        num_nodes: N.
        added: attention edges that each row has besides: expander neighbours and self-loop.
        parts: P.

    Raises:
        ConfigError: fewer nodes than ranks.
    """
    if parts > num_nodes:
        raise ConfigError(f"A graph of {num_nodes} nodes can't be split over {parts} devices. Use --trainer.devices 1.")
    edges = torch.full((num_nodes,), added, dtype=torch.int64)
    for chunk in edge_index.split(CHUNK_EDGES, dim=1):
        edges += torch.bincount(chunk[1][chunk[0] != chunk[1]], minlength=num_nodes)
    before = edges.cumsum(0)
    marks = before[-1] * torch.arange(1, parts) / parts
    inner = torch.searchsorted(before.double(), marks) + 1
    # Each rank has a row at least, however long single rows are.
    least = torch.arange(1, parts)
    inner = torch.minimum(torch.maximum((inner - least).cummax(0).values + least, least), num_nodes - parts + least)
    return (0, *inner.tolist(), num_nodes)


def make_shard(rows: AttentionGraph, bounds: tuple[int, ...], rank: int) -> GraphShard:
    """The shard of a rank from its rows.

    Args:
        rows: this rank's rows, sources numbered as in the whole graph.
        bounds: of all ranks' rows.
        rank: whose they are.
    """
    start, stop = bounds[rank], bounds[rank + 1]
    source = rows.source
    own = (source >= start) & (source < stop)
    source = torch.where(own, source - start, torch.where(source < start, source + (stop - start), source))
    return GraphShard(rows._replace(source=source), bounds, rank)
