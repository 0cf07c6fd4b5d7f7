"""Measures of attention scores over CSR rows. N nodes, M attention edges."""

import torch
from torch import Tensor

from spx.graph.csr import NUM_EDGE_TYPES, AttentionGraph
from spx.nn.functional import segment_sum


def normalized_entropy(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Entropy of each row over the logarithm of its degree: -sum_j p_ij ln p_ij / ln d_i, [N] in [0, 1].

    1 is uniform attention, 0 all on one edge. Rows of fewer than two edges have no choice and give nan.

    Args:
        graph: the attention graph.
        weights: [M], each row summing to one.
    """
    entropy = segment_sum(torch.special.entr(weights.float()), graph.indptr)
    degrees = graph.degrees()
    return torch.where(degrees > 1, entropy / degrees.float().log(), torch.nan)


def edge_type_shares(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Share of all attention that runs along graph edges, expander edges and self-loops: [3], summing to one.

    Args:
        graph: the attention graph.
        weights: [M], non-negative.
    """
    mass = torch.bincount(graph.edge_type.long(), weights.double(), minlength=NUM_EDGE_TYPES)
    return mass / mass.sum()
