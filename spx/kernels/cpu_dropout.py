"""Dropout whose mask is a function of a seed: computed again in the backward, never held. Compiled for the CPU."""

import functools
import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spx.kernels.compiled_rows import can_compile, compile_rows, num_threads, run_over
from spx.kernels.noise import GAMMA, MIX_1, MIX_2

NS_PER_ELEMENT = 2
FAST_DTYPES = (torch.float32, torch.float64)


@torch.library.custom_op("spx::dropout", mutates_args=())
def dropout(x: Tensor, p: float, seed: Tensor) -> Tensor:
    """Zero each element with probability p (to 2^-32), and divide the others by 1 - p.

    Args:
        x: of any shape and floating dtype.
        p: in [0, 1).
        seed: [] int64, on the CPU; the same seed gives the same mask, one of another kind where nothing is compiled:
            on other devices than the CPU, in other dtypes than `FAST_DTYPES`.
    """
    if not (x.device.type == "cpu" and x.dtype in FAST_DTYPES and can_compile()):
        stream = torch.Generator(x.device).manual_seed(int(seed))
        return torch.where(torch.rand(x.shape, generator=stream, device=x.device) >= p, x / (1 - p), 0)
    pairs = x.reshape(-1) if x.numel() % 2 == 0 else torch.nn.functional.pad(x.reshape(-1), (0, 1))
    out = torch.empty_like(pairs)
    parts = num_threads(NS_PER_ELEMENT * pairs.numel())
    bounds = [part * pairs.numel() // (2 * parts) * 2 for part in range(parts)] + [pairs.numel()]
    ranges = [(start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]
    keep = np.uint64(min(2**32, round((1 - p) * 2**32)))
    scale = out.numpy().dtype.type(1 / (1 - p))
    run_over(_kernel(), ranges, pairs.numpy(), np.uint64(int(seed) % 2**64), keep, scale, out.numpy())
    return out[: x.numel()].view(x.shape)


@dropout.register_fake
def _(x: Tensor, p: float, seed: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save(ctx, inputs, output) -> None:
    _, ctx.p, seed = inputs
    ctx.save_for_backward(seed)


def _backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
    return dropout(gradient, ctx.p, *ctx.saved_tensors), None, None


dropout.register_autograd(_backward, setup_context=_save)


def seed_of_rest(seed: Tensor, num_elements: int) -> Tensor:
    """The seed by which a tensor's elements from an even number on are dropped alone as they are with the whole."""
    shifted = (int(seed) + num_elements // 2 * GAMMA) % 2**64
    return torch.tensor(shifted - 2**64 if shifted >= 2**63 else shifted)


@functools.cache
def _kernel() -> Callable:
    gamma, mix_1, mix_2 = np.uint64(GAMMA), np.uint64(MIX_1), np.uint64(MIX_2)
    first, second, third, one, half = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(1), np.uint64(32)
    low = np.uint64(2**32 - 1)

    def kernel(part, start, stop, x, seed, keep, scale, out):
        factors = np.array([0, scale], x.dtype)  # looked up: a branch would be guessed wrong half of the time
        for pair in range(start // 2, stop // 2):  # one number of 64 bits for two elements
            z = seed + (np.uint64(pair) + one) * gamma
            z = (z ^ (z >> first)) * mix_1
            z = (z ^ (z >> second)) * mix_2
            z ^= z >> third
            out[2 * pair] = x[2 * pair] * factors[np.intp((z & low) < keep)]
            out[2 * pair + 1] = x[2 * pair + 1] * factors[np.intp((z >> half) < keep)]

    return compile_rows(kernel)
