"""A folder of two tables, nodes.csv or .parquet and edges.csv or .parquet, and maybe features.npy."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.dataset_names import FEATURES_FILE
from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.features import TableFeatures, table_features
from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.labels import Labels, class_labels, classes_from_numbers, classes_from_text, several_labels
from spx.datasets.own.mapped import mapped_features
from spx.datasets.own.table_file import find_table, read_table
from spx.datasets.types import Split
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

ID, LABEL, SPLIT, SOURCE, TARGET = "id", "label", "split", "source", "target"
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"  # 7, but not 007, which is a name


def read_folder(folder: Path, categorical: tuple[str, ...]) -> OwnGraph:
    """Read both tables. Raises DatasetError for all that can be wrong with them; docs/own-data.md has the format."""
    nodes_file, edges_file = find_table(folder, "nodes"), find_table(folder, "edges")
    nodes = read_table(nodes_file, (ID,)).frame
    if nodes.height == 0:
        raise DatasetError(f"{nodes_file.name} has no rows: it needs one for each node")
    ids = _node_ids(nodes[ID], nodes_file.name)
    several = [name for name in nodes.columns if name.startswith(f"{LABEL}:")]
    labels = _labels(nodes, several, nodes_file.name)
    masks = _masks(nodes[SPLIT], f"{nodes_file.name}: column {SPLIT!r}") if SPLIT in nodes.columns else None
    features = table_features(nodes.drop(ID, LABEL, SPLIT, *several, strict=False), categorical, nodes_file.name)
    del nodes
    file = folder / FEATURES_FILE
    if file.exists():
        _refuse_both(features, file.name, nodes_file.name)
        x = mapped_features(file, len(ids))
        return OwnGraph(_edges(edges_file, ids), labels, x, masks, ids, features_file=os.path.abspath(file))
    x, names = features or (None, None)
    return OwnGraph(_edges(edges_file, ids), labels, x, masks, ids, names)


def _refuse_both(features: TableFeatures | None, file_name: str, table_name: str) -> None:
    if features is not None:
        raise DatasetError(
            f"{table_name} has features ({len(features.names)} columns) and {file_name} has too: keep one kind, and in "
            f"the table {ID}, {LABEL} and {SPLIT} alone"
        )


def _node_ids(column: "polars.Series", file_name: str) -> "polars.Series":
    import polars

    what = f"{file_name}: column {ID!r}"
    empty = column.null_count()
    if empty:
        raise DatasetError(f"{what} is empty in {empty} of {len(column)} rows: give each node an id")
    ids = _as_ids(column, what)
    if ids.dtype == polars.String and ids.str.contains(_INTEGER).all():
        ids = ids.cast(polars.Int64)
    twice = ids.filter(ids.is_duplicated())
    if len(twice):
        raise DatasetError(f"{what} must differ for each node, but {shown(twice[0])} is there more than once")
    return ids.rename(ID)


def _as_ids(column: "polars.Series", what: str) -> "polars.Series":
    import polars

    if column.dtype.is_integer():
        return column.cast(polars.Int64)
    if column.dtype == polars.String or isinstance(column.dtype, (polars.Categorical, polars.Enum)):
        return column.cast(polars.String)
    raise DatasetError(f"{what} holds {str(column.dtype)[:40]} values: ids must be integers or text")


def _labels(nodes: "polars.DataFrame", several: list[str], file_name: str) -> Labels:
    if several and LABEL in nodes.columns:
        raise DatasetError(f"{file_name} has both the column {LABEL!r} and {listed(several)}: keep one kind")
    if several:
        return _several(nodes, several, file_name)
    if LABEL not in nodes.columns:
        raise DatasetError(
            f"{file_name} has no column {LABEL!r} (it has {listed(nodes.columns)}): add one, empty where a label is "
            f"not known; or columns '{LABEL}:NAME' of 0 and 1 for several labels a node"
        )
    what = f"{file_name}: column {LABEL!r}"
    labels = class_labels(_classes(nodes[LABEL], what), what)
    if "-1" in labels.class_names:
        logger.warning("%s: -1 is taken as a class. Leave the cell empty where a node has no label", what)
    return labels


def _classes(column: "polars.Series", what: str) -> "polars.Series":
    import polars

    if column.dtype.is_float():
        return classes_from_numbers(column.cast(polars.Float64).fill_null(float("nan")).to_numpy(), what)
    if column.dtype.is_integer():
        return column.cast(polars.Int64)
    if column.dtype in (polars.String, polars.Boolean) or isinstance(column.dtype, (polars.Categorical, polars.Enum)):
        return classes_from_text(column.cast(polars.String).replace("", None), what)
    raise DatasetError(f"{what} holds {str(column.dtype)[:40]} values: classes must be integers or text")


def _several(nodes: "polars.DataFrame", columns: list[str], file_name: str) -> Labels:
    import polars

    names = tuple(name.removeprefix(f"{LABEL}:").strip() for name in columns)
    if "" in names or len(set(names)) < len(names):
        raise DatasetError(f"{file_name}: {listed(columns)} must each have a name of their own after '{LABEL}:'")
    table = np.empty((nodes.height, len(columns)), dtype=np.float64)
    for place, name in enumerate(columns):
        cells = nodes[name]
        if cells.dtype == polars.String:
            cells = cells.str.to_lowercase().replace({"true": "1", "false": "0"})
        numbers = cells.cast(polars.Float64, strict=False)
        if numbers.null_count() > cells.null_count():
            broken = cells.filter(numbers.is_null() & cells.is_not_null())
            raise DatasetError(f"{file_name}: column {name!r} must be 0 or 1, but holds {shown(broken[0])}")
        table[:, place] = numbers.fill_null(float("nan")).to_numpy()
    return several_labels(table, names, f"{file_name}: the columns '{LABEL}:'")


def _masks(column: "polars.Series", what: str) -> Split:
    """Train, validation and test, each [1, N] bool."""
    import polars

    parts = column.cast(polars.String).str.strip_chars().str.to_lowercase().replace("", None)
    strange = parts.filter(~parts.is_in(list(PARTS))).drop_nulls().unique().sort()
    if len(strange):
        raise DatasetError(
            f"{what} holds {listed(strange)}: write train, val or test, or leave the cell empty for a node in no part"
        )
    parts = parts.replace(PARTS).fill_null("")
    return Split(*(torch.from_numpy((parts == part).to_numpy().copy())[None] for part in ("train", "val", "test")))


def _edges(file: Path, ids: "polars.Series") -> Tensor:
    """[2, E] int64: rows of the nodes with the ids in `source` and `target`."""
    edges, left_out = read_table(file, (SOURCE, TARGET), only=True)
    if left_out:
        logger.warning("%s: the columns %s are not used", file, listed(left_out))
    ends = np.empty((2, edges.height), dtype=np.int64)
    for place, name in enumerate((SOURCE, TARGET)):
        ends[place] = _rows(edges[name], ids, f"{file.name}: column {name!r}").to_numpy()
    return torch.from_numpy(ends)


def _rows(column: "polars.Series", ids: "polars.Series", what: str) -> "polars.Series":
    """[E]: the row of each id among the nodes."""
    empty = column.null_count()
    if empty:
        raise DatasetError(f"{what} is empty in {empty} of {len(column)} rows: name both ends of each edge")
    keys = _as_ids(column, what).cast(ids.dtype, strict=False).rename(ID).to_frame()
    rows = keys.join(ids.to_frame().with_row_index("row"), on=ID, how="left", maintain_order="left")["row"]
    unknown = column.filter(rows.is_null())
    if len(unknown):
        raise DatasetError(
            f"{what} names ids that no node has, {len(unknown)} times of {len(column)}, such as {shown(unknown[0])}: "
            "add these nodes, or remove the edges"
        )
    return rows
