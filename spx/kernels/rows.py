"""Compiling with numba, and running a kernel over the rows of a CSR in threads."""

import functools
import importlib
import itertools
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

LEAST_NANOSECONDS = 3e6  # of work for a thread: torch's own threads wait awake for a while, and keep others out


@functools.cache
def can_compile() -> bool:
    """Whether numba is installed and loads; says once what its absence costs."""
    try:
        importlib.import_module("numba")
    except ImportError as error:
        warnings.warn(
            f"numba can't be used ({error}): sampling and attention on the CPU run as plain tensor operations, several "
            "times slower. Mend: pip install numba.",
            stacklevel=2,
        )
        return False
    return True


def compile_rows(function: Callable) -> Callable:
    """Compile a kernel that holds no lock of Python's, kept on disk where a folder for it can be written."""
    from numba import njit

    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        return njit(**options)(function)


def row_ranges(indptr: Tensor, parts: int) -> list[tuple[int, int]]:
    """Split the rows of a CSR into at most `parts` consecutive ranges of about as many edges each."""
    num_nodes, num_edges = indptr.numel() - 1, int(indptr[-1])
    marks = torch.arange(1, parts, device=indptr.device) * (num_edges // parts)
    bounds = [0, *torch.searchsorted(indptr, marks).clamp_(0, num_nodes).tolist(), num_nodes]
    return [(start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]


def num_threads(nanoseconds: float) -> int:
    """Threads worth starting for so much work of one thread, at most those that torch uses."""
    return max(1, min(torch.get_num_threads(), int(nanoseconds / LEAST_NANOSECONDS)))


def run_over(kernel: Callable, ranges: list[tuple[int, int]], *arguments: Any) -> None:
    """Call `kernel(part, start, stop, *arguments)` for each range, each in a thread of its own."""
    if len(ranges) < 2:
        for start, stop in ranges:
            kernel(0, start, stop, *arguments)
        return
    with ThreadPoolExecutor(len(ranges)) as pool:
        running = [pool.submit(kernel, part, *bounds, *arguments) for part, bounds in enumerate(ranges)]
    for each in running:
        each.result()
