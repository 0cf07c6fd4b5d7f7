"""Tensors of a saved PyG `Data`, of a processed file of PyG's datasets, or of a plain dictionary.

What torch.save wrote is read, and nothing of it runs.

torch.load with weights_only builds only what it is told to know. PyG tells it of many classes when it is imported,
one of which (`ClusterData`) opens another file and unpickles whatever it holds; so all are forgotten for the while.
In place of the few names that a `Data` needs, empty stand-ins are built, and nothing of PyG runs.
"""

import logging
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import one_line
from spx.datasets.own.foreign_keys import KEYS, KNOWN, flat_splits, wanted
from spx.datasets.own.hints import for_class
from spx.datasets.own.sparse import checked
from spx.datasets.own.weights import TO_USE, WEIGHT
from spx.errors import DatasetError
from spx.torch_files import damage

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

MOST_COLUMNS = 1 << 24
"""That sparse features may have in a file of fewer bytes."""

_PLAIN = "torch.save({'x': data.x, 'edge_index': data.edge_index, 'y': data.y}, PATH)"
_MATRICES = frozenset({"x", "adj"})


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
    (_plain_dict, "builtins.dict"),  # what slices, a defaultdict, are made with
]


def read_saved(file: Path, further: str | None = None) -> dict[str, Any]:
    """The tensors of the keys that are `wanted` as arrays, None for each other key; adj_t is turned into edge_index.

    further  another key that is read, if it is there: "weight" may be the values of adj_t
    Sparse x and adj are matrices of SciPy; a dictionary split_idx becomes train_idx, val_idx and test_idx.
    Raises DatasetError for files that hold anything but one graph's tensors, numbers and texts.
    """
    if (reason := damage(file)) is not None:
        raise DatasetError(f"it is damaged, or no file of torch.save ({reason}): save it anew, by torch 1.6 or newer")
    fields = flat_splits(_fields(_load(file)))
    if fields.get("adj_t") is not None and fields.get("edge_index") is None:
        fields["edge_index"], values = _edges_of(fields.pop("adj_t"))
        if further == WEIGHT:
            fields.setdefault(WEIGHT, values)
        elif bool((values != 1).any()):
            logger.warning("%s: the values of adj_t (weights) are not used. To use them: %s", file, TO_USE)
    fields = {name: value for name, value in fields.items() if value is not None}
    limit = file.stat().st_size
    sure = set(KEYS) - {"split"}  # other programs' names may stand for other things: a word such as "public"
    read = wanted(name for name, value in fields.items() if name in sure or isinstance(value, Tensor | list))
    read |= {further} & fields.keys()
    return {name: _array(name, value, limit) if name in read else None for name, value in fields.items()}


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
        mend = (for_class(found[1]) if found else None) or f"save plain tensors, {_PLAIN}"
        raise DatasetError(f"{held} is not read from a file, as it could run code: {mend}") from error
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
    """The graph's attributes: of a dictionary, of a `Data`, whose storage keeps them in a mapping, or of the only graph
    in what `InMemoryDataset` saves, which is (data, slices) or (dictionary, slices, class)."""
    if isinstance(loaded, tuple) and len(loaded) in (2, 3, 4) and _is_graph(loaded[0]):
        fields = _fields(loaded[0])
        if (count := _num_graphs(loaded[1])) != 1:
            raise DatasetError(
                f"it holds a dataset of {count} graphs, but one is trained on: save one, "
                "torch.save(dataset[0].to_dict(), PATH)"
            )
        if isinstance(fields.get("num_nodes"), list) and len(fields["num_nodes"]) == 1:
            fields["num_nodes"] = fields["num_nodes"][0]
        return fields
    if isinstance(loaded, list | tuple) and loaded and all(_is_graph(item) for item in loaded):
        raise DatasetError(
            f"it holds a list of graphs ({len(loaded)}), but one is trained on: save one, "
            "torch.save(graphs[0].to_dict(), PATH), or all as one, "
            "torch.save(torch_geometric.data.Batch.from_data_list(graphs).to_dict(), PATH)"
        )
    for key in ("_store", "_mapping"):
        if isinstance(loaded, _Bag):
            loaded = loaded.state
            if isinstance(loaded, dict):  # before version 2, PyG kept the attributes in the `Data` itself
                loaded = loaded if key == "_store" and key not in loaded and "edge_index" in loaded else loaded.get(key)
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise DatasetError(f"it holds neither one Data nor a dictionary of tensors: save one graph, {_PLAIN}")
    return dict(loaded)


def _is_graph(item: object) -> bool:
    return isinstance(item, _Bag) or (isinstance(item, dict) and "edge_index" in item)


def _num_graphs(slices: object) -> int:
    """How many there are in what `InMemoryDataset` joined: each attribute's slices are their bounds."""
    bounds = list(slices.values()) if isinstance(slices, dict) else []
    return max((len(ends) - 1 for ends in bounds if isinstance(ends, Tensor | list) and np.ndim(ends) == 1), default=1)


def _edges_of(adj_t: object) -> tuple[Tensor, Tensor]:
    """The edges [2, E] of a transposed adjacency matrix, whose row i holds the sources of i's edges, and its values
    [E]."""
    if not isinstance(adj_t, Tensor) or adj_t.layout not in (torch.sparse_csr, torch.sparse_coo):
        raise DatasetError("adj_t is no sparse tensor of torch: save edge_index [2, E] in its place")
    if adj_t.layout == torch.sparse_coo:
        return adj_t._indices().flip(0), adj_t._values()
    degree = adj_t.crow_indices().diff()
    ends = torch.stack([adj_t.col_indices(), torch.arange(degree.numel()).repeat_interleave(degree)])
    return ends, adj_t.values()


def _array(name: str, value: object, limit: int) -> Any:
    """A copy of the tensor, apart from the mapped file. `limit`: more elements than bytes in the file are refused."""
    if isinstance(value, Tensor):
        if KNOWN.get(name) in _MATRICES and type(value) is Tensor and value.layout in _PARTS:
            return _matrix(name, value, limit)
        _check_plain(name, value, limit)
        numpy_knows = not value.is_floating_point() or value.dtype in (torch.float32, torch.float64)
        return (value.detach().clone() if numpy_knows else value.detach().float()).numpy()
    if isinstance(value, list) and {type(item) for item in value} in ({str}, {int}):
        return np.array(value)
    if isinstance(value, int):
        return np.array(value)
    raise DatasetError(f"{name} is of type {type(value).__name__}, which is not read: save a tensor{_hint(name)}")


_PARTS = {
    torch.sparse_coo: lambda matrix: (matrix._indices()[0], matrix._indices()[1], matrix._values()),
    torch.sparse_csr: lambda matrix: (matrix.crow_indices(), matrix.col_indices(), matrix.values()),
    torch.sparse_csc: lambda matrix: (matrix.ccol_indices(), matrix.row_indices(), matrix.values()),
}


def _matrix(name: str, tensor: Tensor, limit: int) -> Any:
    """A sparse tensor [N, F] as SciPy's CSR; entries at one place are added up."""
    from scipy import sparse

    if tensor.dim() != 2 or tensor.dense_dim():
        raise DatasetError(
            f"{name} is a sparse tensor of shape {list(tensor.shape)}: it must be [N, F], a row for each node"
        )
    if tensor.size(1) > max(limit, MOST_COLUMNS):
        raise DatasetError(
            f"{name} has {tensor.size(1):,} columns in a file of {limit} bytes: leave out those without an entry"
        )
    first, second, values = (_array(f"{name}", part, limit) for part in _PARTS[tensor.layout](tensor))
    shape = tuple(tensor.shape)
    if tensor.layout == torch.sparse_coo:
        return sparse.coo_array((values, (first, second)), shape=shape).tocsr()
    kind = sparse.csr_array if tensor.layout == torch.sparse_csr else sparse.csc_array
    return checked(kind((values, second, first), shape=shape), name)


def _check_plain(name: str, tensor: Tensor, limit: int) -> None:
    strange = tensor.is_nested or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu"
    if type(tensor) is not Tensor or tensor.layout != torch.strided or strange:
        raise DatasetError(f"{name} is no plain tensor: save a dense tensor of numbers")
    if tensor.numel() > limit:
        raise DatasetError(f"{name} has {tensor.numel()} elements in a file of {limit} bytes: save {name}.clone()")


def _hint(name: str) -> str:
    return ", or a list of texts" if name in ("node_ids", "class_names") else ""
