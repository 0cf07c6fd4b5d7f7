"""Typed dot-product attention over a ragged (CSR) and over a regular neighbourhood: one formula, two layouts.

For head h of width D, node i and attention edge (i <- j) of type t:

    s_ij = ((E1[t] * K_j) . Q_i) / sqrt(D) + E2[t]
    p_ij = softmax_j(clamp(s_ij / T, -8, 8))
    out_i = sum_j p_ij V_j

after Exphormer (arXiv 2303.06147) and Spexphormer (arXiv 2411.16278). Scores, softmax and sums are computed
in at least float32, whatever autocast is on. The clamp bounds each exponential to [e^-8, e^8], so the softmax
needs no running maximum.

Indices are widened to int64 before a gather: the gather's backward is up to nine times faster so on the CPU.

Letters: N attending nodes, N_in nodes attended to, H heads, D head width, M ragged edges, K sampled degree.
"""

import math

import torch
from torch import Tensor

from spx.graph.csr import NUM_EDGE_TYPES, AttentionGraph
from spx.graph.sampling import NeighborTable

SCORE_BOUND = 8.0

Neighborhood = AttentionGraph | NeighborTable


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    neighborhood: Neighborhood,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Attention of N nodes over their neighbourhoods.

    Args:
        query: [N, H, D].
        key, value: [N_in, H, D].
        neighborhood: CSR rows over N = N_in nodes, or a table [N, K] of positions among the N_in.
        edge_scale: E1, [3, H, D].
        edge_bias: E2, [3, H].
        temperature: T, above 0.

    Returns:
        `out` [N, H, D], and the weights p: [M, H] for CSR, [N, K, H] for a table. A node with an empty row gets zero.
    """
    attention = _attend_ragged if isinstance(neighborhood, AttentionGraph) else _attend_regular
    with torch.autocast(query.device.type, enabled=False):
        query, key, value, edge_scale, edge_bias = map(_at_least_fp32, (query, key, value, edge_scale, edge_bias))
        query = query / math.sqrt(query.shape[-1])
        typed_query = (query[:, None] * edge_scale).flatten(0, 1)  # [N * 3, H, D], E1 folded into Q
        return attention(typed_query, key, value, neighborhood, edge_bias, temperature)


def segment_sum(values: Tensor, indptr: Tensor) -> Tensor:
    """Sum of each CSR row: `values` [M, ...] to [N, ...], without scatter or atomics."""
    return _SegmentSum.apply(values, indptr)


def _attend_ragged(
    typed_query: Tensor, key: Tensor, value: Tensor, graph: AttentionGraph, edge_bias: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    rows, source, edge_type = graph.rows(), graph.source.long(), graph.edge_type.long()
    of_edge = typed_query.index_select(0, rows * NUM_EDGE_TYPES + edge_type)
    logits = (of_edge * key.index_select(0, source)).sum(-1) + edge_bias.index_select(0, edge_type)
    mass = _bounded_exp(logits, temperature)
    weights = mass / segment_sum(mass, graph.indptr).index_select(0, rows)
    out = segment_sum(weights.unsqueeze(-1) * value.index_select(0, source), graph.indptr)
    return out, weights


def _attend_regular(
    typed_query: Tensor, key: Tensor, value: Tensor, table: NeighborTable, edge_bias: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    num_nodes, k = table.neighbors.shape
    neighbors, edge_type = table.neighbors.flatten().long(), table.edge_type.long()
    first_type = NUM_EDGE_TYPES * torch.arange(num_nodes, device=neighbors.device).unsqueeze(1)
    of_edge = typed_query.index_select(0, (first_type + edge_type).flatten())
    logits = (of_edge * key.index_select(0, neighbors)).sum(-1) + edge_bias.index_select(0, edge_type.flatten())
    mass = _bounded_exp(logits.unflatten(0, (num_nodes, k)), temperature)
    weights = mass / mass.sum(1, keepdim=True)
    gathered = value.index_select(0, neighbors).unflatten(0, (num_nodes, k))
    out = (weights.unsqueeze(-1) * gathered).sum(1)
    return out, weights


def _bounded_exp(logits: Tensor, temperature: Tensor | float) -> Tensor:
    return (logits / temperature).clamp(-SCORE_BOUND, SCORE_BOUND).exp()


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _SegmentSum(torch.autograd.Function):
    """`torch.segment_reduce` with a backward that repeats the gradient of a row over its edges."""

    @staticmethod
    def forward(ctx, values: Tensor, indptr: Tensor) -> Tensor:
        ctx.save_for_backward(indptr)
        ctx.num_edges = values.shape[0]
        return torch.segment_reduce(values.contiguous(), "sum", offsets=indptr, axis=0, initial=0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (indptr,) = ctx.saved_tensors
        return torch.repeat_interleave(gradient, indptr.diff(), dim=0, output_size=ctx.num_edges), None
