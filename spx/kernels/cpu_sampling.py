"""Weighted draws without replacement from the rows of a CSR on the CPU: one pass, one row after the other.

The k smallest keys -ln(u) / p of a row are kept. The logarithm is only taken where the key can win: as -ln(u) >= 1 - u,
an edge with 1 - u >= (largest kept key) * p is out. A first bar, below which more than k keys of the row are expected,
keeps most others out from the start; where fewer than k pass it, the row is drawn again without. Edges of one type can
be drawn before all others: a factor of their weights then keeps the two kinds' keys apart, and there is no first bar.
The numbers u are those of `spx.kernels.noise`, so the table is the same for any number of threads.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from numba import njit
from torch import Tensor

from spx.kernels.compiled_rows import bounds_of_rows, compile_rows, num_threads, row_ranges, run_over
from spx.kernels.noise import (
    DRAWN_FIRST,
    GAMMA,
    LARGEST_UNIFORM,
    LARGEST_WEIGHT,
    MIX_1,
    MIX_2,
    SMALLEST_WEIGHT,
)

NS_PER_EDGE = 18
NO_WEIGHTS = np.empty(0, np.float32)
ALL_ROWS = np.empty(0, np.int64)


def draw(
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    weights: Tensor | None,
    k: int,
    seed: int,
    first_type: int | None = None,
    rows: Tensor | None = None,
    factors: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sources [N, K] and types [N, K] of the drawn edges, those of `first_type` before all others; of `rows` [n] alone
    where they are given; weights times `factors` [M], if given. See `spx.graph.sampling.sample_neighbors`."""
    bounds = bounds_of_rows(indptr, rows)
    neighbors = torch.empty(bounds.numel() - 1, k, dtype=source.dtype)
    types = torch.empty(bounds.numel() - 1, k, dtype=edge_type.dtype)
    weights, factors = (
        NO_WEIGHTS if given is None else given.to(torch.float32).contiguous().numpy() for given in (weights, factors)
    )
    graph = [tensor.numpy() for tensor in (indptr, source, edge_type)]
    run_over(
        _kernel(first_type), row_ranges(bounds, num_threads(NS_PER_EDGE * int(bounds[-1]))),
        ALL_ROWS if rows is None else rows.contiguous().numpy(), *graph, weights, factors, np.uint64(seed),
        neighbors.numpy(), types.numpy(),
    )  # fmt: skip
    return neighbors, types


# These stand here, not within `_kernel`: a function that a kernel is handed has another identity in each process, and
# numba's cache on disk would never be met again.
_GAMMA, _MIX_1, _MIX_2 = np.uint64(GAMMA), np.uint64(MIX_1), np.uint64(MIX_2)
_FIRST, _SECOND, _THIRD, _TO_53_BITS = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_LEAST = np.float32(SMALLEST_WEIGHT)


@njit(inline="always")
def _uniform(seed, counter):
    x = seed + (np.uint64(counter) + np.uint64(1)) * _GAMMA
    x = (x ^ (x >> _FIRST)) * _MIX_1
    x = (x ^ (x >> _SECOND)) * _MIX_2
    x ^= x >> _THIRD
    return min((np.float64(x >> _TO_53_BITS) + 0.5) * 2.0**-53, LARGEST_UNIFORM)  # the last half is rounded up


@njit(inline="always")
def _given(weights, factors, place):
    if not weights.size:
        return 1.0
    p = weights[place] * factors[place] if factors.size else weights[place]  # in float32, as on other devices
    return np.float64(p if p > _LEAST else _LEAST)  # nan is least too: a row always fills


@njit(inline="always")
def _weight(weights, factors, edge_type, first_type, place):
    """By which an edge is drawn; see `spx.kernels.noise.DRAWN_FIRST`."""
    if first_type is None:
        return _given(weights, factors, place)
    p = min(_given(weights, factors, place), LARGEST_WEIGHT)
    return p * DRAWN_FIRST if edge_type[place] == first_type else p


@njit(inline="always")
def _first_bar(weights, factors, first_edge, last_edge, k):
    if last_edge - first_edge <= 2 * k:
        return np.inf
    if factors.size:
        total = np.float32(0)
        for e in range(first_edge, last_edge):
            total += weights[e] * factors[e]
    else:
        total = weights[first_edge:last_edge].sum() if weights.size else np.float32(last_edge - first_edge)
    return (k + 3 * math.sqrt(k)) / total if total > 0 else np.inf


@njit(inline="always")
def _largest(keys):
    where = 0
    for slot in range(1, keys.size):
        if keys[slot] > keys[where]:
            where = slot
    return where


@njit
def _keep_smallest(weights, factors, edge_type, first_type, seed, first_edge, last_edge, bar, keys, kept):
    """Fill `kept` with the edges of the smallest keys below the bar; returns how many there are."""
    count, worst = 0, 0
    for e in range(first_edge, last_edge):
        p, u = _weight(weights, factors, edge_type, first_type, e), _uniform(seed, e)
        if 1.0 - u >= bar * p:
            continue
        key = -math.log(u) / p
        if key < bar:
            if count < keys.size:
                worst = count
                count += 1
            keys[worst], kept[worst] = key, e
            if count == keys.size:
                worst = _largest(keys)
                bar = keys[worst]
    return count


@njit(inline="always")
def _sort(kept):
    for slot in range(1, kept.size):
        edge, place = kept[slot], slot
        while place > 0 and kept[place - 1] > edge:
            kept[place] = kept[place - 1]
            place -= 1
        kept[place] = edge


@njit
def _repeat_drawn(weights, factors, edge_type, first_type, seed, slots_from, first_edge, degree, kept):
    """All edges of a short row, then draws with replacement."""
    total = 0.0
    for slot in range(degree):
        kept[slot] = first_edge + slot
        total += _weight(weights, factors, edge_type, first_type, first_edge + slot)
    for slot in range(degree, kept.size):
        target = _uniform(seed, slots_from + slot) * total
        place, passed = first_edge, _weight(weights, factors, edge_type, first_type, first_edge)
        while passed <= target and place < first_edge + degree - 1:
            place += 1
            passed += _weight(weights, factors, edge_type, first_type, place)
        kept[slot] = place


@functools.cache
def _kernel(first_type: int | None) -> Callable:
    """The kernel that draws edges of one type before all others, or without such a type."""

    def kernel(part, start, stop, rows, indptr, source, edge_type, weights, factors, seed, neighbors, types):
        k = neighbors.shape[1]
        keys, kept = np.empty(k, np.float64), np.empty(k, np.int64)
        num_edges = indptr[indptr.size - 1]  # counters of the slots to fill follow those of the edges
        for place in range(start, stop):
            i = rows[place] if rows.size else place
            first_edge, last_edge = indptr[i], indptr[i + 1]
            degree = last_edge - first_edge
            if degree > k:
                bar = _first_bar(weights, factors, first_edge, last_edge, k) if first_type is None else np.inf
                by = (weights, factors, edge_type, first_type, seed, first_edge, last_edge)
                if _keep_smallest(*by, bar, keys, kept) < k:
                    _keep_smallest(*by, np.inf, keys, kept)
                _sort(kept)
            else:
                slots_from = num_edges + i * k
                _repeat_drawn(weights, factors, edge_type, first_type, seed, slots_from, first_edge, degree, kept)
            for slot in range(k):
                neighbors[place, slot] = source[kept[slot]]
                types[place, slot] = edge_type[kept[slot]]

    return compile_rows(kernel)
