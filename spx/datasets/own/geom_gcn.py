"""A folder of Geom-GCN's text files and splits. N nodes, E edges, F features, S splits."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spx.datasets.own.error_words import listed, one_line, shown
from spx.datasets.own.npz import read_npz
from spx.datasets.own.sparse import csr_of
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

EDGES, NODES = "out1_graph_edges.txt", "out1_node_feature_label.txt"
_SPLIT = re.compile(r".*_split_.*?(\d+)\.npz")
_MASKS = ("train_mask", "val_mask", "test_mask")


def is_geom_gcn(folder: Path) -> bool:
    return (folder / EDGES).is_file() or (folder / NODES).is_file()


def read_geom_gcn(folder: Path) -> dict[str, Any]:
    """Its arrays: edges [E, 2], y [N], x [N, F] (sparse where words are listed), and a mask [S, N] for each part.

    Splits lie beside the text files or in splits/, and are numbered in the order of their numbers.
    Raises DatasetError for files that are missing, or aren't whole.
    """
    nodes = _text(folder, NODES, 3)
    rows = _integers(nodes[0], NODES)
    if not len(rows) or not np.array_equal(np.sort(rows), np.arange(len(rows))):
        raise DatasetError(f"{NODES} must number its nodes from 0 to {len(rows) - 1}, each once")
    order = np.argsort(rows)
    edges = _text(folder, EDGES, 2)
    return {
        "edges": np.stack([_integers(edges[place], EDGES) for place in (0, 1)], axis=1),
        "y": _integers(nodes[2], NODES)[order],
        "x": _features(nodes[1][order]),
        **_splits(folder),
    }


def _text(folder: Path, name: str, width: int) -> "list[polars.Series]":
    """The columns of a file with a first line of titles and tabs between cells, as text."""
    import polars

    if not (folder / name).is_file():
        raise DatasetError(f"the folder has {listed(_names(folder))}, but not {name}: Geom-GCN's graphs have both")
    try:
        frame = polars.read_csv(folder / name, separator="\t", has_header=False, skip_rows=1, infer_schema=False)
    except polars.exceptions.PolarsError as error:
        raise DatasetError(f"{name} can't be read ({one_line(error, 120)}): save it anew") from error
    if frame.width != width or sum(frame.null_count().row(0)):
        raise DatasetError(f"{name} must have {width} cells in each line, with tabs between them")
    return frame.get_columns()


def _integers(cells: "polars.Series", name: str) -> np.ndarray:
    import polars

    numbers = cells.str.strip_chars().cast(polars.Int64, strict=False)
    wrong = cells.filter(numbers.is_null())
    if len(wrong):
        raise DatasetError(f"{name} holds {shown(wrong[0])} where an integer is needed")
    return numbers.to_numpy()


def _features(cells: "polars.Series") -> Any:
    """[N, F]: as they are written, if all have the same length and are numbers but 0 and 1 stand there alone; else the
    cells list the places of ones."""
    import polars

    lists = cells.str.strip_chars().str.split(",")
    flat = lists.explode().cast(polars.Float64, strict=False)
    if flat.null_count():
        raise DatasetError(f"{NODES} holds features that are no numbers with commas between them")
    values, lengths = flat.to_numpy(), lists.list.len().to_numpy().astype(np.int64)
    whole = bool(
        np.isfinite(values).all() and (values == np.floor(values)).all() and values.min() >= 0 and values.max() < 2**31
    )
    if (lengths == lengths[0]).all() and (not whole or values.max() <= 1 < lengths[0]):
        return values.reshape(len(lengths), -1)
    if not whole:
        raise DatasetError(
            f"{NODES} has features of {lengths.min()} to {lengths.max()} numbers: each node needs as many"
        )
    places = np.unique(values.astype(np.int64) + np.repeat(np.arange(len(lengths)), lengths) * int(values.max() + 1))
    nodes, words = np.divmod(places, int(values.max() + 1))
    bounds = np.concatenate([[0], np.bincount(nodes, minlength=len(lengths)).cumsum()])
    shape = np.array([len(lengths), int(values.max()) + 1])
    return csr_of({"data": np.ones(len(words)), "indices": words, "indptr": bounds, "shape": shape}, "x")


def _splits(folder: Path) -> dict[str, np.ndarray]:
    files = [*folder.glob("*_split_*.npz"), *folder.glob("splits/*_split_*.npz")]
    numbered = sorted((int(found[1]), file) for file in files if (found := _SPLIT.fullmatch(file.name)))
    if not numbered:
        return {}
    numbers = [number for number, _ in numbered]
    if numbers != list(range(len(numbers))):
        logger.warning("%s: --data.split numbers %s from 0", folder, listed(file.name for _, file in numbered))
    masks: dict[str, list[np.ndarray]] = {name: [] for name in _MASKS}
    for _, file in numbered:
        try:
            held = read_npz(file)
        except DatasetError as error:
            raise DatasetError(f"{file.name}: {error}") from error
        for name in _MASKS:
            mask = held.get(name)
            if mask is None or mask.ndim != 1 or len(mask) != len((masks[name] or [mask])[0]):
                raise DatasetError(f"{file.name} must have {', '.join(_MASKS)}, each [N]")
            masks[name].append(mask)
    return {name: np.stack(rows) for name, rows in masks.items()}


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
