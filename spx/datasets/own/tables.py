"""A folder of two tables, nodes.csv or .parquet and edges.csv or .parquet, and maybe features.npy."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from spx.dataset_names import FEATURES_FILE
from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.labels import (
    Labels,
    class_labels,
    classes_from_numbers,
    classes_from_text,
    classes_or_labels,
    several_labels,
)
from spx.datasets.own.lookup import rows_of
from spx.datasets.own.mapped import mapped_features
from spx.datasets.own.missing import counted, without_missing
from spx.datasets.own.schema import OtherColumn, Schema, fit_features
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.split import choose_split, split_origin
from spx.datasets.own.split_columns import SPLIT, find_masks, masks_of
from spx.datasets.own.table_file import find_table, nameless_column, read_table
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

ID, LABEL, SOURCE, TARGET = "id", "label", "source", "target"

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"  # 7, but not 007, which is a name
_PANDAS_INDEX = r"__index_level_\d+__"
_PANDAS_UNNAMED = r"Unnamed: \d+"


def read_folder(folder: Path, number: int, settings: OwnSettings, schema: Mapping[str, Any] | None = None) -> OwnGraph:
    """Read both tables, and choose the split, from whose training nodes gaps and scales are filled in.

    number  of the split
    schema  how the columns were read in training; None: it is found out
    Raises DatasetError for all that can be wrong with them; docs/own-data.md has the format.
    """
    nodes_file, edges_file = find_table(folder, "nodes"), find_table(folder, "edges")
    _refuse_other_arrays(folder)
    what = nodes_file.name
    nodes = read_table(nodes_file, (ID,)).frame
    if nodes.height == 0:
        raise DatasetError(f"{what} has no rows: it needs one for each node")
    all_names, nodes = nodes.columns, _without_row_counters(nodes, what)
    ids = _node_ids(nodes[ID], what)  # before: a node may be called NA
    nodes, words = without_missing(nodes, settings.missing)
    several = [name for name in nodes.columns if name.startswith(f"{LABEL}:")]
    labels = classes_or_labels(_labels(nodes, several, what), settings.task, f"{what}: the labels")
    mask_columns = find_masks(nodes.columns)
    masks = masks_of(nodes, mask_columns, what)
    split, origin = (choose(masks, labels, number, settings) for choose in (choose_split, split_origin))
    columns = nodes.drop(ID, LABEL, SPLIT, *several, *mask_columns, strict=False)
    _say_missing({name: words[name] for name in (LABEL, *several, SPLIT) if name in words}, what)
    others = _others(all_names, nodes, several, mask_columns)
    del nodes
    features_file = folder / FEATURES_FILE
    if features_file.exists():
        _refuse_both(columns.columns, features_file.name, what)
        x = mapped_features(features_file, len(ids))
        features_path, found = os.path.abspath(features_file), Schema((), others).to_json()
        edges = _edges(edges_file, ids)
        graph = OwnGraph(edges, labels, x, None, ids, features_file=features_path, split=split, schema=found)
        return graph._replace(split_origin=origin)
    if schema is not None:
        features = Schema.from_json(schema).apply(columns, what)
    else:
        fitted, features = fit_features(columns, split.train, settings.categorical, settings.scaling, what)
        categories = {column.name for column in fitted if column.kind == "category"}
        _say_missing({name: held for name, held in words.items() if name in categories}, what)
        schema = Schema(fitted, others).to_json()
    del columns
    x, names, digest = features or (None, None, None)
    return OwnGraph(
        *(_edges(edges_file, ids), labels, x, None, ids, names),
        split=split,
        schema=dict(schema),
        table_digest=digest,
        split_origin=origin,
    )


def _others(
    names: list[str], nodes: "polars.DataFrame", several: list[str], masks: Mapping[str, str]
) -> tuple[OtherColumn, ...]:
    """The table's columns that are no features, in its order."""
    kinds: dict[str, Literal["id", "label", "split"]] = {ID: "id", LABEL: "label", SPLIT: "split"}
    kinds |= dict.fromkeys(several, "label") | dict.fromkeys(masks, "split")
    left_out = [OtherColumn(name, "left out") for name in names if name not in nodes.columns]
    known = [name for name in nodes.columns if name in kinds]
    return (*(OtherColumn(name, kinds[name], nodes[name].null_count() / nodes.height) for name in known), *left_out)


def _refuse_other_arrays(folder: Path) -> None:
    """Features in a file of another name than the one that is read must not be passed over in silence."""
    others = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in (".npy", ".npz"))
    others = [name for name in others if name != FEATURES_FILE]
    if others:
        mend = f"rename it to {FEATURES_FILE} (float32 or float16, a row for each row of nodes)"
        if (folder / FEATURES_FILE).exists() or len(others) > 1:
            mend = f"join its columns to those of {FEATURES_FILE}"
        raise DatasetError(
            f"the folder holds {listed(others)} beside its tables, which would not be read: {mend} if it holds "
            "features, or move it elsewhere"
        )


def _say_missing(words: dict[str, dict[str, int]], what: str) -> None:
    if words:
        columns = "; ".join(f"{name!r}: {counted(held)}" for name, held in list(words.items())[:4])
        logger.warning("%s: taken as missing (--data.missing sets the words): %s", what, columns)


def _without_row_counters(nodes: "polars.DataFrame", what: str) -> "polars.DataFrame":
    """Without the index that pandas writes beside the columns."""
    left_out = []
    for name in nodes.columns:
        if re.fullmatch(_PANDAS_INDEX, name) or (re.fullmatch(_PANDAS_UNNAMED, name) and _is_index(nodes[name])):
            left_out.append(name)
        elif not name:
            if not _is_index(nodes[name], whole=True):
                raise nameless_column(what, 1)
            left_out.append(name)
    if left_out:
        shown_names = [name or "(the first, without a name)" for name in left_out]
        logger.warning(
            "%s: the columns %s number rows (pandas' index) and are left out. Rename what is a feature",
            *(what, listed(shown_names)),
        )
    return nodes.drop(left_out)


def _is_index(column: "polars.Series", whole: bool = False) -> bool:
    """Whether the column is empty throughout, or holds integers that differ; `whole`: all of 0 to N - 1, or 1 to N."""
    import polars

    numbers = column.cast(polars.Float64, strict=False)
    if whole:
        low = numbers.min()
        return bool(low in (0, 1) and numbers.max() == low + len(numbers) - 1 and numbers.n_unique() == len(numbers))
    if column.null_count() == len(column):
        return True
    return bool(numbers.null_count() == 0 and (numbers == numbers.floor()).all() and numbers.is_unique().all())


def _refuse_both(columns: list[str], file_name: str, table_name: str) -> None:
    if columns:
        raise DatasetError(
            f"{table_name} has features ({len(columns)} columns) and {file_name} has too: keep one kind, and in "
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
    if column.dtype == polars.String:
        return column
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
    classes = _classes(nodes[LABEL], what)
    num_labelled = len(classes) - classes.null_count()
    if num_labelled > 2 and classes.drop_nulls().n_unique() == num_labelled:
        raise DatasetError(
            f"{what}: each of its {num_labelled} values is there once, so it is a name and no class (as in Gephi's "
            f"tables): leave the column out, and call the column of classes {LABEL!r}"
        )
    labels = class_labels(classes, what)
    if "-1" in labels.class_names:
        logger.warning("%s: -1 is taken as a class. Leave the cell empty where a node has no label", what)
    return labels


def _classes(column: "polars.Series", what: str) -> "polars.Series":
    import polars

    if column.dtype.is_float():
        return classes_from_numbers(column.cast(polars.Float64).fill_null(float("nan")).to_numpy(), what)
    if column.dtype.is_integer():
        return column.cast(polars.Int64)
    if column.dtype in (polars.String, polars.Boolean):
        return classes_from_text(column.cast(polars.String), what)
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
    rows = rows_of(_as_ids(column, what).cast(ids.dtype, strict=False), ids)
    unknown = column.filter(rows.is_null())
    if len(unknown):
        raise DatasetError(
            f"{what} names ids that no node has, {len(unknown)} times of {len(column)}, such as {shown(unknown[0])}: "
            "add these nodes, or remove the edges"
        )
    return rows
