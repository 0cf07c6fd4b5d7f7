"""A linear map over features of another precision than its weights: rows are converted some at a time, never all."""

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_ELEMENTS = 1 << 24  # of x that are held converted


@torch.library.custom_op("spx::linear_by_rows", mutates_args=())
def linear_by_rows(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W^T + b in the precision of W.

    Args:
        x: [N, F] of any floating dtype.
        weight: W, [C, F].
        bias: b, [C].

    Returns:
        [N, C].
    """
    out = weight.new_empty(x.shape[0], weight.shape[0])
    for rows, part in _parts(x, out):
        torch.addmm(bias, rows.to(weight.dtype), weight.t(), out=part)
    return out


@torch.library.custom_op("spx::linear_by_rows_backward", mutates_args=())
def linear_by_rows_backward(grad_out: Tensor, x: Tensor) -> Tensor:
    """Gradient of W, [C, F]."""
    grad_weight = grad_out.new_zeros(grad_out.shape[1], x.shape[1])
    for rows, part in _parts(x, grad_out):
        grad_weight.addmm_(part.t(), rows.to(grad_out.dtype))
    return grad_weight


@linear_by_rows.register_fake
def _(x, weight, bias):
    return weight.new_empty(x.shape[0], weight.shape[0])


@linear_by_rows_backward.register_fake
def _(grad_out, x):
    return grad_out.new_empty(grad_out.shape[1], x.shape[1])


def _save(ctx, inputs, output) -> None:
    x, weight, _ = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx, grad_out: Tensor):
    x, weight = ctx.saved_tensors
    grad_x = (grad_out @ weight).to(x.dtype) if ctx.needs_input_grad[0] else None
    return grad_x, linear_by_rows_backward(grad_out, x), grad_out.sum(0)


linear_by_rows.register_autograd(_backward, setup_context=_save)


def _parts(x: Tensor, beside: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of `x` and the same rows of `beside`, some at a time."""
    num_rows = max(1, CHUNK_ELEMENTS // max(1, x.shape[1]))
    return zip(x.split(num_rows), beside.split(num_rows), strict=True)
