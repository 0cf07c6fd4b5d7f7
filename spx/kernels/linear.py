"""A linear map over features that have to be converted or dropped out first: some rows at a time, never all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spx.kernels.cpu_dropout import dropout, seed_of_rest

CHUNK_ELEMENTS = 1 << 24  # of x that are held converted


@torch.library.custom_op("spx::linear_by_rows", mutates_args=())
def linear_by_rows(x: Tensor, weight: Tensor, bias: Tensor, p: float, seed: Tensor) -> Tensor:
    """dropout(x) W^T + b in the precision of W.

    Args:
        x: [N, F] of any floating dtype.
        weight: W, [C, F].
        bias: b, [C].
        p: probability of the dropout, in [0, 1).
        seed: [] int64 of its mask, see `spx.kernels.cpu_dropout.dropout`.

    Returns:
        [N, C].
    """
    out = weight.new_empty(x.shape[0], weight.shape[0])
    for rows, part in _parts(x, out, p, seed):
        torch.addmm(bias, rows, weight.t(), out=part)
    return out


@torch.library.custom_op("spx::linear_by_rows_backward", mutates_args=())
def linear_by_rows_backward(grad_out: Tensor, x: Tensor, p: float, seed: Tensor) -> Tensor:
    """Gradient of W, [C, F]."""
    grad_weight = grad_out.new_zeros(grad_out.shape[1], x.shape[1])
    for rows, part in _parts(x, grad_out, p, seed):
        grad_weight.addmm_(part.t(), rows)
    return grad_weight


@torch.library.custom_op("spx::drop_by_rows", mutates_args=())
def drop_by_rows(x: Tensor, p: float, seed: Tensor) -> Tensor:
    """dropout(x) by the mask of `linear_by_rows`."""
    out = torch.empty_like(x)
    for rows, part in _parts(x, out, p, seed):
        part.copy_(rows)
    return out


@linear_by_rows.register_fake
def _(x, weight, bias, p, seed):
    return weight.new_empty(x.shape[0], weight.shape[0])


@linear_by_rows_backward.register_fake
def _(grad_out, x, p, seed):
    return grad_out.new_empty(grad_out.shape[1], x.shape[1])


@drop_by_rows.register_fake
def _(x, p, seed):
    return torch.empty_like(x)


def _save(ctx, inputs, output) -> None:
    x, weight, _, ctx.p, seed = inputs
    ctx.save_for_backward(x, weight, seed)


def _backward(ctx, grad_out: Tensor):
    x, weight, seed = ctx.saved_tensors
    grad_x = drop_by_rows(grad_out @ weight, ctx.p, seed).to(x.dtype) if ctx.needs_input_grad[0] else None
    return grad_x, linear_by_rows_backward(grad_out, x, ctx.p, seed), grad_out.sum(0), None, None


linear_by_rows.register_autograd(_backward, setup_context=_save)


def _parts(x: Tensor, beside: Tensor, p: float, seed: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of `x`, some at a time, as `beside` needs them: of its dtype and dropped out; and the same rows of it."""
    num_rows = max(2, CHUNK_ELEMENTS // max(1, x.shape[1]) // 2 * 2)  # even, as the mask is drawn for pairs
    for number, (rows, part) in enumerate(zip(x.split(num_rows), beside.split(num_rows), strict=True)):
        rows = rows.to(beside.dtype)
        yield dropout(rows, p, seed_of_rest(seed, number * num_rows * x.shape[1])) if p else rows, part
