"""What a run remembers of its nodes, so that it can tell a graph that has changed since from the one it was trained on.

`nodes.parquet` in the run's folder: of each node its name, its part of the split, and a 64-bit digest of its features
and of its neighbours. Letters: N nodes then and N' now, F features, E edges.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.files import reason, replacing
from spx.graph.features import Features, SparseFeatures

PARTS = ("none", "train", "val", "test")
NEW = "new"
_TYPES = {"part": pl.UInt8, "values": pl.Int64, "neighbors": pl.Int64, "degree": pl.Int32}
_CHUNK = 1 << 20  # values of features, or edges, that are digested at a time: as int64, 8 MB


class KnownNodes(NamedTuple):
    """The nodes that a run was trained on.

    Args:
        names: [N] strings or integers; None: 0 to N - 1.
        part: [N] uint8, places in `PARTS`.
        values: [N] int64, digests of their features.
        neighbors: [N] int64, digests of whom they attend to; nodes count by their numbers then.
        degree: [N] int32, edges into each.
    """

    names: pl.Series | None
    part: Tensor
    values: Tensor
    neighbors: Tensor
    degree: Tensor

    @property
    def num_nodes(self) -> int:
        return self.part.numel()


class Match(NamedTuple):
    """Nodes then and now.

    Args:
        places: [N] int64, of each node then its number now; -1: it is gone.
        numbers: [N'] int64, of each node now its number then; -1: it is new.
        text: what changed, in words: "3 nodes are new, 1 is gone".
    """

    places: Tensor
    numbers: Tensor
    text: str


def known_nodes(dataset: NodeDataset) -> KnownNodes:
    """Of the dataset at hand. One pass over features and edges, a part at a time."""
    part = torch.zeros(dataset.num_nodes, dtype=torch.uint8)
    for place, nodes in enumerate(dataset.split, start=1):
        part[nodes] = place
    neighbors = _neighbors(dataset, torch.arange(dataset.num_nodes))
    degree = torch.bincount(dataset.edge_index[1], minlength=dataset.num_nodes).int()
    return KnownNodes(dataset.node_ids, part, _values(dataset.x), neighbors, degree)


def save_known_nodes(path: str | Path, known: KnownNodes) -> None:
    """Write them whole or not at all.

    Raises:
        ArtifactError: the file can't be written.
    """
    columns = {} if known.names is None else {"node": known.names}
    columns |= {name: pl.Series(getattr(known, name).numpy(), dtype=kind) for name, kind in _TYPES.items()}
    try:
        with replacing(path) as temporary:
            pl.DataFrame(columns).write_parquet(temporary)
    except OSError as error:
        raise ArtifactError(f"{path} can't be written: {reason(error)}. Free space.") from error


def load_known_nodes(path: str | Path) -> KnownNodes:
    """Read what `save_known_nodes` wrote.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    mend = "Restore it from a copy, or run anew."
    try:
        frame = pl.read_parquet(path)
        names = frame["node"] if "node" in frame.columns else None
        sound = all(frame[name].dtype == kind and not frame[name].null_count() for name, kind in _TYPES.items())
        sound &= names is None or (names.dtype in (pl.String, pl.Int64) and names.n_unique() == frame.height)
        sound &= bool(frame.height) and int(frame["part"].max()) < len(PARTS) and int(frame["degree"].min()) >= 0
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise ArtifactError(f"{path} is damaged ({str(error).splitlines()[0][:100]}). {mend}") from error
    if not sound:
        raise ArtifactError(f"{path} is damaged: it holds {frame.schema}. {mend}")
    return KnownNodes(names, *(torch.from_numpy(frame[name].to_numpy().copy()) for name in _TYPES))


def match_nodes(known: KnownNodes, dataset: NodeDataset) -> Match:
    """Find the nodes of a run in a graph that may have changed, by their names: their numbers where they have none."""
    numbers = _numbers_then(known, dataset)
    places = torch.full((known.num_nodes,), -1)
    stayed = (numbers >= 0).nonzero().flatten()
    then = numbers[stayed]
    places[then] = stayed
    new, gone = dataset.num_nodes - stayed.numel(), known.num_nodes - stayed.numel()
    codes = torch.where(numbers >= 0, numbers, known.num_nodes + torch.arange(dataset.num_nodes))
    other_edges = int((_neighbors(dataset, codes)[stayed] != known.neighbors[then]).sum())
    other_values = int((_values(dataset.x)[stayed] != known.values[then]).sum())
    edges, edges_then = dataset.edge_index.shape[1], int(known.degree.sum())
    texts = [_counted(new, "node is new", "nodes are new"), _counted(gone, "node is gone", "nodes are gone")]
    texts.append(_counted(other_edges, "that stayed has other neighbours", "that stayed have other neighbours"))
    texts.append(_counted(other_values, "that stayed has other features", "that stayed have other features"))
    if edges != edges_then:
        texts.append(f"{edges:,} edges in place of {edges_then:,}")
    return Match(places, numbers, ", ".join(filter(None, texts)))


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


def _numbers_then(known: KnownNodes, dataset: NodeDataset) -> Tensor:
    if dataset.node_ids is None and known.names is None:
        numbers = torch.arange(dataset.num_nodes)
        return torch.where(numbers < known.num_nodes, numbers, -1)
    names, names_then = (
        pl.Series(np.arange(number)) if names is None else names
        for names, number in ((dataset.node_ids, dataset.num_nodes), (known.names, known.num_nodes))
    )
    then = names_then.to_frame("name").with_row_index("number")
    if names.dtype != names_then.dtype:
        names, then = names.cast(pl.String), then.with_columns(pl.col("name").cast(pl.String))
    found = names.to_frame("name").join(then, on="name", how="left", maintain_order="left")["number"]
    return torch.from_numpy(found.cast(pl.Int64).fill_null(-1).to_numpy().copy())


def _values(x: Features) -> Tensor:
    """[N] int64: the sum of the features' bits, each times an odd number of its column; of a zero they are 0."""
    factors = _mixed(torch.arange(x.shape[1])) | 1
    width = {torch.float32: torch.int32, torch.float16: torch.int16}[x.dtype]
    if isinstance(x, SparseFeatures):
        digests, rows = torch.zeros(x.shape[0], dtype=torch.int64), torch.repeat_interleave(x.indptr.diff().long())
        for some, columns, values in zip(*(part.split(_CHUNK) for part in (rows, x.indices, x.values)), strict=True):
            digests.index_add_(0, some, values.view(width).long() * factors[columns.long()])
        return digests
    rows = max(1, _CHUNK // max(1, x.shape[1]))
    digests, room = torch.empty(x.shape[0], dtype=torch.int64), torch.empty(rows, x.shape[1], dtype=torch.int64)
    for part, digest in zip(x.split(rows), digests.split(rows), strict=True):  # in the same memory: none is left behind
        bits = room[: part.shape[0]].copy_(part.contiguous().view(width))
        torch.sum(bits.mul_(factors), 1, out=digest)
    return digests


def _neighbors(dataset: NodeDataset, codes: Tensor) -> Tensor:
    """[N] int64, the sum over a node's edges of its neighbours' mixed codes."""
    digests, mixed = torch.zeros(dataset.num_nodes, dtype=torch.int64), _mixed(codes)
    for source, target in zip(*(ends.split(_CHUNK) for ends in dataset.edge_index), strict=True):
        digests.index_add_(0, target, mixed[source])
    return digests


def _mixed(codes: Tensor) -> Tensor:
    """A 64-bit number of each code, as if at random: the mixing of SplitMix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        z = (codes.numpy().astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return torch.from_numpy((z ^ (z >> np.uint64(31))).view(np.int64))
