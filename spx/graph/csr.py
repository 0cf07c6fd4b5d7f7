"""The attention graph: which node attends to which, stored as compressed sparse rows (CSR).

Direction, stated here once for the whole package: row i lists the nodes that node i attends to, and
attention is normalised over row i. A message-passing edge j -> i of a dataset (column (j, i) of its
`edge_index`) therefore lies in row i with source j.

Letters: N nodes, M attention edges, E edges of the dataset.
"""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from spx.errors import DatasetError
from spx.kernels.compiled_rows import can_compile
from spx.kernels.formula import NUM_EDGE_TYPES, EdgeType

CHUNK_EDGES = 1 << 24  # edges handled at a time where int64 temporaries would double the memory
COMPILED_EDGES = 1 << 20  # from here on a compiled build on the CPU is worth loading its compiler


class AttentionGraph(NamedTuple):
    """Attention edges by attending node.

    Args:
        indptr: [N + 1] int64, row i is the slice `indptr[i]:indptr[i + 1]` of the other two.
        source: [M] int32, the node attended to.
        edge_type: [M] uint8, see `spx.kernels.formula.EdgeType`.
    """

    indptr: Tensor
    source: Tensor
    edge_type: Tensor

    @property
    def num_nodes(self) -> int:
        return self.indptr.numel() - 1

    @property
    def num_edges(self) -> int:
        return self.source.numel()

    def degrees(self) -> Tensor:
        """Attention edges of each row, [N] int64."""
        return self.indptr.diff()

    def rows(self) -> Tensor:
        """Attending node of each edge, [M] int64, ascending."""
        return torch.repeat_interleave(self.degrees(), output_size=self.num_edges)

    def edge_index(self) -> Tensor:
        """The edges as PyG writes them, [2, M] int64: source above, attending node below."""
        return torch.stack((self.source.long(), self.rows()))

    def select(self, edge_type: EdgeType) -> "AttentionGraph":
        """The same nodes with the edges of one type alone."""
        keep = self.edge_type == edge_type
        kept_before = torch.cat((keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)))
        return AttentionGraph(kept_before[self.indptr], self.source[keep], self.edge_type[keep])

    def fingerprint(self) -> str:
        """SHA-256 of the three tensors."""
        return fingerprint(*self)

    def check(self) -> "AttentionGraph":
        """Return self when the three tensors are a valid graph.

        Raises:
            DatasetError: a row pointer falls, a length differs, or a source or type is out of range.
        """
        problem = None
        dtypes = tuple(tensor.dtype for tensor in self)
        if self.num_nodes < 1:
            problem = "it has no node"
        elif dtypes != (torch.int64, torch.int32, torch.uint8):
            problem = f"its tensors are {dtypes}, not int64, int32 and uint8"
        elif self.indptr[0] != 0 or self.indptr[-1] != self.num_edges or (self.degrees() < 0).any():
            problem = f"indptr must rise from 0 to the number of edges, {self.num_edges:,}"
        elif self.edge_type.shape != self.source.shape:
            problem = f"{self.num_edges:,} sources stand beside {self.edge_type.numel():,} edge types"
        elif self.num_edges and not (self.source.min() >= 0 and self.source.max() < self.num_nodes):
            problem = f"a source lies outside [0, {self.num_nodes:,})"
        elif self.num_edges and self.edge_type.max() >= NUM_EDGE_TYPES:
            problem = f"an edge type lies outside [0, {NUM_EDGE_TYPES})"
        if problem:
            raise DatasetError(f"The attention graph is damaged: {problem}. Build it again.")
        return self


def fingerprint(*tensors: Tensor) -> str:
    """SHA-256 over types, shapes and values, the same on every device and platform."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        if tensor.numel():  # bytes of nothing can't be viewed where its stride is 0
            digest.update(tensor.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def distinct_edges(edge_index: Tensor, num_nodes: int, rows: range | None = None) -> tuple[Tensor, Tensor]:
    """Sort a dataset's edges by attending node, dropping duplicates and self-loops.

    Args:
        edge_index: [2, E] int64, source above target, in any order, directed as given.
        num_nodes: N; isolated nodes get an empty row.
        rows: consecutive attending nodes, whose edges alone are wanted; default: all N.

    Returns:
        `indptr` [rows + 1] int64 and `source` [E'] int32, each row ascending, E' <= E.

    Raises:
        DatasetError: an endpoint lies outside [0, N).
    """
    if edge_index.numel():
        low, high = (int(end) for end in edge_index.aminmax())
        if low < 0 or high >= num_nodes:
            raise DatasetError(
                f"edge_index holds node {low if low < 0 else high}, but the graph has nodes 0 to {num_nodes - 1}. "
                "Renumber the nodes or pass the right number of nodes."
            )
    rows = range(num_nodes) if rows is None else rows
    if _is_compiled(edge_index):
        from spx.kernels.cpu_augment import distinct_rows

        return distinct_rows(edge_index, rows)
    key = _keys(edge_index, num_nodes, rows)
    if key.device.type == "cpu":
        key.numpy().sort()  # several times as fast as torch's, and in place: with 100M edges the keys are 0.8 GB
    else:
        key = key.sort().values
    if key.numel():
        first = torch.ones_like(key, dtype=torch.bool)
        torch.ne(key[1:], key[:-1], out=first[1:])
        key = key[first]
    indptr = torch.searchsorted(key, torch.arange(len(rows) + 1, device=key.device) * num_nodes)
    return indptr, key.remainder_(num_nodes).to(torch.int32)


def _is_compiled(edge_index: Tensor) -> bool:
    worth = edge_index.device.type == "cpu" and edge_index.shape[1] >= COMPILED_EDGES
    return worth and can_compile()


def _keys(edge_index: Tensor, num_nodes: int, rows: range) -> Tensor:
    """A number for each edge into the rows that isn't a self-loop, by which rows, then sources ascend: int64."""
    source, target = edge_index
    wanted = source != target
    if len(rows) == num_nodes:
        return (target * num_nodes + source)[wanted]
    wanted &= (target >= rows.start) & (target < rows.stop)
    return (target[wanted] - rows.start) * num_nodes + source[wanted]


def augment(
    edge_index: Tensor,
    num_nodes: int,
    expander: Tensor | None = None,
    self_loops: bool = True,
    rows: range | None = None,
) -> AttentionGraph:
    """Graph edges, then expander edges, then the self-loop of each node, as one CSR (method of Exphormer,
    arXiv 2303.06147, without virtual nodes).

    Duplicated edges of the dataset count once and its self-loops give way to the added ones. Directed
    edges stay directed. An expander edge that runs beside a graph edge stays a candidate of its own:
    the two carry different types. No sort of the result is needed: the expander is a regular table, so
    each edge's place follows from its row alone.

    Args:
        edge_index: [2, E] int64, source above target.
        num_nodes: N.
        expander: [N, 2D] int32 table of expander neighbours (`spx.graph.expander`), or None.
        self_loops: whether each node attends to itself.
        rows: consecutive attending nodes, whose rows alone are built, `expander` being of them; default: all N.

    Returns:
        The graph over M = E' + 2DN (+ N) attention edges; of `rows`, with sources among all N nodes.

    Example:
        >>> import torch
        >>> from spx.graph.expander import build_expander
        >>> edge_index = torch.tensor([[0, 1], [1, 2]])  # 1 attends to 0, 2 to 1
        >>> graph = augment(edge_index, 20, build_expander(20, degree=3, seed=0))
        >>> graph.num_nodes, graph.num_edges  # 2 edges, 2 x 3 expander edges and a self-loop for each node
        (20, 142)
        >>> graph.degrees()[:3]
        tensor([7, 8, 8])
    """
    device = edge_index.device
    rows = range(num_nodes) if rows is None else rows
    graph_indptr, graph_source = distinct_edges(edge_index, num_nodes, rows)
    if _is_compiled(edge_index):
        from spx.kernels.cpu_augment import add_edges

        return AttentionGraph(*add_edges(graph_indptr, graph_source, expander, self_loops, rows.start))
    expander_degree = 0 if expander is None else expander.shape[1]
    added = expander_degree + self_loops
    indptr = graph_indptr + added * torch.arange(len(rows) + 1, device=device)
    source = torch.empty(graph_source.numel() + added * len(rows), dtype=torch.int32, device=device)
    edge_type = torch.empty(source.numel(), dtype=torch.uint8, device=device)

    rows_a_chunk = max(1, CHUNK_EDGES // max(1, added + graph_source.numel() // max(1, len(rows))))
    columns = torch.arange(expander_degree, device=device)
    for start in range(0, len(rows), rows_a_chunk):
        stop = min(start + rows_a_chunk, len(rows))
        nodes = torch.arange(start, stop, device=device)
        first, last = graph_indptr[start], graph_indptr[stop]
        degrees = graph_indptr[start : stop + 1].diff()

        place = torch.arange(int(first), int(last), device=device)
        place += added * torch.repeat_interleave(nodes, degrees, output_size=place.numel())
        source[place] = graph_source[first:last]
        edge_type[place] = EdgeType.GRAPH
        after_graph = indptr[start:stop] + degrees
        if expander is not None:
            place = after_graph[:, None] + columns
            source[place] = expander[start:stop].to(torch.int32)
            edge_type[place] = EdgeType.EXPANDER
        if self_loops:
            place = indptr[start + 1 : stop + 1] - 1
            source[place] = (rows.start + nodes).to(torch.int32)
            edge_type[place] = EdgeType.SELF_LOOP
    return AttentionGraph(indptr, source, edge_type)
