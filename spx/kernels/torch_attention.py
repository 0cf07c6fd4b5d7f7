"""The attention of `spx.kernels.formula` in tensor operations, a range of rows at a time: for devices without a
compiler.

Holds [M_range, H, D] of one range of rows only; the backward computes the weights again. Half precision is computed and
summed in float32.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spx.kernels.compiled_rows import row_ranges
from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND, Rows, Scoring

CHUNK_ELEMENTS = 1 << 23  # of an [M_range, H, D] tensor


class RowRange(NamedTuple):
    """The edges of rows `start` to `stop`, each one's row counted from `start`, and what the formula gives for them."""

    start: int
    stop: int
    row: Tensor
    source: Tensor
    edge_type: Tensor
    typed_query: Tensor
    mass: Tensor
    inside: Tensor


def forward(query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    query, key, value = _at_least_fp32(query, key, value)
    out, mass = torch.zeros_like(query), query.new_zeros(query.shape[:2])
    for part in _ranges(query, key, rows, scoring):
        here = slice(part.start, part.stop)
        mass[here].index_add_(0, part.row, part.mass)
        out[here].index_add_(0, part.row, part.mass.unsqueeze(-1) * value.index_select(0, part.source))
    return out / _positive(mass).unsqueeze(-1), mass


def backward(
    grad_out: Tensor, out: Tensor, mass: Tensor, query: Tensor, key: Tensor, value: Tensor, rows: Rows, scoring: Scoring
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `spx.kernels.row_attention`."""
    given = query.dtype
    query, key, value = _at_least_fp32(query, key, value)
    grad_query, grad_key, grad_value, grad_scale, grad_bias = map(
        torch.zeros_like, (query, key, value, scoring.edge_scale, scoring.edge_bias)
    )
    delta, share = (grad_out * out).sum(-1), 1 / _positive(mass)
    for part in _ranges(query, key, rows, scoring):
        here = slice(part.start, part.stop)
        p = part.mass * share[here].index_select(0, part.row)
        grad_of_row = grad_out[here].index_select(0, part.row)
        grad_p = (grad_of_row * value.index_select(0, part.source)).sum(-1)
        grad_score = p * (grad_p - delta[here].index_select(0, part.row)) / scoring.temperature * part.inside
        grad_value.index_add_(0, part.source, p.unsqueeze(-1) * grad_of_row)
        grad_key.index_add_(0, part.source, grad_score.unsqueeze(-1) * part.typed_query)
        grad_bias.index_add_(0, part.edge_type, grad_score)
        grad_typed = query.new_zeros(part.stop - part.start, NUM_EDGE_TYPES, *query.shape[1:])
        grad_typed.flatten(0, 1).index_add_(
            0, part.row * NUM_EDGE_TYPES + part.edge_type, grad_score.unsqueeze(-1) * key.index_select(0, part.source)
        )
        grad_query[here] = (grad_typed * scoring.edge_scale).sum(1)
        grad_scale += (grad_typed * query[here, None]).sum(0)
    return grad_query.to(given), grad_key.to(given), grad_value.to(given), grad_scale, grad_bias


def weights(mass: Tensor, query: Tensor, key: Tensor, rows: Rows, scoring: Scoring) -> Tensor:
    """See `spx.kernels.row_attention`."""
    query, key = _at_least_fp32(query, key)
    share = 1 / _positive(mass)
    parts = _ranges(query, key, rows, scoring)
    p = [part.mass * share[part.start : part.stop].index_select(0, part.row) for part in parts]
    return torch.cat([mass.new_zeros(0, mass.shape[1]), *p])


def _ranges(query: Tensor, key: Tensor, rows: Rows, scoring: Scoring) -> Iterator[RowRange]:
    edge_scale, edge_bias, temperature = scoring
    edges_a_range = max(1, CHUNK_ELEMENTS // query[0].numel()) if query.shape[0] else 1
    for start, stop in row_ranges(rows.indptr, 1 + rows.num_edges // edges_a_range):
        edges = slice(int(rows.indptr[start]), int(rows.indptr[stop]))
        source, edge_type = rows.source[edges].long(), rows.edge_type[edges].long()
        row = torch.repeat_interleave(rows.indptr[start : stop + 1].diff(), output_size=source.numel())
        typed = (query[start:stop, None] * edge_scale).flatten(0, 1)
        typed_query = typed.index_select(0, row * NUM_EDGE_TYPES + edge_type)
        scores = (typed_query * key.index_select(0, source)).sum(-1) + edge_bias.index_select(0, edge_type)
        scores = scores / temperature
        mass = scores.clamp(-SCORE_BOUND, SCORE_BOUND).exp()
        yield RowRange(start, stop, row, source, edge_type, typed_query, mass, scores.abs() <= SCORE_BOUND)


def _at_least_fp32(*tensors: Tensor) -> list[Tensor]:
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def _positive(mass: Tensor) -> Tensor:
    """The mass, with one for the nothing of an empty row."""
    return torch.where(mass > 0, mass, 1)
