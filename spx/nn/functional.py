"""Typed dot-product attention over a ragged (CSR) and over a regular neighbourhood: one formula, two layouts.

For head h of width D, node i and attention edge (i <- j) of type t:

    s_ij = ((E1[t] * K_j) . Q_i) / sqrt(D) + E2[t]
    p_ij = softmax_j(clamp(s_ij / T, -8, 8))
    out_i = sum_j p_ij V_j

after Exphormer (arXiv 2303.06147) and Spexphormer (arXiv 2411.16278). Scores, softmax and sums are computed
in at least float32, whatever autocast is on. The clamp bounds each exponential to [e^-8, e^8], so the softmax
needs no running maximum.

Both layouts are rows of edges to the kernels (`spx.kernels.row_attention`); `spx.nn.plain` has the formula written out.

Letters: N attending nodes, N_in nodes attended to, H heads, D head width, M ragged edges, K sampled degree.
"""

import math

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph
from spx.graph.sampling import NeighborTable
from spx.kernels.row_attention import row_attention, row_attention_weights

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
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of N nodes over their neighbourhoods.

    Args:
        query: [N, H, D].
        key, value: [N_in, H, D].
        neighborhood: CSR rows over N = N_in nodes, or a table [N, K] of positions among the N_in.
        edge_scale: E1, [3, H, D].
        edge_bias: E2, [3, H].
        temperature: T, above 0.
        need_weights: whether the weights are returned; they carry no gradient.

    Returns:
        `out` [N, H, D], and the weights p or None: [M, H] for CSR, [N, K, H] for a table. A node with an empty row
        gets zero.
    """
    device = query.device
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":  # the CUDA kernel reads half precision as it is and computes in float32
            query, key, value = map(at_least_fp32, (query, key, value))
        edge_scale, edge_bias = at_least_fp32(edge_scale) / math.sqrt(query.shape[-1]), at_least_fp32(edge_bias)
        temperature = torch.as_tensor(temperature, dtype=edge_scale.dtype, device=device)
        edges = as_rows(neighborhood)
        out, mass = row_attention(query, key, value, *edges, edge_scale, edge_bias, temperature)
        if not need_weights:
            return out, None
        with torch.no_grad():
            weights = row_attention_weights(mass, query, key, *edges, edge_scale, edge_bias, temperature)
        return out, weights if isinstance(neighborhood, AttentionGraph) else weights.unflatten(0, neighborhood[0].shape)


def as_rows(neighborhood: Neighborhood) -> AttentionGraph:
    """The neighbourhood as CSR rows; a table's all have K edges."""
    if isinstance(neighborhood, AttentionGraph):
        return neighborhood
    neighbors, edge_type = neighborhood
    num_nodes, k = neighbors.shape
    indptr = torch.arange(0, (num_nodes + 1) * k, k, device=neighbors.device)
    return AttentionGraph(indptr, neighbors.flatten(), edge_type.flatten())


def segment_sum(values: Tensor, indptr: Tensor) -> Tensor:
    """Sum of each CSR row: `values` [M, ...] to [N, ...], without scatter or atomics."""
    return _SegmentSum.apply(values, indptr)


def at_least_fp32(tensor: Tensor) -> Tensor:
    """The tensor itself, or half precision as float32: for sums and lengths, which autocast may leave in half."""
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
