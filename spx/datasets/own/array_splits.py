"""The split in arrays: masks, lists of node numbers, or a word for each node. N nodes, S splits."""

import logging
from collections.abc import Mapping

import numpy as np
import torch

from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.foreign_keys import INDEXES, MASKS
from spx.datasets.own.names import SPLIT
from spx.datasets.own.split_columns import masks_of
from spx.datasets.types import Split
from spx.errors import DatasetError

logger = logging.getLogger(__name__)


def masks_in(arrays: Mapping[str, np.ndarray], num_nodes: int, by_column: bool) -> Split | None:
    """Train, validation and test, each [S, N] bool; None if the arrays hold no split.

    A part that all S splits share is repeated, and validation may be left out. The split may be given in two ways that
    are the same.
    by_column  whether a square mask [N, N] has a split in each column or in each row
    Raises DatasetError for a split that is given in part, or in two ways that differ, and for what is no split of N
    nodes.
    """
    found: dict[str, np.ndarray] = {}
    for names in (MASKS, INDEXES):
        for part, name in enumerate(names):
            if name not in arrays:
                continue
            flags = names == MASKS or arrays[name].dtype.kind == "b"
            mask = _mask(name, arrays[name], num_nodes, by_column) if flags else _nodes(name, arrays[name], num_nodes)
            if MASKS[part] in found and not np.array_equal(found[MASKS[part]], mask):
                raise DatasetError(f"it has {MASKS[part]} and {name}, and they differ: keep one of them")
            found.setdefault(MASKS[part], mask)
    words = arrays.get(SPLIT)
    if not found:
        return None if words is None else _of_words(words, num_nodes)
    if words is not None:
        logger.warning("%s is not used, as there is %s", SPLIT, listed(found))
    if not {MASKS[0], MASKS[2]} <= set(found):
        given = [name for name in (*MASKS, *INDEXES) if name in arrays]
        wanted = MASKS if given[0] in MASKS else INDEXES
        raise DatasetError(f"it has {listed(given)} but not all of {listed(wanted)}: add the others, or leave all out")
    masks = [found.get(name, np.zeros((1, num_nodes), dtype=bool)) for name in MASKS]
    num_splits = max(len(mask) for mask in masks)
    if any(len(mask) not in (1, num_splits) for mask in masks):
        raise DatasetError(f"the masks have {listed(len(mask) for mask in masks)} splits: give each the same number")
    return Split(*(torch.from_numpy(mask).expand(num_splits, -1) for mask in masks))


def _mask(name: str, mask: np.ndarray, num_nodes: int, by_column: bool) -> np.ndarray:
    """[N], [S, N] or [N, S] as [S, N] bool."""
    if mask.dtype.kind not in "biu" or (mask.dtype.kind != "b" and ((mask != 0) & (mask != 1)).any()):
        raise DatasetError(f"{name} holds {mask.dtype} values that are not true or false: give one for each node")
    rows = mask[None] if mask.ndim == 1 else mask
    if rows.ndim != 2 or num_nodes not in rows.shape or 0 in rows.shape:
        raise DatasetError(f"{name} must be [N], [S, N] or [N, S] with N = {num_nodes} as in y, not {list(mask.shape)}")
    turned = mask.ndim == 2 and rows.shape[0] == num_nodes and (by_column or rows.shape[1] != num_nodes)
    return np.ascontiguousarray(rows.T if turned else rows, dtype=bool)


def _nodes(name: str, nodes: np.ndarray, num_nodes: int) -> np.ndarray:
    """Node numbers [n], [n, 1], or [S, n] with a split in each row, as [S, N] bool."""
    if nodes.ndim not in (1, 2) or (nodes.dtype.kind not in "iu" and nodes.size):
        raise DatasetError(f"{name} is {list(nodes.shape)} {nodes.dtype}: it must be [n] numbers of nodes, or [S, n]")
    rows = nodes[None] if nodes.ndim == 1 else nodes.T if nodes.shape[1] == 1 else nodes
    wrong = rows[(rows < 0) | (rows >= num_nodes)]
    if wrong.size:
        raise DatasetError(f"{name} names node {shown(int(wrong[0]))}, but the graph has {num_nodes}, numbered from 0")
    mask = np.zeros((len(rows), num_nodes), dtype=bool)
    np.put_along_axis(mask, rows.astype(np.int64), True, axis=1)
    return mask


def _of_words(words: np.ndarray, num_nodes: int) -> Split | None:
    import polars

    if words.shape != (num_nodes,) or words.dtype.kind not in "iuU":
        logger.warning("%s is not used: it is %s %s, no word for each node", SPLIT, list(words.shape), words.dtype)
        return None
    column = polars.Series(SPLIT, words.tolist()).cast(polars.String).replace("", None)
    return masks_of(column.to_frame(), {}, SPLIT, "arrays")
