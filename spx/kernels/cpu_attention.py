"""The attention of `spx.kernels.formula` on the CPU, forward and backward, compiled for one width of the heads.

An edge costs one dot product and one scaled addition a head. Nothing of the size of M * D is held, as the backward
computes the weights again. Rows of K and V are fetched ahead, since they are read in random order: waiting for memory
is most of the time otherwise.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.kernels.compiled_rows import compile_rows, num_threads, row_ranges, run_over
from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND, Rows, Scoring
from spx.kernels.vector import CACHE_LINE, add_product, add_scaled, address, bounded_exp, dot, prefetch

AHEAD = 16  # edges between fetching a row and using it
FLUSH_ROWS = 64  # rows whose dE1 and dE2 are summed before they are added to the float64 totals


class RowKernels(NamedTuple):
    forward: Callable
    backward: Callable
    weights: Callable


def forward(query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    (query,) = _contiguous(query)
    out, mass = torch.empty_like(query), query.new_empty(query.shape[:2])
    run_over(
        _kernels_for(query).forward,
        row_ranges(rows.indptr, _threads(query, rows)),
        *_arrays(query, _paired(key, value), *rows),
        *_scoring(scoring, query),
        *_arrays(out, mass),
    )
    return out, mass


def backward(
    grad_out: Tensor, out: Tensor, mass: Tensor, query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `spx.kernels.row_attention`. Each thread adds to a dK and dV of its own, which are summed at the end."""
    query, grad_out, out = _contiguous(query, grad_out, out)
    num_in = max(1, key.shape[0])
    worth = 2 + rows.num_edges // (2 * num_in)  # a thread must have more edges than its dK has rows
    ranges = row_ranges(rows.indptr, min(_threads(query, rows), worth))
    grad_query = torch.zeros_like(query)
    grad_pairs = _zeros(query, max(1, len(ranges)), key.shape[0], 2, *key.shape[1:])
    grad_scale = torch.zeros(grad_pairs.shape[0], *scoring.edge_scale.shape, dtype=torch.float64)
    grad_bias = torch.zeros(grad_pairs.shape[0], *scoring.edge_bias.shape, dtype=torch.float64)
    run_over(
        _kernels_for(query).backward,
        ranges,
        *_arrays(grad_out, out, mass, query, _paired(key, value), *rows),
        *_scoring(scoring, query),
        *_arrays(grad_query, grad_pairs, grad_scale, grad_bias),
    )
    grad_key, grad_value = (grad_pairs[:, :, which].sum(0) for which in (0, 1))
    return grad_query, grad_key, grad_value, *(grad.sum(0).to(query.dtype) for grad in (grad_scale, grad_bias))


def weights(mass: Tensor, query: Tensor, key: Tensor, rows: Rows, scoring: Scoring) -> Tensor:
    """See `spx.kernels.row_attention`."""
    query, key = _contiguous(query, key)
    p = query.new_empty(rows.num_edges, query.shape[1])
    run_over(
        _kernels_for(query).weights,
        row_ranges(rows.indptr, _threads(query, rows)),
        *_arrays(mass, query, key, *rows),
        *_scoring(scoring, query),
        *_arrays(p),
    )
    return p


def _threads(query: Tensor, rows: Rows) -> int:
    return num_threads(rows.num_edges * (10 * query.shape[1] + query[0].numel() if query.shape[0] else 0))


def _paired(key: Tensor, value: Tensor) -> Tensor:
    """K and V side by side, [N_in, 2, H, D]: one place in memory for an edge to read."""
    pairs = _zeros(key, key.shape[0], 2, *key.shape[1:])
    pairs[:, 0], pairs[:, 1] = key.detach(), value.detach()
    return pairs


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """Memory of NumPy's lies on huge pages where the system has them; it starts with a cache line here."""
    kind = _kind(like)
    size = math.prod(shape) * kind.itemsize
    memory = np.zeros(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return torch.from_numpy(memory[start : start + size].view(kind).reshape(shape))


def _contiguous(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().contiguous() for tensor in tensors]


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in tensors]


def _scoring(scoring: Scoring, like: Tensor) -> tuple[np.ndarray, np.ndarray, np.floating]:
    """As the kernels take it: 1 / T in place of T."""
    edge_scale, edge_bias = _arrays(*_contiguous(scoring.edge_scale, scoring.edge_bias))
    return edge_scale, edge_bias, _kind(like).type(1 / float(scoring.temperature))


def _kind(tensor: Tensor) -> np.dtype:
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def _kernels_for(query: Tensor) -> RowKernels:
    return _compiled(query.shape[2], _kind(query).name)


@functools.cache
def _compiled(D: int, kind: str) -> RowKernels:
    """Kernels for heads of width D over numbers of one kind: a width that the compiler knows makes it use vectors."""
    number = np.dtype(kind).type
    head = D * number().itemsize  # bytes of one head's slice of a row
    zero, one, bound = number(0), number(1), number(SCORE_BOUND)

    def forward(
        part, start, stop, query, pairs, indptr, source, edge_type, edge_scale, edge_bias, inverse, out, mass
    ):  # fmt: skip
        H = query.shape[1]
        row = H * head
        typed, total, summed = np.empty((NUM_EDGE_TYPES, H, D), number), np.empty(H, number), np.empty((H, D), number)
        pair = 2 * row
        at_query, at_scale = address(query), address(edge_scale)
        at_typed, at_summed, at_key = address(typed), address(summed), address(pairs)
        at_value = at_key + row
        last = indptr[stop] - 1
        for i in range(start, stop):
            typed[:] = zero
            for t in range(NUM_EDGE_TYPES):
                for h in range(H):
                    here = h * head
                    of_type = t * row + here
                    add_product(at_query + i * row + here, at_scale + of_type, at_typed + of_type, zero, D)
            total[:], summed[:] = zero, zero
            for e in range(indptr[i], indptr[i + 1]):
                ahead = np.intp(source[min(e + AHEAD, last)]) * pair
                for line in range(0, pair, CACHE_LINE):
                    prefetch(at_key + ahead + line)
                j, t = np.intp(source[e]) * pair, np.intp(edge_type[e])
                for h in range(H):
                    here = h * head
                    score = edge_bias[t, h] + dot(at_typed + t * row + here, at_key + j + here, zero, D)
                    m = bounded_exp(score * inverse)
                    total[h] += m
                    add_scaled(m, at_value + j + here, at_summed + here, D)
            for h in range(H):
                mass[i, h] = total[h]
                share = one / total[h] if total[h] > zero else zero
                for d in range(D):
                    out[i, h, d] = summed[h, d] * share

    def backward(
        part, start, stop, grad_out, out, mass, query, pairs, indptr, source, edge_type, edge_scale, edge_bias,
        inverse, grad_query, grads_of_pairs, grad_scales, grad_biases,
    ):  # fmt: skip
        grad_pairs, grad_scale, grad_bias = grads_of_pairs[part], grad_scales[part], grad_biases[part]
        H = query.shape[1]
        row = H * head
        typed, grad_typed = np.empty((NUM_EDGE_TYPES, H, D), number), np.empty((NUM_EDGE_TYPES, H, D), number)
        delta, share = np.empty(H, number), np.empty(H, number)
        scale_of_rows = np.zeros((NUM_EDGE_TYPES, H, D), number)
        bias_of_rows = np.zeros((NUM_EDGE_TYPES, H), number)
        pair = 2 * row
        at_typed, at_grad_typed, at_summed = address(typed), address(grad_typed), address(scale_of_rows)
        at_query, at_scale, at_grad_query = address(query), address(edge_scale), address(grad_query)
        at_out, at_grad_out = address(out), address(grad_out)
        at_key, at_grad_key = address(pairs), address(grad_pairs)
        at_value, at_grad_value = at_key + row, at_grad_key + row
        last = indptr[stop] - 1
        for i in range(start, stop):
            of_row = at_grad_out + i * row
            typed[:], grad_typed[:] = zero, zero
            for h in range(H):
                here = h * head
                share[h] = one / mass[i, h] if mass[i, h] > zero else zero
                delta[h] = dot(of_row + here, at_out + i * row + here, zero, D)
                for t in range(NUM_EDGE_TYPES):
                    of_type = t * row + here
                    add_product(at_query + i * row + here, at_scale + of_type, at_typed + of_type, zero, D)
            for e in range(indptr[i], indptr[i + 1]):
                ahead = np.intp(source[min(e + AHEAD, last)]) * pair
                for line in range(0, pair, CACHE_LINE):
                    prefetch(at_key + ahead + line)
                    prefetch(at_grad_key + ahead + line)
                j, t = np.intp(source[e]) * pair, np.intp(edge_type[e])
                for h in range(H):
                    here = h * head
                    of_type = t * row + here
                    score = edge_bias[t, h] + dot(at_typed + of_type, at_key + j + here, zero, D)
                    score *= inverse
                    p = bounded_exp(score) * share[h]
                    grad_p = dot(of_row + here, at_value + j + here, zero, D)
                    add_scaled(p, of_row + here, at_grad_value + j + here, D)
                    if -bound <= score <= bound:
                        grad_score = p * (grad_p - delta[h]) * inverse
                        add_scaled(grad_score, at_typed + of_type, at_grad_key + j + here, D)
                        add_scaled(grad_score, at_key + j + here, at_grad_typed + of_type, D)
                        bias_of_rows[t, h] += grad_score
            for t in range(NUM_EDGE_TYPES):
                for h in range(H):
                    here = h * head
                    of_type = t * row + here
                    add_product(at_scale + of_type, at_grad_typed + of_type, at_grad_query + i * row + here, zero, D)
                    add_product(at_query + i * row + here, at_grad_typed + of_type, at_summed + of_type, zero, D)
            if i % FLUSH_ROWS == 0 or i == stop - 1:
                grad_scale += scale_of_rows
                grad_bias += bias_of_rows
                scale_of_rows[:], bias_of_rows[:] = zero, zero

    def weights(part, start, stop, mass, query, key, indptr, source, edge_type, edge_scale, edge_bias, inverse, p):
        H = query.shape[1]
        row = H * head
        typed = np.empty((NUM_EDGE_TYPES, H, D), number)
        at_query, at_scale, at_typed, at_key = address(query), address(edge_scale), address(typed), address(key)
        last = indptr[stop] - 1
        for i in range(start, stop):
            typed[:] = zero
            for t in range(NUM_EDGE_TYPES):
                for h in range(H):
                    here = h * head
                    of_type = t * row + here
                    add_product(at_query + i * row + here, at_scale + of_type, at_typed + of_type, zero, D)
            for e in range(indptr[i], indptr[i + 1]):
                ahead = np.intp(source[min(e + AHEAD, last)]) * row
                for line in range(0, row, CACHE_LINE):
                    prefetch(at_key + ahead + line)
                j, t = np.intp(source[e]) * row, np.intp(edge_type[e])
                for h in range(H):
                    here = h * head
                    score = edge_bias[t, h] + dot(at_typed + t * row + here, at_key + j + here, zero, D)
                    p[e, h] = bounded_exp(score * inverse) / mass[i, h]

    return RowKernels(compile_rows(forward), compile_rows(backward), compile_rows(weights))
