"""How much of a graph batches of core nodes reach, as an expectation: what it takes to draw just their rows.

Letters: N nodes, M attention edges, K sampled degree of a layer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph

EDGES_A_ROW = 16
"""What fetching a row from anywhere in memory takes, in edges drawn in a row of their own order."""


class DegreeCounts(NamedTuple):
    """How many rows there are of each size.

    Args:
        degree: [u] float64, ascending.
        count: [u] float64.
    """

    degree: Tensor
    count: Tensor

    @property
    def num_edges(self) -> float:
        return float((self.degree * self.count).sum())

    @property
    def has_empty_rows(self) -> bool:
        return bool((self.degree == 0).any())


def count_degrees(graph: AttentionGraph) -> DegreeCounts:
    """One pass over the rows' pointers."""
    count = graph.degrees().cpu().bincount()
    degree = count.nonzero().flatten()
    return DegreeCounts(degree.double(), count[degree].double())


def lazy_layers(rows: DegreeCounts, degrees: Sequence[int], batches: Sequence[int], times: float = 1) -> list[bool]:
    """For each layer, first layer first, whether drawing the rows that batches reach is less work than all rows.

    Args:
        rows: of the graph; an empty one can't be drawn, which a whole draw says.
        degrees: K of each layer, first layer first.
        batches: core nodes of each; none stands for the whole graph.
        times: how often the batches go through one draw.
    """
    if not batches or rows.has_empty_rows:
        return [False] * len(degrees)
    of_largest = expected_work(rows, degrees, max(batches))
    return [times * len(batches) * work < rows.num_edges for work in of_largest]


def expected_work(rows: DegreeCounts, degrees: Sequence[int], core_nodes: int) -> list[float]:
    """Work of drawing the rows that one batch reaches, for each layer, first layer first; a whole table takes M.

    A sampled neighbour is taken for the source of any edge of the graph, so that nodes of many edges are reached first,
    as they are where edges run both ways.

    Args:
        rows: of the graph.
        degrees: K of each layer, first layer first.
        core_nodes: of the batch.
    """
    num_nodes, num_edges = float(rows.count.sum()), rows.num_edges
    reached = min(float(core_nodes), num_nodes)
    edges = num_edges * reached / num_nodes
    work = [edges + EDGES_A_ROW * reached]
    for k in reversed(degrees[1:]):
        found = -torch.expm1(-reached * k * rows.degree / num_edges) * rows.count
        edges = min(num_edges, edges + float((found * rows.degree).sum()))
        reached = min(num_nodes, reached + float(found.sum()))
        work.append(edges + EDGES_A_ROW * reached)
    return work[::-1]
