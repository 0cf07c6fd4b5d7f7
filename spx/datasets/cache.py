"""Parsed tensors in one safetensors file, memory-mapped when read: parsing text again each time is slow.

The file is written in scratch and moved into place in one step. Its header names the format's version,
the raw files it was made from (size and time of change) and a checksum per tensor.
"""

import json
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from spx.datasets.scratch import move_into_place
from spx.datasets.types import GraphTensors
from spx.graph.features import Features, SparseFeatures

FORMAT = "spx-dataset-2"
OLDER = "spx-dataset-1"
"""The same, with features that are dense whatever they hold."""

_SPARSE = ("indptr", "indices", "values")

Stamp = dict[str, list[int]]


def raw_stamp(names: Iterable[str], raw: Path) -> Stamp:
    """Size in bytes and time of change in ns of those raw files that are there."""
    stats = {name: (raw / name).stat() for name in names if (raw / name).is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def write_cache(graph: GraphTensors, path: Path, stamp: Stamp, scratch: Path) -> None:
    """Write `graph` to `path`, whole or not at all."""
    from safetensors.torch import save_file

    parts = {**graph._asdict(), **_parts(graph.x)}
    tensors = {name: tensor.contiguous() for name, tensor in parts.items() if tensor is not None}
    checksums = {name: _checksum(tensor) for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "raw": json.dumps(stamp), "checksums": json.dumps(checksums)}
    metadata["columns"] = str(graph.x.size(1))
    save_file(tensors, scratch / path.name, metadata)
    move_into_place(scratch / path.name, path)


def read_cache(path: Path, stamp: Stamp) -> GraphTensors | None:
    """Read what `write_cache` wrote, or None if there is nothing that can be used.

    Raw files that were removed since don't matter; one that changed does. A damaged file is told by a
    warning, one of another format version is passed over in silence.
    """
    if not path.is_file():
        return None
    try:
        metadata, tensors = _read(path)
        if metadata.get("format") not in (FORMAT, OLDER):
            return None
        made_from = json.loads(metadata["raw"])
        if any(made_from.get(name) != facts for name, facts in stamp.items()):
            return None
        if {name: _checksum(tensor) for name, tensor in tensors.items()} != json.loads(metadata["checksums"]):
            raise ValueError("a checksum is wrong")
        return _graph(tensors, metadata)
    except Exception as error:  # whatever a damaged file makes its reader raise
        warnings.warn(f"The dataset cache {path} is damaged ({error}): making it anew", stacklevel=2)
        return None


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _parts(x: Features) -> dict[str, Tensor | None]:
    """What stands for the features in the file."""
    if not isinstance(x, SparseFeatures):
        return {"x": x}
    return {"x": None, **{f"x.{name}": getattr(x, name) for name in _SPARSE}}


def _graph(tensors: dict[str, Tensor], metadata: dict[str, str]) -> GraphTensors:
    if "x" not in tensors:
        sparse = (tensors.pop(f"x.{name}") for name in _SPARSE)
        tensors["x"] = SparseFeatures(*sparse, num_columns=int(metadata["columns"]))
    return GraphTensors(**tensors)


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.numpy().reshape(-1).view(np.uint8))
