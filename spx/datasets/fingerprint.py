"""One line of text by which runs, scores and checkpoints tell whether the data are those that they were made from.

    spx-data-2 nodes=2708 edges=... labels=... split=... features=...

Each part has a digest of its own, so that a mismatch can say what changed.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spx.datasets.types import NodeDataset
from spx.graph.features import Features, SparseFeatures, row_chunks

FORMAT = "spx-data-2"
SAMPLED_ROWS = 1024
"""Rows of features that stay on disk, evenly spaced, which stand for all."""
SAMPLED_VALUES = 1 << 24
"""Values in them at most."""
DENSE_ELEMENTS = 1 << 22
"""Of features that are written out as a dense tensor at a time."""
DENSE_BYTES = 1 << 34
"""Up to which sparse features are taken row by row as the dense tensor that they are, a second for each 1.4 GB."""

_OLDER = re.compile(r"[0-9a-f]{64}")  # `split_fingerprint` alone, as recorded up to version 0.1
_LITTLE_ENDIAN = {"f": "<f", "i": "<i"}
_CHUNK_BYTES = 1 << 26

_WORDS = {
    "edges, labels or split": "edges, labels or split",
    "nodes": "number of nodes",
    "edges": "edges",
    "weights": "edge weights",
    "labels": "labels",
    "split": "split",
    "classes": "classes' names",
    "columns": "feature columns",
    "features": "features' values",
}
_SENTENCES = {
    "written": "its features' file was written since (samples and the time of change are compared; cp -p keeps that)",
    "format": "they are described by a fingerprint that this version doesn't know",
}
VALUES = frozenset({"features", "written"})
"""Parts that predictions may differ in from the training: the features' values, not what they mean."""


def data_fingerprint(dataset: NodeDataset) -> str:
    """Digests (SHA-256, cut to 32 hex digits) of edges in their order, labels, the three index sets, features, the
    names of classes and of feature columns where they have names, and the edges' weights where they have such.

    The bytes are little-endian on every platform, and each tensor's type and shape go in before its values. Of
    features that stay on disk, shape, evenly spaced rows and the file's time of change stand for the whole; of a
    table, its values before they are filled and scaled, which depends on the split.
    """
    parts = {
        "nodes": str(dataset.num_nodes),
        "edges": tensor_digest(dataset.edge_index),
        "labels": tensor_digest(dataset.y),
        "split": tensor_digest(*dataset.split),
        "features": _features_digest(dataset),
    }
    for name, names in (("classes", dataset.class_names), ("columns", dataset.feature_names)):
        if names is not None:
            parts[name] = tensor_digest(*(each.encode() for each in names))
    if dataset.edge_weight is not None:
        parts["weights"] = tensor_digest(dataset.edge_weight)
    if dataset.features_file is not None:
        parts["written"] = _time_of_change(dataset.features_file)
    return " ".join([FORMAT, *(f"{name}={value}" for name, value in parts.items())])


def split_fingerprint(dataset: NodeDataset) -> str:
    """SHA-256 (hex) over the number of nodes, the edges in their order, the labels and the three index sets: what older
    records hold."""
    digest = hashlib.sha256(f"spx-split-1 num_nodes={dataset.num_nodes}".encode())
    for name, tensor in {"edge_index": dataset.edge_index, "y": dataset.y, **dataset.split._asdict()}.items():
        digest.update(f" {name}{list(tensor.shape)}=".encode())
        _update(digest, tensor)
    return digest.hexdigest()


def changed_parts(recorded: str, present: str, dataset: NodeDataset) -> tuple[str, ...]:
    """Which parts of the data are others than those recorded, from "nodes" to "written"; none: they are the same.

    recorded  a fingerprint, also one of an older version, by which only edges, labels and split can be told
    present   `data_fingerprint` of the dataset
    """
    if recorded == present:
        return ()
    if is_older(recorded):
        if recorded != split_fingerprint(dataset):
            return ("edges, labels or split",)
        return () if dataset.edge_weight is None else ("weights",)
    then, now = _parts(recorded), _parts(present)
    if not then:
        return ("format",)
    if then.get("nodes") != now["nodes"]:
        return ("nodes",)
    changed = [name for name in ("edges", "labels", "split") if then.get(name) != now[name]]
    changed += ["weights"] if then.get("weights") != now.get("weights") else []
    changed += [name for name in ("classes", "columns") if name in then and name in now and then[name] != now[name]]
    if "columns" in changed:
        return tuple(changed)
    if then.get("features") != now["features"] and not _had_minus_zeros(then.get("features"), dataset):
        changed.append("features")
    elif then.get("written") != now.get("written"):
        changed.append("written")
    return tuple(changed)


def has_other_nodes(recorded: str, dataset: NodeDataset) -> bool:
    """Whether the dataset has another number of nodes than the recorded fingerprint says; older ones don't say it."""
    return _parts(recorded).get("nodes", str(dataset.num_nodes)) != str(dataset.num_nodes)


def _had_minus_zeros(digest: str | None, dataset: NodeDataset) -> bool:
    """Whether the digest is an older one, in which minus zeros counted as what they are. Sparse features have none any
    more."""
    plain = dataset.features_file is None and dataset.table_digest is None and isinstance(dataset.x, Tensor)
    return plain and digest == tensor_digest(dataset.x)


def is_older(fingerprint: str) -> bool:
    """Whether it is a `split_fingerprint`, which can only be compared with the data themselves."""
    return _OLDER.fullmatch(fingerprint) is not None


def what_changed(parts: Iterable[str]) -> str:
    """The parts in words: "its labels and split changed"."""
    parts = tuple(parts)
    words = [_WORDS[part] for part in parts if part in _WORDS]
    listed = " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
    clauses = [f"its {listed} changed"] if words else []
    return "; ".join([*clauses, *(_SENTENCES[part] for part in parts if part in _SENTENCES)])


def changed_columns(then: Iterable[str] | None, now: Iterable[str] | None) -> str | None:
    """How the names of the feature columns differ, in words; None where they don't, or either has no names."""
    if then is None or now is None:
        return None
    then, now = list(then), list(now)
    if then == now:
        return None
    missing, new = (_without(one, other) for one, other in ((then, now), (now, then)))
    differences = [f"{what} {_listed(names)}" for what, names in (("missing", missing), ("new", new)) if names]
    if differences:
        return "; ".join(differences)
    place = next(place for place, (one, other) in enumerate(zip(then, now, strict=True)) if one != other)
    return f"another order: {now[place]!r} where {then[place]!r} was"


def _without(names: list[str], others: list[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _listed(names: list[str]) -> str:
    text = ", ".join(repr(name if len(name) <= 60 else f"{name[:57]}...") for name in names[:5])
    return text if len(names) <= 5 else f"{text}, ... ({len(names)} in all)"


def _parts(fingerprint: str) -> dict[str, str]:
    """Name and digest of each part; none of what is no fingerprint of this format."""
    kind, *parts = fingerprint.split(" ")
    return dict(part.partition("=")[::2] for part in parts) if kind == FORMAT else {}


def tensor_digest(*parts: Tensor | bytes) -> str:
    """SHA-256 of the parts, cut to 32 hex digits; each tensor's type and shape go in before its values."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(_kind(part).encode())
            _update(digest, part)
        else:
            digest.update(f" {len(part)}=".encode() + part)
    return digest.hexdigest()[:32]


def _features_digest(dataset: NodeDataset) -> str:
    if dataset.table_digest is not None:
        return dataset.table_digest
    return feature_digest(dataset.x) if dataset.features_file is None else _sampled_digest(dataset.x)


def feature_digest(x: Features) -> str:
    """`tensor_digest` of the features, where a minus zero counts as zero: the same for both forms.

    Of sparse ones that would take more than `DENSE_BYTES` as a dense tensor, which is none to be had then, the parts
    are taken as they are.
    """
    if isinstance(x, SparseFeatures) and x.numel() * x.dtype.itemsize > DENSE_BYTES:
        return tensor_digest(x.indptr, x.indices, x.values, str(list(x.shape)).encode())
    digest = hashlib.sha256(_kind(x).encode())
    for rows in row_chunks(x, DENSE_ELEMENTS):
        _update(digest, _dense(rows))
    return digest.hexdigest()[:32]


def _sampled_digest(x: Features) -> str:
    num_rows = max(2, min(SAMPLED_ROWS, SAMPLED_VALUES // max(1, x.size(1))))
    rows = torch.linspace(0, x.size(0) - 1, min(num_rows, x.size(0)), dtype=torch.float64).round().long()
    return tensor_digest(_dense(x[rows]), str(list(x.shape)).encode())


def _dense(x: Features) -> Tensor:
    """Without minus zeros, which a sparse form doesn't know."""
    return x.to_dense() if isinstance(x, SparseFeatures) else x + 0.0


def _kind(x: Features) -> str:
    return f" {x.dtype}{list(x.shape)}="


def _time_of_change(file: str) -> str:
    try:
        return str(os.stat(file).st_mtime_ns)
    except OSError:  # gone, though its map still holds
        return "gone"


def _update(digest: "hashlib._Hash", tensor: Tensor) -> None:
    """Add the values' bytes, a chunk at a time: features may be larger than the memory."""
    array = tensor.detach().cpu().numpy()
    portable = np.dtype(f"{_LITTLE_ENDIAN[array.dtype.kind]}{array.dtype.itemsize}")
    rows = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
    for start, stop in pairwise([*range(0, len(array), rows), len(array)]):
        chunk = np.ascontiguousarray(array[start:stop], dtype=portable)
        digest.update(memoryview(chunk.reshape(-1).view(np.uint8)))
