"""Sparse matrices in files: an adjacency matrix as edges, features as the rest of the program takes them.

N nodes, E edges, F features.
"""

import logging
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spx.datasets.own.error_words import one_line
from spx.datasets.own.weights import TO_USE, as_weights
from spx.errors import DatasetError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

logger = logging.getLogger(__name__)

PARTS = ("data", "indices", "indptr", "shape")


def csr_of(parts: Mapping[str, np.ndarray], what: str) -> "csr_array":
    """The CSR matrix of its `PARTS`. Raises DatasetError for parts that are missing or don't make one."""
    from scipy.sparse import csr_array

    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise DatasetError(f"{what} lacks {missing[0]!r} of its parts {', '.join(PARTS)}: save all of them")
    data, shape = parts["data"], parts["shape"]
    whole = all(parts[part].ndim == 1 and parts[part].dtype.kind in "iu" for part in PARTS[1:]) and shape.size == 2
    if not whole or data.ndim != 1 or data.dtype.kind not in "biuf":
        raise DatasetError(
            f"{what} is no CSR matrix of numbers: save data, indices, indptr and shape as SciPy has them"
        )
    indices, bounds = (parts[part].astype(np.int64) for part in ("indices", "indptr"))
    rows, columns = map(int, shape)
    # SciPy doesn't look at bounds that end with 0, and then writes past its arrays
    fits = len(bounds) == rows + 1 and bounds[0] == 0 and bounds[-1] == len(indices) == len(data)
    if not fits or (np.diff(bounds) < 0).any() or (indices < 0).any() or (indices >= columns).any():
        raise DatasetError(f"{what} is no CSR matrix: its parts don't fit one another. Save them anew")
    try:
        return csr_array((data, indices, bounds), shape=(rows, columns))
    except (ValueError, TypeError, OverflowError) as error:
        raise DatasetError(f"{what} is no CSR matrix ({one_line(error, 150)}): save its parts anew") from error


def checked(matrix: Any, what: str) -> Any:
    """A matrix that another library made of a file, as CSR, if it is sparse; a dense one as it is.

    Raises DatasetError as `csr_of`, and for another sparse form than CSR and CSC.
    """
    from scipy.sparse import issparse

    if not issparse(matrix):
        return matrix
    if matrix.format not in ("csr", "csc"):
        raise DatasetError(f"{what} is a sparse matrix of the form {matrix.format}: save it as CSR")
    turned = matrix.format == "csc"
    shape = np.array(matrix.shape[::-1] if turned else matrix.shape)
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": shape}
    return csr_of(parts, what).T.tocsr() if turned else csr_of(parts, what)


def edges_of(matrix: Any, what: str, source: str, weighted: bool = False) -> "tuple[np.ndarray, np.ndarray | None]":
    """The edges [E, 2] of an adjacency matrix [N, N], sparse or dense: one from i to j where place (i, j) is not zero;
    and, if they are `weighted`, the values [E] float32 there.

    source  the file that a warning about weights names
    Raises DatasetError for what is no such matrix, and for values that are no weights.
    """
    from scipy.sparse import coo_array, issparse

    if not issparse(matrix) and matrix.dtype.kind not in "biuf":
        raise DatasetError(f"{what} holds {matrix.dtype} values: an adjacency matrix is made of numbers")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DatasetError(f"{what} must be [N, N], a row and a column for each node, not {list(matrix.shape)}")
    entries = coo_array(matrix)
    there = entries.data != 0
    edges = np.stack([entries.row[there], entries.col[there]], axis=1).astype(np.int64)
    if weighted:
        values = as_weights(entries.data[there], what, lambda edge: "place ({}, {})".format(*edges[edge].tolist()))
        return edges, values.numpy()
    if (entries.data[there] != 1).any():
        logger.warning("%s: the values of %s (weights) are not used. To use them: %s", source, what, TO_USE)
    return edges, None


def dense(matrix: Any, what: str) -> np.ndarray:
    """A sparse matrix as a dense array; a dense one as it is. Of labels: features stay sparse.

    Raises DatasetError where the array would take more than half of the machine's memory.
    """
    from scipy.sparse import issparse

    if not issparse(matrix):
        return matrix
    needed, memory = 8.0 * math.prod(matrix.shape), memory_bytes()
    if needed > memory / 2:
        rows, columns = matrix.shape
        raise DatasetError(
            f"{what} is a sparse matrix of {rows} x {columns}, which as it is used takes {needed / 1e9:.1f} GB, more "
            f"than half of this machine's {memory / 1e9:.1f} GB: keep fewer columns"
        )
    return matrix.toarray()


def memory_bytes() -> float:
    """Of the machine; infinity where it can't be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf
