"""Weights of the graph's edges, in units that don't depend on how they were measured.

Letters: N nodes, E edges of the dataset, E' of them distinct, M attention edges.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph, EdgeType, distinct_edges
from spx.graph.segments import segment_sum


class WeightedGraph(NamedTuple):
    """An attention graph whose edges have weights.

    Args:
        graph: of M edges.
        weight: [M] float32.
    """

    graph: AttentionGraph
    weight: Tensor


def row_weights(graph: AttentionGraph, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
    """Factors of the scores in a draw: a graph edge's weight over the mean weight of its row's graph edges.

    So a row's graph edges count as much against its expander edges and its self-loop, whose factors are 1, as they do
    without weights, and neither the unit of the weights nor a node whose weights are all small changes that. Where the
    weights of a row are equal, its factors are exactly 1: up to 2^29 equal float32 add up without rounding in float64.

    Args:
        graph: the augmented graph of the edges, all its rows.
        edge_index: [2, E] int64, as it was augmented.
        edge_weight: [E] float32, above 0. Weights of edges that are there twice add up.

    Returns:
        [M] float32.
    """
    indptr, weight = _distinct_weights(edge_index, edge_weight, graph.num_nodes)
    degrees = indptr.diff()
    means = segment_sum(weight, indptr) / degrees.clamp(min=1)
    weight /= torch.repeat_interleave(means, degrees, output_size=weight.numel())
    return _beside_others(graph, weight)


def graph_weights(graph: AttentionGraph, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
    """Weights over their mean in the whole graph, so that symmetric ones stay symmetric, as convolutions need them.

    Args and returned value as of `row_weights`.
    """
    _, weight = _distinct_weights(edge_index, edge_weight, graph.num_nodes)
    return _beside_others(graph, weight / weight.mean() if weight.numel() else weight)


def _beside_others(graph: AttentionGraph, weight: Tensor) -> Tensor:
    """[M] float32, the weights [E'] at the graph's edges, whose order is theirs, and 1 at all others."""
    found = torch.ones(graph.num_edges)
    is_graph = graph.edge_type.cpu() == EdgeType.GRAPH
    found[is_graph] = weight.float()
    return found


def _distinct_weights(edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The row pointer [N + 1] of `distinct_edges`, and the sums [E'] float64 of the weights of each of its edges."""
    source, target = edge_index
    wanted = source != target
    key, order = (target * num_nodes + source)[wanted].sort(stable=True)
    weight = edge_weight[wanted][order].double()
    first = torch.ones_like(key, dtype=torch.bool)
    torch.ne(key[1:], key[:-1], out=first[1:])
    if not bool(first.all()):
        weight = torch.from_numpy(np.add.reduceat(weight.numpy(), first.nonzero().flatten().numpy()))
        key = key[first]
    return torch.searchsorted(key, torch.arange(num_nodes + 1) * num_nodes), weight


def same_weights(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], num_nodes: int) -> bool:
    """Whether two sets of edges [2, E] with weights [E] are the same edges with the same weights, to rounding."""
    sides = [(distinct_edges(edges, num_nodes), _distinct_weights(edges, weight, num_nodes)[1])
             for edges, weight in (one, other)]  # fmt: skip
    (edges_then, then), (edges_now, now) = sides
    alike = all(before.equal(after) for before, after in zip(edges_then, edges_now, strict=True))
    return alike and torch.allclose(then, now, rtol=1e-5, atol=0)
