"""Sums over the rows of a CSR, for measures of a graph's edges; the network's attention has kernels of its own."""

import torch
from torch import Tensor


def segment_sum(values: Tensor, indptr: Tensor) -> Tensor:
    """Sum of each CSR row: `values` [M, ...] to [N, ...], without scatter or atomics."""
    return _SegmentSum.apply(values, indptr)


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
