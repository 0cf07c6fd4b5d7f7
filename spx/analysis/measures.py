"""Measures of attention scores over CSR rows. N nodes, M attention edges.

They go through the edges in ranges, so that their own memory doesn't grow with M.
"""

import torch
from torch import Tensor

from spx.graph.csr import NUM_EDGE_TYPES, AttentionGraph
from spx.kernels.rows import row_ranges
from spx.nn.functional import segment_sum

CHUNK_EDGES = 1 << 22


def normalized_entropy(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Entropy of each row over the logarithm of its degree: -sum_j p_ij ln p_ij / ln d_i, [N] in [0, 1].

    1 is uniform attention, 0 all on one edge. Rows of fewer than two edges have no choice and give nan.

    Args:
        graph: the attention graph.
        weights: [M], each row summing to one.
    """
    entropy = torch.zeros(graph.num_nodes, device=weights.device)
    for start, stop in row_ranges(graph.indptr, 1 + graph.num_edges // CHUNK_EDGES):
        first, last = int(graph.indptr[start]), int(graph.indptr[stop])
        terms = torch.special.entr(weights[first:last].float())
        entropy[start:stop] = segment_sum(terms, graph.indptr[start : stop + 1] - first)
    degrees = graph.degrees()
    return torch.where(degrees > 1, entropy / degrees.float().log(), torch.nan)


def edge_type_shares(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Share of all attention that runs along graph edges, expander edges and self-loops: [3], summing to one.

    Args:
        graph: the attention graph.
        weights: [M], non-negative.
    """
    mass = torch.zeros(NUM_EDGE_TYPES, dtype=torch.float64, device=weights.device)
    for types, part in zip(graph.edge_type.split(CHUNK_EDGES), weights.split(CHUNK_EDGES), strict=True):
        mass += torch.bincount(types.long(), part.double(), minlength=NUM_EDGE_TYPES)
    return mass / mass.sum()
