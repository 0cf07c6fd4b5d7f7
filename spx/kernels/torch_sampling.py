"""Weighted draws without replacement from the rows of a CSR in plain tensor operations, on any device.

Rows go through in chunks, and within a chunk in groups of like degree (up to the next power of two): each group is a
padded matrix, so that one top-k serves many rows and the padding never more than doubles the work.
"""

import torch
from torch import Tensor

from spx.kernels.compiled_rows import bounds_of_rows, row_ranges
from spx.kernels.noise import DRAWN_FIRST, LARGEST_WEIGHT, SMALLEST_WEIGHT, uniform

CHUNK_EDGES = 1 << 22  # edges whose keys are held at a time


def draw(
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    weights: Tensor | None,
    k: int,
    seed: int,
    random: bool = True,
    first_type: int | None = None,
    rows: Tensor | None = None,
    factors: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sources [N, K] and types [N, K] of the drawn edges, or of the largest weights where `random` is false; edges of
    `first_type` before all others; of `rows` [n] alone where they are given; weights times `factors` [M], if given. See
    `spx.graph.sampling.sample_neighbors`."""
    num_edges, bounds = source.numel(), bounds_of_rows(indptr, rows)
    chosen = torch.empty(bounds.numel() - 1, k, dtype=torch.int64, device=indptr.device)
    for start, stop in row_ranges(bounds, 1 + int(bounds[-1]) // CHUNK_EDGES):
        local = bounds[start : stop + 1] - bounds[start]
        of_chunk = torch.arange(start, stop, device=indptr.device) if rows is None else rows[start:stop]
        edges = torch.repeat_interleave(indptr[of_chunk] - local[:-1], local.diff(), output_size=int(local[-1]))
        edges += torch.arange(edges.numel(), device=edges.device)
        if weights is None:
            drawn_by = torch.ones(edges.numel(), device=indptr.device)
        else:
            given = weights[edges.to(weights.device)].to(indptr.device, torch.float32)
            if factors is not None:
                given = given * factors[edges.to(factors.device)].to(indptr.device)
            drawn_by = torch.where(given > SMALLEST_WEIGHT, given, SMALLEST_WEIGHT)
        if first_type is not None:
            drawn_by = drawn_by.double().clamp_(max=LARGEST_WEIGHT)
            drawn_by[edge_type[edges] == first_type] *= DRAWN_FIRST
        slots = num_edges + of_chunk[:, None] * k + torch.arange(k, device=indptr.device)
        chosen[start:stop] = edges[_choose(local, drawn_by, k, seed, edges, slots, random)]
    return source[chosen], edge_type[chosen]


def _choose(indptr: Tensor, weights: Tensor, k: int, seed: int, edges: Tensor, slots: Tensor, random: bool) -> Tensor:
    """Chosen edges of each row as positions in `weights`: [rows, k] int64.

    Args:
        edges: counters of the edges' random numbers, of the shape of `weights`.
        slots: [rows, k] counters of the slots' random numbers, for rows of fewer than k edges.
    """
    degrees = indptr.diff()
    keys = uniform(seed, edges).log_().neg_() / weights if random else -weights.double()
    chosen = torch.empty_like(slots)
    width_class = torch.log2(degrees.double()).ceil_().long()
    for exponent in width_class.unique().tolist():
        rows = (width_class == exponent).nonzero().squeeze(1)
        width = int(degrees[rows].max())
        columns = torch.arange(width, device=weights.device)
        inside = columns < degrees[rows, None]
        place = indptr[rows, None] + torch.where(inside, columns, 0)
        ranked = _smallest(torch.where(inside, keys[place], torch.inf), min(k, width), stable=not random)
        ranked = torch.nn.functional.pad(ranked, (0, k - ranked.shape[1]))
        best = ranked.sort(dim=1).values
        short = degrees[rows] <= k
        if short.any():
            of_short = torch.where(inside, weights[place], 0)[short]
            fill = uniform(seed, slots[rows[short]]) if random else None
            best[short] = _fill_short_rows(ranked[short], degrees[rows[short], None], of_short, fill)
        chosen[rows] = indptr[rows, None] + best
    return chosen


def _smallest(keys: Tensor, k: int, stable: bool) -> Tensor:
    if stable:  # equal weights: the first ones
        return keys.sort(dim=1, stable=True).indices[:, :k]
    return keys.topk(k, dim=1, largest=False).indices


def _fill_short_rows(ranked: Tensor, degrees: Tensor, weights: Tensor, fill: Tensor | None) -> Tensor:
    """Give each row of at most k edges all of its edges, then repeats: [rows, k] positions within the row.

    Args:
        ranked: [rows, k] positions of the smallest keys.
        degrees: [rows, 1] edges of each row.
        weights: [rows, width], zero in the padding.
        fill: [rows, k] uniform numbers that choose the repeats, or None to repeat in ranked order.
    """
    slots = torch.arange(ranked.shape[1], device=ranked.device)
    if fill is None:
        return ranked.gather(1, slots % degrees)
    cumulative = weights.double().cumsum(1)
    target = fill * cumulative.gather(1, degrees - 1)
    repeats = torch.minimum(torch.searchsorted(cumulative, target, right=True), degrees - 1)
    return torch.where(slots < degrees, slots, repeats)
