"""Rows of attention edges built from a list of edges on the CPU: a counting sort over the rows, then one of each row.

Threads share no row. Each reads all edges and takes those into its own rows, so nothing is written twice at once and
the result is the same for any number of threads.
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
NO_TABLE = np.empty((0, 0), np.int32)
GRAPH, EXPANDER, SELF_LOOP = (np.uint8(int(edge_type)) for edge_type in EdgeType)


def distinct_rows(edge_index: Tensor, rows: range) -> tuple[Tensor, Tensor]:
    """Row pointers [rows + 1] int64 and sources int32, ascending within a row. See `spx.graph.csr.distinct_edges`."""
    source, target = (side.contiguous().numpy() for side in edge_index)
    most = num_threads(NS_PER_EDGE * source.size)
    kernels, first_row = _kernels(), np.int64(rows.start)

    counts = torch.zeros(len(rows), dtype=torch.int64)
    nodes = torch.arange(len(rows) + 1)
    run_over(kernels.count, row_ranges(nodes, most), source, target, first_row, counts.numpy())
    bounds = _pointers(counts)

    found, ends = torch.empty(int(bounds[-1]), dtype=torch.int32), bounds[:-1].clone()
    ranges = row_ranges(bounds, most)
    run_over(kernels.fill, ranges, source, target, first_row, bounds.numpy(), ends.numpy(), found.numpy())
    indptr = _pointers(ends - bounds[:-1])
    if indptr[-1] == bounds[-1]:
        return indptr, found

    distinct = torch.empty(int(indptr[-1]), dtype=torch.int32)
    run_over(kernels.compact, ranges, bounds.numpy(), indptr.numpy(), found.numpy(), distinct.numpy())
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
    fill: Callable
    compact: Callable
    add: Callable


@functools.cache
def _kernels() -> AugmentKernels:
    def count(part, start, stop, source, target, first_row, counts):
        for e in range(target.size):
            row = target[e] - first_row
            if start <= row < stop and source[e] != target[e]:
                counts[row] += 1

    def fill(part, start, stop, source, target, first_row, bounds, ends, found):
        """Each row's sources, sorted, distinct ones first. `ends` are where these end, at first where rows begin."""
        for e in range(target.size):
            row = target[e] - first_row
            if start <= row < stop and source[e] != target[e]:
                place = ends[row]
                found[place] = source[e]
                ends[row] = place + 1
        for row in range(start, stop):
            of_row = found[bounds[row] : bounds[row + 1]]
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

    return AugmentKernels(*map(compile_rows, (count, fill, compact, add)))
