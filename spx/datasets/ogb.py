"""Graphs of the Open Graph Benchmark, read straight from their raw zips of CSV.gz files.

The `ogb` package is not used: it breaks with torch >= 2.6 and asks questions on standard input.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor

from spx.datasets.archive import find_member, open_archive
from spx.datasets.types import GraphTensors
from spx.errors import DatasetError

_BLOCK_BYTES = 1 << 26


def parse_ogb(
    raw: Path,
    _scratch: Path,
    *,
    archive_name: str,
    split: str,
    reverse: Literal["coalesce", "append"],
    features: Literal["node", "mean of edges"] = "node",
) -> GraphTensors:
    """Read one OGB node classification graph.

    split     folder of the split inside the archive
    reverse   how the missing direction of each edge is added: the raw edges are a directed graph that may
              hold both directions (coalesce), or each undirected edge once (append)
    features  the archive's node features, or the mean of the edge features over a node's edges

    Labels: one column is a class ([N] int64, -1 where empty), several are binary tasks ([N, C] float32).
    Raises DatasetError for an archive that is damaged or does not hold what it should.
    """
    with open_archive(raw / archive_name) as archive:
        num_nodes = int(_table(archive, "raw/num-node-list.csv.gz", np.int64)[0, 0])
        num_edges = int(_table(archive, "raw/num-edge-list.csv.gz", np.int64)[0, 0])
        edges = _table(archive, "raw/edge.csv.gz", np.int64, rows=num_edges).t().contiguous()
        _check_range("edge.csv.gz", edges, num_nodes)
        if features == "node":
            x = _table(archive, "raw/node-feat.csv.gz", np.float32, rows=num_nodes)
        else:
            edge_x = _table(archive, "raw/edge-feat.csv.gz", np.float32, rows=num_edges)
            x = mean_over_edges(edge_x, edges, num_nodes)
        y = _labels(_table(archive, "raw/node-label.csv.gz", np.float32, rows=num_nodes))
        masks = {
            f"{ours}_mask": _mask(_table(archive, f"split/{split}/{theirs}.csv.gz", np.int64), num_nodes)
            for ours, theirs in (("train", "train"), ("val", "valid"), ("test", "test"))
        }
    both = torch.cat([edges, edges.flip(0)], dim=1)
    return GraphTensors(x, _coalesced(both, num_nodes) if reverse == "coalesce" else both, y, **masks)


def mean_over_edges(edge_x: Tensor, edge_index: Tensor, num_nodes: int) -> Tensor:
    """x_i = mean of the features of the edges that touch node i, 0 for a node without edges.

    edge_x      [E, F] float32
    edge_index  [2, E] int64, each undirected edge once
    Returns [N, F] float32; the sums are taken in double precision, one column at a time.
    """
    ends = edge_index[0], edge_index[1]
    degree = sum(torch.bincount(end, minlength=num_nodes) for end in ends).clamp(min=1)
    means = [
        sum(torch.bincount(end, weights=column.double(), minlength=num_nodes) for end in ends) / degree
        for column in edge_x.t()
    ]
    return torch.stack(means, dim=1).float()


def _coalesced(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The distinct edges, sorted by source, then target."""
    keys = torch.unique(edge_index[0] * num_nodes + edge_index[1])
    return torch.stack([keys // num_nodes, keys % num_nodes])


def _labels(table: Tensor) -> Tensor:
    return table.flatten().nan_to_num(nan=-1.0).to(torch.int64) if table.size(1) == 1 else table


def _mask(nodes: Tensor, num_nodes: int) -> Tensor:
    """[1, N] bool, true at the listed nodes."""
    _check_range("a split file", nodes, num_nodes)
    return torch.zeros(1, num_nodes, dtype=torch.bool).index_fill_(1, nodes.flatten(), True)


def _check_range(what: str, nodes: Tensor, num_nodes: int) -> None:
    low, high = (int(end) for end in nodes.aminmax()) if nodes.numel() else (0, 0)
    if low < 0 or high >= num_nodes:
        raise DatasetError(
            f"{what} names nodes from {low} to {high}, but the graph has {num_nodes}: "
            "the archive is damaged; delete it and load again"
        )


def _table(archive: ZipFile, member: str, dtype: type[np.number], rows: int | None = None) -> Tensor:
    """A headless CSV.gz member as a [rows, columns] tensor, its text never being whole in memory.

    Raises DatasetError where the number of rows is not `rows`, or an integer is missing.
    """
    with archive.open(find_member(archive, member)) as packed:
        table = read_numbers(packed, dtype)
    if rows is not None and table.size(0) != rows:
        raise DatasetError(
            f"{member} in {archive.filename} has {table.size(0)} rows where {rows} are announced: "
            "the archive is damaged; delete it and load again"
        )
    return table


def read_numbers(packed: IO[bytes], dtype: type[np.number]) -> Tensor:
    """The numbers of a headless CSV.gz as a [rows, columns] tensor, its text never being whole in memory.

    Raises ValueError where an integer is missing, and what gzip and polars raise for a damaged file.
    """
    with gzip.open(packed) as text:
        blocks = [_parse_csv(block, dtype) for block in _line_blocks(text)]
    return torch.cat(blocks) if blocks else torch.from_numpy(np.empty((0, 1), dtype))


def _line_blocks(text: IO[bytes]) -> Iterator[bytes]:
    while block := text.read(_BLOCK_BYTES):
        yield block + text.readline()


def _parse_csv(block: bytes, dtype: type[np.number]) -> Tensor:
    import polars

    columns = block.split(b"\n", 1)[0].count(b",") + 1
    kind = polars.Int64 if dtype is np.int64 else polars.Float32
    frame = polars.read_csv(block, has_header=False, schema={f"column_{i}": kind for i in range(columns)})
    if dtype is np.int64 and sum(frame.null_count().row(0)):
        raise ValueError("a node index or count is missing")
    return torch.from_numpy(np.array(frame.to_numpy(), dtype=dtype, order="C"))
