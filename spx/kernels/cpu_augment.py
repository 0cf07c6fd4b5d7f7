"""Rows of attention edges built from a list of edges on the CPU, by two counting sorts and a sort of each row.

The first brings edges into buckets of consecutive rows, small enough for the second to stay within the cache: sorted at
once, each edge would wait for memory. Threads take parts of the edges first, then of the buckets, and share nothing
that they write, so the result is the same for any number of them.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.kernels.compiled_rows import compile_rows, num_threads, row_ranges, run_over
from spx.kernels.formula import EdgeType

NS_PER_EDGE = 20
BUCKET_BITS = 10  # about a thousand buckets
NO_TABLE = np.empty((0, 0), np.int32)
GRAPH, EXPANDER, SELF_LOOP = (np.uint8(int(edge_type)) for edge_type in EdgeType)


def distinct_rows(edge_index: Tensor, rows: range) -> tuple[Tensor, Tensor]:
    """Row pointers [rows + 1] int64 and sources int32, ascending within a row. See `spx.graph.csr.distinct_edges`."""
    source, target = (side.contiguous().numpy() for side in edge_index)
    most = num_threads(NS_PER_EDGE * source.size)
    shift = max(0, len(rows).bit_length() - BUCKET_BITS)
    num_buckets = (len(rows) >> shift) + 1
    of_edges, kernels = (source, target, np.int64(rows.start), np.int64(len(rows)), np.int64(shift)), _kernels()

    parts = [(source.size * part // most, source.size * (part + 1) // most) for part in range(most)]
    counts = torch.zeros(num_buckets, most, dtype=torch.int64)
    run_over(kernels.count, parts, *of_edges, counts.numpy())
    places = _pointers(counts.flatten())
    buckets = places[::most].contiguous()  # where each begins
    in_buckets = torch.empty(2, int(places[-1]), dtype=torch.int32)
    places = places[:-1].view(num_buckets, most).clone()
    run_over(kernels.scatter, parts, *of_edges, places.numpy(), *in_buckets.numpy())

    found = torch.empty(in_buckets.shape[1], dtype=torch.int32)
    bounds, ends = torch.empty(len(rows) + 1, dtype=torch.int64), torch.empty(len(rows), dtype=torch.int64)
    bounds[-1] = found.numel()
    run_over(
        kernels.sort, row_ranges(buckets, most),
        buckets.numpy(), np.int64(shift), *in_buckets.numpy(), bounds.numpy(), ends.numpy(), found.numpy(),
    )  # fmt: skip
    del in_buckets
    indptr = _pointers(ends - bounds[:-1])
    if indptr[-1] == bounds[-1]:
        return indptr, found

    distinct = torch.empty(int(indptr[-1]), dtype=torch.int32)
    run_over(kernels.compact, row_ranges(bounds, most), bounds.numpy(), indptr.numpy(), found.numpy(), distinct.numpy())
    return indptr, distinct


def _pointers(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def add_edges(
    graph_indptr: Tensor, graph_source: Tensor, expander: Tensor | None, self_loops: bool, first_row: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Graph edges, then expander edges, then the self-loop of each row: the three tensors of `AttentionGraph`."""
    table = NO_TABLE if expander is None else expander.to(torch.int32).contiguous().numpy()
    num_rows = graph_indptr.numel() - 1
    indptr = graph_indptr + (table.shape[1] + self_loops) * torch.arange(num_rows + 1)
    source = torch.empty(int(indptr[-1]), dtype=torch.int32)
    edge_type = torch.empty(source.numel(), dtype=torch.uint8)
    run_over(
        _kernels().add, row_ranges(indptr, num_threads(source.numel())),
        graph_indptr.numpy(), graph_source.numpy(), table, bool(self_loops), np.int64(first_row),
        indptr.numpy(), source.numpy(), edge_type.numpy(),
    )  # fmt: skip
    return indptr, source, edge_type


class AugmentKernels(NamedTuple):
    count: Callable
    scatter: Callable
    sort: Callable
    compact: Callable
    add: Callable


@functools.cache
def _kernels() -> AugmentKernels:
    def count(part, start, stop, source, target, first_row, num_rows, shift, counts):
        """Edges of each bucket among those from `start` to `stop`, in column `part` of `counts`."""
        own = np.zeros(counts.shape[0], np.int64)
        for e in range(start, stop):
            row = target[e] - first_row
            if 0 <= row < num_rows and source[e] != target[e]:
                own[row >> shift] += 1
        counts[:, part] = own

    def scatter(part, start, stop, source, target, first_row, num_rows, shift, places, row_of, source_of):
        own = places[:, part].copy()
        for e in range(start, stop):
            row = target[e] - first_row
            if 0 <= row < num_rows and source[e] != target[e]:
                place = own[row >> shift]
                row_of[place], source_of[place] = row, source[e]
                own[row >> shift] = place + 1

    def sort(part, start, stop, buckets, shift, row_of, source_of, bounds, ends, found):
        """Each row's sources, sorted, distinct ones first; where rows begin and where their distinct sources end."""
        for bucket in range(start, stop):
            first_row, last_row = bucket << shift, min((bucket + 1) << shift, ends.size)
            counts = np.zeros(last_row - first_row, np.int64)
            for e in range(buckets[bucket], buckets[bucket + 1]):
                counts[row_of[e] - first_row] += 1
            place = buckets[bucket]
            for row in range(first_row, last_row):
                bounds[row] = ends[row] = place
                place += counts[row - first_row]
            for e in range(buckets[bucket], buckets[bucket + 1]):
                place = ends[row_of[e]]
                found[place] = source_of[e]
                ends[row_of[e]] = place + 1
            for row in range(first_row, last_row):
                of_row = found[bounds[row] : ends[row]]
                of_row.sort()
                kept = min(1, of_row.size)
                for place in range(1, of_row.size):
                    if of_row[place] != of_row[kept - 1]:
                        of_row[kept] = of_row[place]
                        kept += 1
                ends[row] = bounds[row] + kept

    def compact(part, start, stop, bounds, indptr, found, distinct):
        for row in range(start, stop):
            size = indptr[row + 1] - indptr[row]
            distinct[indptr[row] : indptr[row + 1]] = found[bounds[row] : bounds[row] + size]

    def add(part, start, stop, graph_indptr, graph_source, table, self_loops, first_row, indptr, source, edge_type):
        for row in range(start, stop):
            place = indptr[row]
            for e in range(graph_indptr[row], graph_indptr[row + 1]):
                source[place], edge_type[place] = graph_source[e], GRAPH
                place += 1
            for column in range(table.shape[1]):
                source[place], edge_type[place] = table[row, column], EXPANDER
                place += 1
            if self_loops:
                source[place], edge_type[place] = first_row + row, SELF_LOOP

    return AugmentKernels(*map(compile_rows, (count, scatter, sort, compact, add)))
