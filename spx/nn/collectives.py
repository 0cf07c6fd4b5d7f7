"""Sums and gathers over the ranks of a process group that gradients run through.

Each rank holds a part of one computation whose losses add up, so the gradient of what a rank was given is the sum of
what all ranks made of it. Letters: N nodes, P ranks.
"""

from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor


def num_ranks() -> int:
    """P: processes of the default group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of every rank's `values`, of any one shape; every rank gets it."""
    return _Sum.apply(values) if num_ranks() > 1 else values


def share_of_ranks(y: Tensor) -> Tensor | float:
    """What a rank's mean loss over its labels `y` [B, ...] has to be weighed by: their number over the mean of all
    ranks; 0 of no label. Of several labels a node those that aren't known, -1, don't count.

    Data-parallel strategies take the mean of the ranks' gradients, which so becomes that of the mean over all labels.
    """
    if num_ranks() == 1:
        return 1.0
    if y.dim() == 2:
        count = (y >= 0).sum().double() / max(1, y.shape[1])
    else:
        count = torch.tensor(y.shape[0], dtype=torch.float64, device=y.device)
    return count * num_ranks() / sum_over_ranks(count).clamp(min=1)


def gather_rows(x: Tensor, bounds: tuple[int, ...], rank: int) -> Tensor:
    """Every rank's rows, this rank's first, then the others' in their order: [N, width].

    Args:
        x: [rows of this rank, width].
        bounds: P + 1 numbers; rank r has the rows `bounds[r]:bounds[r + 1]` of the N.
        rank: of this process.
    """
    return _Gather.apply(x, bounds, rank)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """Parts of unequal length travel padded to the longest: not every backend takes unequal ones."""

    @staticmethod
    def forward(ctx, x: Tensor, bounds: tuple[int, ...], rank: int) -> Tensor:
        ctx.bounds, ctx.rank = bounds, rank
        sizes = _sizes(bounds)
        parts = [x.new_empty(max(sizes), x.shape[1]) for _ in sizes]
        dist.all_gather(parts, _padded(x, max(sizes)))
        parts = [part[:size] for part, size in zip(parts, sizes, strict=True)]
        return torch.cat([parts.pop(rank), *parts])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        sizes = _sizes(ctx.bounds)
        own, others = gradient[: sizes[ctx.rank]], gradient[sizes[ctx.rank] :]
        before = others[: ctx.bounds[ctx.rank]]
        parts = torch.cat((before, own, others[before.shape[0] :])).split(sizes)
        total = gradient.new_empty(max(sizes), gradient.shape[1])
        dist.reduce_scatter(total, [_padded(part, max(sizes)) for part in parts])
        return total[: sizes[ctx.rank]], None, None


def _sizes(bounds: tuple[int, ...]) -> list[int]:
    return [stop - start for start, stop in pairwise(bounds)]


def _padded(x: Tensor, num_rows: int) -> Tensor:
    return torch.cat((x, x.new_zeros(num_rows - x.shape[0], x.shape[1])))
