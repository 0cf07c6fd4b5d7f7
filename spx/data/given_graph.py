"""Graphs that are given as objects: written as the files that a user's own graph comes in.

So they are read, checked and known again as those are.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

from spx.errors import ConfigError, DatasetError
from spx.files import reason, replacing


def filed_graph(nodes: Any, edges: Any, folder: Path, name: str | None = None) -> str:
    """The path, or the name, of what was given; objects are written first.

    Args:
        nodes: a pandas or polars DataFrame; a PyG `Data`, or any object with `edge_index`; or a path or a name.
        edges: a DataFrame, of a DataFrame of nodes.
        folder: where objects are written, in a folder or file of its own.
        name: of that; default: `graph-` and a digest of the content.

    Raises:
        DatasetError: something else is given.
        ConfigError: edges of no table of nodes, or the folder can't be written.
    """
    if isinstance(nodes, str | Path):
        if edges is not None:
            raise ConfigError("edges go with a table of nodes; a path or a name has its own. Leave them out.")
        return str(nodes)
    if hasattr(nodes, "edge_index"):
        if edges is not None:
            raise ConfigError("edges go with a table of nodes; a Data has its own. Leave them out.")
        files = {".pt": _saved(nodes)}
    else:
        files = {f"/{kind}.parquet": _table(given, kind) for kind, given in (("nodes", nodes), ("edges", edges))}
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()[:8]
    place = folder / (name or f"graph-{digest}")
    for ending, content in files.items():
        _write(Path(f"{place}{ending}"), content)
    return f"{place}.pt" if ".pt" in files else str(place)


def _table(given: Any, kind: str) -> bytes:
    """A DataFrame as Parquet."""
    import polars as pl

    if type(given).__module__.startswith("pandas."):
        given = pl.from_pandas(given)
    if not isinstance(given, pl.DataFrame):
        raise DatasetError(
            f"{kind} is of type {type(given).__name__}; give a pandas or polars DataFrame, a PyG Data, or a path"
        )
    target = io.BytesIO()
    given.write_parquet(target)
    return target.getvalue()


def _saved(data: Any) -> bytes:
    """A PyG `Data`, or a named tuple of tensors, as its plain values."""
    import torch

    content = data.to_dict() if hasattr(data, "to_dict") else data._asdict()
    target = io.BytesIO()
    torch.save({name: _plain(value) for name, value in content.items() if value is not None}, target)
    return target.getvalue()


def _plain(value: Any) -> Any:
    """Sparse features as torch's own tensor."""
    import torch

    from spx.graph.features import SparseFeatures

    if not isinstance(value, SparseFeatures):
        return value
    return torch.sparse_csr_tensor(value.indptr, value.indices, value.values, tuple(value.shape))


def _write(file: Path, content: bytes) -> None:
    """What lies there already stays, so that its runs are known again."""
    if file.is_file() and file.read_bytes() == content:
        return
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {reason(error)}. Free space or choose another folder.") from error
