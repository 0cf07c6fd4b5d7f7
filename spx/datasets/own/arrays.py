"""Named arrays, of an .npz or a PyG `Data`, as a graph. N nodes, E edges, F features, C classes, S splits."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.array_splits import masks_in
from spx.datasets.own.error_words import did_you_mean, listed, shown
from spx.datasets.own.foreign_keys import KEYS, house_arrays
from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.labels import Labels, Names, class_labels, classes_from_numbers, labels_if_known, several_labels
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.weights import OFFER, array_weights
from spx.errors import DatasetError
from spx.graph.features import Features, SparseFeatures

if TYPE_CHECKING:
    import polars
    from scipy.sparse import spmatrix

logger = logging.getLogger(__name__)

Arrays = Mapping[str, "np.ndarray | spmatrix | None"]
"""Of them `x` may be a sparse matrix."""


def graph_from_arrays(
    arrays: Arrays, masks_by_column: bool, source: str, weight: str | None = None, undirected: bool = False
) -> OwnGraph:
    """The graph that the arrays make; docs/own-data.md says what each must hold, and what else it may be called.

    arrays           may be matrices of SciPy; other keys, and those that are None, are left out with a warning
    masks_by_column  whether a square mask [N, N] has a split in each column (PyG's way) or in each row
    source           the file that warnings name
    weight           the array of the edges' weights; None: they aren't used
    undirected       whether each edge will be taken both ways
    Raises DatasetError for arrays that are missing, of wrong shape or kind, or don't fit one another.
    """
    arrays = house_arrays(arrays, source, weight, undirected)
    _warn_of_others(arrays, source, weight)
    edge_weight = _weights(arrays, weight)
    arrays = {key: array for key, array in arrays.items() if key in KEYS and array is not None}
    if "y" not in arrays:
        raise DatasetError(_missing("y, the labels [N]", "y", arrays))
    if not arrays["y"].size:
        raise DatasetError(f"y is empty, {list(arrays['y'].shape)}: it must hold a label for each node")
    labels = _labels(arrays["y"], _class_names(arrays.get("class_names")))
    num_nodes = labels.y.size(0)
    _check_count(arrays.get("num_nodes"), num_nodes)
    return OwnGraph(
        _edges(arrays),
        labels,
        _features(arrays["x"], num_nodes) if "x" in arrays else None,
        masks_in(arrays, num_nodes, masks_by_column),
        _node_ids(arrays["node_ids"], num_nodes) if "node_ids" in arrays else None,
        edge_weight=edge_weight,
    )


def unlabelled_graph(arrays: Arrays, settings: OwnSettings, source: str) -> OwnGraph:
    """The graph of nodes that are only predicted, whose arrays need no y: what there is of it isn't read.

    Raises DatasetError as `graph_from_arrays`; or nothing says how many nodes there are.
    """
    arrays = house_arrays(arrays, source, settings.edge_weight, settings.undirected)
    edge_weight = _weights(arrays, settings.edge_weight)
    arrays = {key: array for key, array in arrays.items() if key in KEYS and array is not None}
    sized = next((key for key in ("x", "y", "node_ids") if key in arrays), None)
    if sized is None and "num_nodes" not in arrays:
        raise DatasetError(_missing("x, y or num_nodes, which say how many nodes there are", "x", arrays))
    num_nodes = int(arrays["num_nodes"].reshape(-1)[0]) if sized is None else arrays[sized].shape[0]
    return OwnGraph(
        _edges(arrays),
        labels_if_known(None, num_nodes, settings),
        _features(arrays["x"], num_nodes) if "x" in arrays else None,
        None,
        _node_ids(arrays["node_ids"], num_nodes) if "node_ids" in arrays else None,
        edge_weight=edge_weight,
    )


def _weights(arrays: Arrays, name: str | None) -> Tensor | None:
    if name is None:
        return None
    there = {key: array for key, array in arrays.items() if array is not None}
    return array_weights(arrays, name, _edges(there).size(1))


def _warn_of_others(arrays: Arrays, source: str, weight: str | None) -> None:
    others = [key for key, array in arrays.items() if (key not in KEYS or array is None) and key != weight]
    if others:
        instead = "" if arrays.get("x") is not None else "; it has no x, so node degrees are the features"
        if weight is None and any("weight" in key or key.startswith("edge_") for key in others):
            instead += f". {OFFER}"
        logger.warning("%s: %s are not used%s", source, listed(others), instead)


def _missing(what: str, key: str, arrays: Arrays) -> str:
    return f"it has no {what} (it has {listed(arrays)}{did_you_mean(key, arrays)}): add it"


def _edges(arrays: Arrays) -> Tensor:
    if "edge_index" in arrays and "edges" in arrays:
        raise DatasetError("it has both edge_index [2, E] and edges [E, 2]: keep one")
    if "edge_index" not in arrays and "edges" not in arrays:
        raise DatasetError(_missing("edge_index [2, E] or edges [E, 2]", "edge_index", arrays))
    flat, name, wanted = "edges" in arrays, "edge_index", "[2, E]"
    if flat:
        name, wanted = "edges", "[E, 2]"
    edges = arrays[name]
    if edges.ndim != 2 or edges.shape[1 if flat else 0] != 2:
        raise DatasetError(f"{name} must be {wanted}, not {list(edges.shape)}: an [E, 2] array is called edges")
    if edges.dtype.kind not in "iu" and edges.size:
        raise DatasetError(f"{name} holds {edges.dtype} values: edges are pairs of integers, row numbers of nodes")
    return torch.from_numpy(np.ascontiguousarray(edges.T if flat else edges, dtype=np.int64))


def _features(x: "np.ndarray | spmatrix", num_nodes: int) -> Features:
    if x.ndim != 2 or x.shape[0] != num_nodes:
        raise DatasetError(f"x must be [N, F] with N = {num_nodes} as in y, not {list(x.shape)}: a row for each node")
    if x.dtype.kind not in "biuf":
        raise DatasetError(f"x holds {x.dtype} values: features must be numbers; turn categories into columns of 0, 1")
    if not isinstance(x, np.ndarray):
        return SparseFeatures.from_scipy(x)
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _labels(y: np.ndarray, class_names: Names | None) -> Labels:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf":
        names = class_names or tuple(str(number) for number in range(y.shape[1]))
        if len(names) != y.shape[1]:
            raise DatasetError(f"y has {y.shape[1]} labels a node, but class_names {len(names)}: name each of them")
        return several_labels(y.astype(np.float64), names, "the labels y")
    if y.ndim != 1 or y.dtype.kind not in "biufU":
        raise DatasetError(
            f"y is {list(y.shape)} {y.dtype}: it must be classes [N], as integers or text, or 0 and 1 as [N, C]"
        )
    if y.dtype.kind == "U":
        return class_labels(_texts(y, "y").replace("", None), "y", class_names)
    column = classes_from_numbers(y, "y")
    lowest = column.min()
    if lowest is not None and lowest < -1:
        raise DatasetError(f"y holds {lowest}: classes must be at least 0, and -1 is a node without a label")
    return class_labels(column.replace(-1, None), "y (where -1 is a node without a label)", class_names)


def _texts(array: np.ndarray, what: str) -> "polars.Series":
    import polars

    return polars.Series("id", _whole_texts(array.tolist(), what), dtype=polars.String)


def _whole_texts(texts: Iterable[str], what: str) -> tuple[str, ...]:
    """The texts, which no file could take in if they held half a character (a lone surrogate)."""
    texts = tuple(texts)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        broken = next(text for text in texts if any("\ud800" <= letter <= "\udfff" for letter in text))
        raise DatasetError(
            f"{what} holds {shown(broken)}, which is no whole text (half a character of UTF-16): write it anew in UTF-8"
        ) from None
    return texts


def _class_names(names: np.ndarray | None) -> Names | None:
    if names is None:
        return None
    texts = tuple(map(str, np.atleast_1d(names).tolist()))
    if names.ndim != 1 or names.dtype.kind not in "iuU" or len(set(texts)) < len(texts) or "" in texts:
        raise DatasetError(f"class_names {shown(texts)} must be [C] texts, all different, none of them empty")
    return _whole_texts(texts, "class_names")


def _check_count(given: np.ndarray | None, num_nodes: int) -> None:
    if given is not None and (given.size != 1 or given.reshape(-1)[0] != num_nodes):
        raise DatasetError(f"num_nodes is {shown(given.tolist())}, but y has {num_nodes} nodes: correct one of them")


def _node_ids(ids: np.ndarray, num_nodes: int) -> "polars.Series":
    import polars

    if ids.shape != (num_nodes,) or ids.dtype.kind not in "iuU":
        raise DatasetError(
            f"node_ids is {list(ids.shape)} {ids.dtype}: it must be [N] integers or texts, with N = {num_nodes} as in y"
        )
    text = ids.dtype.kind == "U"
    column = _texts(ids, "node_ids") if text else polars.Series("id", ids).cast(polars.Int64)
    twice = column.filter(column.is_duplicated())
    if len(twice):
        raise DatasetError(f"node_ids must differ for each node, but {shown(twice[0])} is there more than once")
    if text and (column == "").any():
        raise DatasetError("node_ids holds an empty text: give each node an id")
    return column
