"""AnnData's .h5ad: cells are nodes, obs is their table, X their features, neighbours in obsp the edges.

N nodes, E edges, F features.
"""

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spx.datasets.own.edges import Edges
from spx.datasets.own.error_words import listed, one_line
from spx.datasets.own.node_table import extra, table_of
from spx.datasets.own.sparse import checked, edges_of
from spx.datasets.own.weights import only_weight
from spx.errors import DatasetError
from spx.graph.features import Features, SparseFeatures

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

ENDING = ".h5ad"
_EDGES = ("connectivities", "distances")
_PROBE = (
    "import sys, h5py\n"
    "with h5py.File(sys.argv[1]) as file:\n"
    "    read = lambda name, item: item[()] if isinstance(item, h5py.Dataset) else list(item.attrs.items())\n"
    "    for name in {'obs', 'var', 'X', 'obsp'} & set(file):\n"
    "        file[name].visititems(read) if isinstance(file[name], h5py.Group) else read(name, file[name])\n"
)


class Annotated(NamedTuple):
    """What an .h5ad holds of a graph: nodes' table, edges between rows of it, x [N, F] and F names, if there are."""

    nodes: "polars.DataFrame"
    edges: Edges
    x: Features | None
    names: tuple[str, ...] | None


def read_annotated(file: Path, weight: str | None = None) -> Annotated:
    """Read these parts alone: other layers stay on disk.

    weight  "weight": the neighbours' values are those of the edges; None: they aren't used
    Raises DatasetError for a file that is damaged, or lacks edges in obsp.
    """
    read_elem = extra("anndata.io", "An .h5ad file").read_elem
    h5py = extra("h5py", "An .h5ad file")
    _probe(file)
    try:
        with h5py.File(file, "r") as content:
            obs = read_elem(content["obs"])
            x = read_elem(content["X"]) if "X" in content else None
            names = [str(name) for name in read_elem(content["var"]).index] if "var" in content else []
            found = list(content["obsp"]) if "obsp" in content else []
            chosen = next((name for name in _EDGES if name in found), found[0] if len(found) == 1 else None)
            matrix = read_elem(content["obsp"][chosen]) if chosen is not None else None
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes h5py or anndata raise
        reason = f"{type(error).__name__}: {one_line(error, 150)}"
        raise DatasetError(f"{file.name} can't be read as AnnData ({reason}): save it anew") from error
    if matrix is None:
        raise DatasetError(
            f"{file.name} has no neighbours in obsp (it has {listed(found)}): scanpy.pp.neighbors(adata), then "
            "adata.write_h5ad(PATH)"
        )
    what = f"obsp[{chosen!r}]"
    edges, values = edges_of(checked(matrix, what), what, file.name, only_weight(weight, f"a matrix such as {what}"))
    ids = [str(name) for name in obs.index]
    nodes = table_of(ids, {str(name): _plain(obs[name]) for name in obs.columns}, f"{file.name}: obs")
    features = None if x is None else _features(checked(x, "X"), len(ids))
    known = features is not None and len(set(names)) == len(names) == features.size(1)
    ends = torch.from_numpy(np.ascontiguousarray(edges.T))
    found = Edges(ends, {}, None if values is None else torch.from_numpy(values))
    return Annotated(nodes, found, features, tuple(names) if known else None)


def _features(x: Any, num_nodes: int) -> Features:
    sparse = not isinstance(x, np.ndarray) and hasattr(x, "nnz")
    x = x if sparse else np.asarray(x)
    if x.ndim != 2 or x.shape[0] != num_nodes or x.dtype.kind not in "biuf":
        raise DatasetError(f"X is {list(x.shape)} {x.dtype}: it must be numbers, a row for each of {num_nodes} in obs")
    if sparse:
        return SparseFeatures.from_scipy(x)
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _plain(column: Any) -> list:
    """The values of a pandas column; None where one is missing."""
    values = column.astype(object)
    return [getattr(value, "item", lambda value=value: value)() for value in values.where(column.notna(), None)]


def _probe(file: Path) -> None:
    """Read the file once in a process of its own: some damaged HDF5 files end the one that reads them."""
    done = subprocess.run([sys.executable, "-P", "-c", _PROBE, str(file)], capture_output=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = one_line(lines[-1], 150) if lines and done.returncode > 0 else f"reading it fails, {done.returncode}"
        raise DatasetError(f"{file.name} is no whole HDF5 file ({reason}): save it anew")
