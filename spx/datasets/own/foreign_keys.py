"""What other programs call the arrays of a graph, and the forms that they give them.

Platonov et al. have node_features, node_labels, edges, train_masks; gnn-benchmark has the parts of two CSR matrices,
adj_data ... and attr_data ...; splits are lists of node numbers in many files. N nodes, S splits.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spx.datasets.own.error_words import listed
from spx.datasets.own.sparse import PARTS, csr_of, dense, edges_of
from spx.datasets.own.weights import WEIGHT
from spx.errors import DatasetError

logger = logging.getLogger(__name__)

MASKS = ("train_mask", "val_mask", "test_mask")
INDEXES = ("train_idx", "val_idx", "test_idx")
KEYS = (
    *("edge_index", "edges", "x", "y", *MASKS, *INDEXES, "split"),
    *("node_ids", "class_names", "num_nodes", "adj"),
)
"""What is read under these names; docs/own-data.md says what each holds."""

_ALIASES = {
    "x": ("node_features", "node_feat", "node_attr", "features", "feature", "feats", "feat", "attr_matrix", "attr"),
    "y": ("node_labels", "node_label", "labels", "label"),
    "adj": ("adj_matrix", "adjacency", "adjacency_matrix"),
    "node_ids": ("node_names",),
    "train_mask": ("train_masks",),
    "val_mask": ("val_masks", "valid_mask", "valid_masks"),
    "test_mask": ("test_masks",),
    **{
        f"{part}_idx": tuple(
            name.format(word) for word in words for name in ("{}_idx", "idx_{}", "{}_index", "{}_indices", "{}_ids")
        )
        for part, words in (("train", ("train",)), ("val", ("val", "valid")), ("test", ("test",)))
    },
}
_HOUSE = {alias: key for key, aliases in _ALIASES.items() for alias in aliases if alias != key}
_SPARSE = {
    f"{name}{mark}{part}": (name, part)
    for name in ("adj", "x", "y", *(alias for key in ("adj", "x", "y") for alias in _ALIASES[key]))
    for mark in ("_", ".")
    for part in PARTS
}
NAMES = frozenset({"node_names", "class_names"})
"""What a graph can do without."""
KNOWN = {
    **{key: key for key in KEYS},
    **_HOUSE,
    **{key: _HOUSE.get(name, name) for key, (name, _) in _SPARSE.items()},
}
"""All keys that are looked at, and what each is called here."""


def wanted(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are read: none that means what another says already under its own name."""
    names = set(names)
    has_edges = bool(names & {"edge_index", "edges"})
    return frozenset(
        name
        for name in names & KNOWN.keys()
        if (KNOWN[name] == name or KNOWN[name] not in names) and not (KNOWN[name] == "adj" and has_edges)
    )


def house_arrays(
    arrays: Mapping[str, Any], source: str, weight: str | None = None, undirected: bool = False
) -> dict[str, np.ndarray | None]:
    """The arrays under the house's names, and in its forms; what is not known stays as it is.

    arrays      dense, or matrices of SciPy; None: not read
    source      the file that warnings name
    weight      the array of the edges' weights; "weight" may be the values of an adjacency matrix
    undirected  whether each edge is taken both ways: nobody needs to be told to say so
    Raises DatasetError for sparse parts that make no matrix, and for two arrays that could both be meant.
    """
    found = _joined(arrays)
    taken = {}
    for key in [key for key in found if key in _HOUSE and found[key] is not None]:
        house = _HOUSE[key]
        if found.get(house) is None:
            found.pop(house, None)
            rivals = [other for other in found if _HOUSE.get(other) == house and found[other] is not None]
            if len(rivals) > 1:
                raise DatasetError(f"it has {listed(rivals)}, and each could be {house}: call the right one {house}")
            found[house] = found.pop(key)
            taken[key] = house
    if "node_names" in taken and not _tell_apart(found["node_ids"]):
        logger.warning("%s: node_names is there more than once for some, so nodes are called by their numbers", source)
        del found["node_ids"], taken["node_names"]
    if taken:
        told = ", ".join(f"{key} as {house}" for key, house in taken.items())
        logger.warning("%s: taken: %s", source, told)
    if found.get("adj") is not None:
        weighted = weight == WEIGHT and found.get(WEIGHT) is None
        found["edges"], values = edges_of(found.pop("adj"), "the adjacency matrix", source, weighted)
        found |= {WEIGHT: values} if weighted else {}
    if not undirected and taken.get("node_features") and found.get("edges") is not None:
        _say_if_listed_once(found["edges"], source)
    return {key: array if key == "x" or key not in KEYS else dense(array, key) for key, array in found.items()}


def _tell_apart(names: np.ndarray) -> bool:
    return names.ndim == 1 and len(np.unique(names)) == len(names) and (names != "").all()


def _joined(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays, with each CSR matrix in place of its parts."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    found = {}
    for key, array in arrays.items():
        if key in _SPARSE and array is not None:
            name, part = _SPARSE[key]
            parts.setdefault(name, {})[part] = array
        else:
            found[key] = array
    for name, held in parts.items():
        if found.get(name) is not None:
            raise DatasetError(f"it has {name} as an array, and as the parts of a sparse matrix: keep one")
        found[name] = csr_of(held, name)
    return found


def _say_if_listed_once(edges: np.ndarray, source: str) -> None:
    """Platonov et al. list each edge of an undirected graph once."""
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu" or not edges.size or edges.min() < 0:
        return  # refused later
    turned = edges[:, ::-1][edges[:, 0] != edges[:, 1]]
    size = int(edges.max()) + 1
    if size < 2**31 and not np.isin(turned @ [size, 1], edges @ [size, 1]).any():
        logger.warning(
            "%s: no edge has its reverse. If each stands for both directions, as files with node_features mostly mean "
            "it: --data.undirected true",
            source,
        )


def flat_splits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, with the parts of a dictionary such as split_idx as train_idx, val_idx and test_idx."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("split_idx", "split", "splits") and isinstance(value, dict) and _are_parts(value):
            flat |= {f"{part}_idx": nodes for part, nodes in value.items()}
        else:
            flat[name] = value
    return flat


def _are_parts(names: Iterable[object]) -> bool:
    return {"train", "test"} <= set(names) <= {"train", "val", "valid", "test"}
