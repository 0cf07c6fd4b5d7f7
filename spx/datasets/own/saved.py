"""Tensors of a saved PyG `Data`, or of a plain dictionary: what torch.save wrote, and nothing that runs.

torch.load with weights_only builds only what it is told to know. PyG tells it of many classes when it is imported,
one of which (`ClusterData`) opens another file and unpickles whatever it holds; so all are forgotten for the while.
In place of the few names that a `Data` needs, empty stand-ins are built, and nothing of PyG runs.
"""

import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.arrays import KEYS
from spx.datasets.own.error_words import one_line
from spx.errors import DatasetError
from spx.torch_files import damage

if TYPE_CHECKING:
    from scipy.sparse import spmatrix

_PARTS = {
    torch.sparse_coo: ("coo_matrix", "_values", "_indices"),
    torch.sparse_csr: ("csr_matrix", "values", "col_indices", "crow_indices"),
    torch.sparse_csc: ("csc_matrix", "values", "row_indices", "ccol_indices"),
}
"""Of each layout, SciPy's class and the parts that it takes."""
MOST_COLUMNS = 1 << 24
"""That sparse features may have in a file of fewer bytes."""

_PLAIN = "torch.save({'x': data.x, 'edge_index': data.edge_index, 'y': data.y}, PATH)"


class _Bag:
    """Stands in for PyG's objects, and keeps what was saved of them."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _ignored(*_args: object) -> _Bag:
    return _Bag()


def _plain_dict(*_args: object) -> dict:
    return {}


_KNOWN = [
    (_Bag, "torch_geometric.data.data.Data"),
    (_Bag, "torch_geometric.data.data.DataEdgeAttr"),
    (_Bag, "torch_geometric.data.data.DataTensorAttr"),
    (_Bag, "torch_geometric.data.storage.GlobalStorage"),
    (_ignored, "torch_geometric.data.storage.AttrType"),  # these two: which attributes PyG has seen to be of nodes
    (_plain_dict, "collections.defaultdict"),
]


def read_saved(file: Path) -> "dict[str, np.ndarray | spmatrix | None]":
    """The tensors of the keys in `KEYS` as arrays, and None for each other key; adj_t is turned into edge_index. A
    sparse x stays sparse.

    Raises DatasetError for files that hold anything but one graph's tensors, numbers and texts.
    """
    if (reason := damage(file)) is not None:
        raise DatasetError(f"it is damaged, or no file of torch.save ({reason}): save it anew, by torch 1.6 or newer")
    fields = _fields(_load(file))
    if fields.get("adj_t") is not None and fields.get("edge_index") is None:
        fields["edge_index"] = _edges_of(fields.pop("adj_t"))
    fields = {name: value for name, value in fields.items() if value is not None}
    limit = file.stat().st_size
    sparse = {}
    if isinstance(x := fields.get("x"), Tensor) and x.layout in _PARTS:
        sparse["x"] = _matrix(x, limit)
        del fields["x"]
    return {name: _array(name, value, limit) if name in KEYS else None for name, value in fields.items()} | sparse


def _load(file: Path) -> object:
    try:
        with _only(_KNOWN), warnings.catch_warnings(), torch.sparse.check_sparse_tensor_invariants():
            warnings.simplefilter("ignore")
            # Mapped, a tensor lies within the file or is refused, whatever size is written down for it
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        held = f"it holds {found[1][:80]}, which" if found else "it holds something that"
        raise DatasetError(
            f"{held} is not read from a file, as it could run code: save plain tensors, {_PLAIN}"
        ) from error
    except Exception as error:  # whatever a damaged file makes torch raise
        raise DatasetError(f"it can't be read ({one_line(error, 150)}): save it anew, {_PLAIN}") from error


@contextmanager
def _only(known: list[tuple[object, str]]) -> Iterator[None]:
    """Let torch.load build what is in `known`, and forget meanwhile what other packages have told it."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals(known):
            yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _fields(loaded: object) -> dict[str, object]:
    """The graph's attributes: of a dictionary, or of a `Data`, whose storage keeps them in a mapping."""
    for key in ("_store", "_mapping"):
        if isinstance(loaded, _Bag):
            loaded = loaded.state
            loaded = loaded.get(key) if isinstance(loaded, dict) else None
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise DatasetError(f"it holds neither one Data nor a dictionary of tensors: save one graph, {_PLAIN}")
    return dict(loaded)


def _edges_of(adj_t: object) -> Tensor:
    """The edges [2, E] of a transposed adjacency matrix: row i holds the sources of i's edges."""
    if not isinstance(adj_t, Tensor) or adj_t.layout not in (torch.sparse_csr, torch.sparse_coo):
        raise DatasetError("adj_t is no sparse tensor of torch: save edge_index [2, E] in its place")
    if adj_t.layout == torch.sparse_coo:
        return adj_t._indices().flip(0)
    degree = adj_t.crow_indices().diff()
    return torch.stack([adj_t.col_indices(), torch.arange(degree.numel()).repeat_interleave(degree)])


def _matrix(x: Tensor, limit: int) -> "spmatrix":
    """A copy of a sparse tensor, apart from the mapped file."""
    import scipy.sparse

    make, *parts = _PARTS[x.layout]
    if x.dim() != 2 or x.dense_dim():
        raise DatasetError(f"x is a sparse tensor of shape {list(x.shape)}: it must be [N, F], a row for each node")
    if x.size(1) > max(limit, MOST_COLUMNS):
        raise DatasetError(f"x has {x.size(1):,} columns in a file of {limit} bytes: leave out those without an entry")
    values, *places = (_array("x", getattr(x, part)(), limit) for part in parts)
    # SciPy takes the places of COO as one pair, those of CSR and CSC one by one
    given = (values, tuple(places[0])) if x.layout == torch.sparse_coo else (values, *places)
    return getattr(scipy.sparse, make)(given, shape=tuple(x.shape))


def _array(name: str, value: object, limit: int) -> np.ndarray:
    """A copy of the tensor, apart from the mapped file. `limit`: more elements than bytes in the file are refused."""
    if isinstance(value, Tensor):
        _check_plain(name, value, limit)
        numpy_knows = not value.is_floating_point() or value.dtype in (torch.float32, torch.float64)
        return (value.detach().clone() if numpy_knows else value.detach().float()).numpy()
    if isinstance(value, list) and {type(item) for item in value} in ({str}, {int}):
        return np.array(value)
    if isinstance(value, int):
        return np.array(value)
    raise DatasetError(f"{name} is of type {type(value).__name__}, which is not read: save a tensor{_hint(name)}")


def _check_plain(name: str, tensor: Tensor, limit: int) -> None:
    strange = tensor.is_nested or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu"
    if type(tensor) is not Tensor or tensor.layout != torch.strided or strange:
        raise DatasetError(f"{name} is no plain tensor: save a dense tensor of numbers")
    if tensor.numel() > limit:
        raise DatasetError(f"{name} has {tensor.numel()} elements in a file of {limit} bytes: save {name}.clone()")


def _hint(name: str) -> str:
    return ", or a list of texts" if name in ("node_ids", "class_names") else ""
