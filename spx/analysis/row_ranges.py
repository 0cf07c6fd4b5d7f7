"""Going through the rows of a CSR in ranges, and what the measures share. N nodes, M attention edges."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spx.errors import ArtifactError
from spx.graph.csr import AttentionGraph
from spx.graph.segments import segment_sum
from spx.kernels.compiled_rows import row_ranges

CHUNK_EDGES = 1 << 22  # edges held at a time: a measure's own memory doesn't grow with M


class RowRange(NamedTuple):
    """Consecutive rows of a graph.

    Args:
        rows: slice of the nodes.
        edges: slice of their attention edges.
        indptr: [rows + 1] int64, from 0: row i of the range is `indptr[i]:indptr[i + 1]` of the slice's edges.
    """

    rows: slice
    edges: slice
    indptr: Tensor

    def of_edge(self) -> Tensor:
        """Row of each edge, counted within the range."""
        return torch.repeat_interleave(self.indptr.diff(), output_size=self.edges.stop - self.edges.start)


def ranges_of(graph: AttentionGraph, chunk_edges: int = CHUNK_EDGES) -> Iterator[RowRange]:
    """The graph's rows in ranges of about `chunk_edges` edges; a longer row is a range of its own. Without rows, one
    empty range."""
    for start, stop in row_ranges(graph.indptr, 1 + graph.num_edges // chunk_edges) or [(0, 0)]:
        first, last = int(graph.indptr[start]), int(graph.indptr[stop])
        yield RowRange(slice(start, stop), slice(first, last), graph.indptr[start : stop + 1] - first)


def per_row(graph: AttentionGraph, function: Callable[..., Tensor], *of_edges: Tensor, **ranges: int) -> Tensor:
    """Call `function(range, *parts)` for each range of rows, with the ranges' parts of the [M, ...] tensors, and join
    its answers: [N, ...] of one entry a row, or [M, ...] of one an edge. `ranges` goes to `ranges_of`."""
    for values in of_edges:
        check_edges(graph, values)
    parts = ranges_of(graph, **ranges)
    return torch.cat([function(part, *(values[part.edges] for values in of_edges)) for part in parts])


def row_sums(graph: AttentionGraph, values: Tensor) -> Tensor:
    """Sum of each row in float64: [M, ...] to [N, ...]; an empty row gives 0."""
    return per_row(graph, lambda part, of_part: segment_sum(of_part.double(), part.indptr), values)


def uniform_weights(graph: AttentionGraph) -> Tensor:
    """Attention that has learned nothing: 1 / d_i on each of node i's d_i edges, [M] float32."""
    degrees = graph.degrees()
    return torch.repeat_interleave(1 / degrees.float(), degrees, output_size=graph.num_edges)


def with_choice(graph: AttentionGraph) -> Tensor:
    """Nodes of at least two attention edges, [N] bool: the others can't but attend to what they have."""
    return graph.degrees() > 1


def select_rows(graph: AttentionGraph, num_rows: int) -> tuple[AttentionGraph, Tensor]:
    """At most `num_rows` rows, evenly spaced, as a graph of their own, and the places [M'] of its edges among the M."""
    step = max(1, -(-graph.num_nodes // num_rows))
    starts, degrees = graph.indptr[:-1:step], graph.degrees()[::step]
    indptr = torch.cat((degrees.new_zeros(1), degrees.cumsum(0)))
    edges = torch.repeat_interleave(starts - indptr[:-1], degrees) + torch.arange(int(indptr[-1]), device=indptr.device)
    return AttentionGraph(indptr, graph.source[edges], graph.edge_type[edges]), edges


def sorted_in_rows(indptr: Tensor, values: Tensor, descending: bool = False) -> Tensor:
    """Positions [M] that sort the values [M] of each row, rows in their order; equal values keep theirs."""
    rows = torch.repeat_interleave(indptr.diff(), output_size=values.numel())
    order = values.argsort(stable=True, descending=descending)
    return order[rows[order].argsort(stable=True)]


def check_edges(graph: AttentionGraph, values: Tensor) -> None:
    """Refuse scores of another graph.

    Raises:
        ArtifactError: there isn't one value for each attention edge.
    """
    if values.shape[0] != graph.num_edges:
        raise ArtifactError(
            f"There are {values.shape[0]:,} scores for {graph.num_edges:,} attention edges: those of another graph. "
            "Analyse score files of one graph together."
        )
