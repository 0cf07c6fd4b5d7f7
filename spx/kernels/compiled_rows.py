"""Compiling with numba, and running a kernel over the rows of a CSR in threads."""

import functools
import hashlib
import importlib
import itertools
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
            "times slower. To fix it: pip install numba.",
            stacklevel=2,
        )
        return False
    return True


def digest_of_sources(folder: Path) -> str | None:
    """SHA-256 of all Python files of a folder; None where they can't be read, as within an archive."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.py"))
    try:
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)} ".encode() + content)
    except OSError:  # replaced at this moment
        return None
    return digest.hexdigest() if files else None


LOADED_SOURCES = digest_of_sources(Path(__file__).parent)
"""Of the kernels, as they are when this process loads them."""


def compile_rows(function: Callable) -> Callable:
    """Compile a kernel that holds no lock of Python's, kept on disk where a folder for it can be written."""
    from numba import njit

    from spx.kernels import on_disk

    kernel = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})(function)
    if LOADED_SOURCES:
        on_disk.keep(kernel)
    return kernel


def bounds_of_rows(indptr: Tensor, rows: Tensor | None) -> Tensor:
    """Row pointers [n + 1] of a CSR that holds the given rows [n] alone, in their order; None: of all rows."""
    if rows is None:
        return indptr
    degrees = indptr[rows + 1] - indptr[rows]
    return torch.nn.functional.pad(degrees.cumsum(0), (1, 0))


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
