"""Attention over CSR rows in plain tensor operations, a range of rows at a time: for devices without a compiler.

Holds [M_range, H, D] of one range of rows only; the backward computes the weights again. Half precision is computed and
summed in float32.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spx.kernels.rows import row_ranges

SCORE_BOUND = 8.0
CHUNK_ELEMENTS = 1 << 23  # of an [M_range, H, D] tensor
NUM_EDGE_TYPES = 3


class RowRange(NamedTuple):
    """The edges of rows `start` to `stop`: [E] each, and what the formula gives for them."""

    start: int
    stop: int
    rows: Tensor
    source: Tensor
    edge_type: Tensor
    typed_query: Tensor
    mass: Tensor
    inside: Tensor


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    query, key, value = _at_least_fp32(query, key, value)
    out, mass = torch.zeros_like(query), query.new_zeros(query.shape[:2])
    for part in _ranges(query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature):
        here = slice(part.start, part.stop)
        mass[here].index_add_(0, part.rows, part.mass)
        out[here].index_add_(0, part.rows, part.mass.unsqueeze(-1) * value.index_select(0, part.source))
    return out / _positive(mass).unsqueeze(-1), mass


def backward(
    grad_out: Tensor,
    out: Tensor,
    mass: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    given = query.dtype
    query, key, value = _at_least_fp32(query, key, value)
    grad_query, grad_key, grad_value, grad_scale, grad_bias = map(
        torch.zeros_like, (query, key, value, edge_scale, edge_bias)
    )
    delta, share = (grad_out * out).sum(-1), 1 / _positive(mass)
    for part in _ranges(query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature):
        here = slice(part.start, part.stop)
        p = part.mass * share[here].index_select(0, part.rows)
        grad_of_row = grad_out[here].index_select(0, part.rows)
        grad_p = (grad_of_row * value.index_select(0, part.source)).sum(-1)
        grad_score = p * (grad_p - delta[here].index_select(0, part.rows)) / temperature * part.inside
        grad_value.index_add_(0, part.source, p.unsqueeze(-1) * grad_of_row)
        grad_key.index_add_(0, part.source, grad_score.unsqueeze(-1) * part.typed_query)
        grad_bias.index_add_(0, part.edge_type, grad_score)
        grad_typed = query.new_zeros(part.stop - part.start, NUM_EDGE_TYPES, *query.shape[1:])
        grad_typed.flatten(0, 1).index_add_(
            0, part.rows * NUM_EDGE_TYPES + part.edge_type, grad_score.unsqueeze(-1) * key.index_select(0, part.source)
        )
        grad_query[here] = (grad_typed * edge_scale).sum(1)
        grad_scale += (grad_typed * query[here, None]).sum(0)
    return grad_query.to(given), grad_key.to(given), grad_value.to(given), grad_scale, grad_bias


def weights(
    mass: Tensor,
    query: Tensor,
    key: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> Tensor:
    """See `spx.kernels.row_attention`."""
    query, key = _at_least_fp32(query, key)
    share = 1 / _positive(mass)
    parts = _ranges(query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature)
    p = [part.mass * share[part.start : part.stop].index_select(0, part.rows) for part in parts]
    return torch.cat([mass.new_zeros(0, mass.shape[1]), *p])


def _ranges(
    query: Tensor,
    key: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> Iterator[RowRange]:
    edges_a_range = max(1, CHUNK_ELEMENTS // query[0].numel()) if query.shape[0] else 1
    for start, stop in row_ranges(indptr, 1 + source.numel() // edges_a_range):
        edges = slice(int(indptr[start]), int(indptr[stop]))
        sources, types = source[edges].long(), edge_type[edges].long()
        degrees = indptr[start : stop + 1].diff()
        rows = torch.repeat_interleave(degrees, output_size=sources.numel())
        typed = (query[start:stop, None] * edge_scale).flatten(0, 1)
        typed_query = typed.index_select(0, rows * NUM_EDGE_TYPES + types)
        scores = (typed_query * key.index_select(0, sources)).sum(-1) + edge_bias.index_select(0, types)
        scores = scores / temperature
        mass = scores.clamp(-SCORE_BOUND, SCORE_BOUND).exp()
        yield RowRange(start, stop, rows, sources, types, typed_query, mass, scores.abs() <= SCORE_BOUND)


def _at_least_fp32(*tensors: Tensor) -> list[Tensor]:
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def _positive(mass: Tensor) -> Tensor:
    """The mass, with one for the nothing of an empty row."""
    return torch.where(mass > 0, mass, 1)
