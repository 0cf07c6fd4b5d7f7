"""A folder of two tables, nodes.csv or .parquet and edges.csv or .parquet, and maybe features.npy."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spx.dataset_names import FEATURES_FILE
from spx.datasets.fingerprint import tensor_digest
from spx.datasets.own.column import OtherColumn
from spx.datasets.own.edges import Edges, read_edges
from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.ids import node_ids
from spx.datasets.own.labels import (
    Labels,
    class_labels,
    classes_from_numbers,
    classes_from_text,
    classes_or_labels,
    labels_if_known,
    several_labels,
)
from spx.datasets.own.mapped import mapped_features
from spx.datasets.own.missing import counted, without_missing
from spx.datasets.own.names import ID, LABEL, SPLIT, Heading, check_roles
from spx.datasets.own.numerals import Marks
from spx.datasets.own.roles import no_label, node_roles, say_which, trained_roles
from spx.datasets.own.schema import Schema, TableFeatures, fit_features
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.split import choose_split, split_origin
from spx.datasets.own.split_columns import find_masks, masks_of
from spx.datasets.own.table_file import SEPARATOR_BESIDE_DECIMAL_COMMA, find_table, nameless_column, open_table
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

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
    known = {} if schema is None else trained_roles(Schema.from_json(schema).others)
    edges = partial(
        *(read_edges, edges_file),
        given=settings.columns or {},
        known=known,
        weight=settings.edge_weight,
        decimal=settings.decimal,
    )
    table = open_table(nodes_file)
    return graph_of(
        *(table.read(), edges, table.name, number, settings, schema, table.columns, folder / FEATURES_FILE),
        semicolons=table.separator == SEPARATOR_BESIDE_DECIMAL_COMMA,
    )


def graph_of(
    nodes: "polars.DataFrame",
    edges: Callable[["polars.Series"], Edges],
    what: str,
    number: int,
    settings: OwnSettings,
    schema: Mapping[str, Any] | None = None,
    headings: list[Heading] | None = None,
    features_file: Path | None = None,
    semicolons: bool = False,
) -> OwnGraph:
    """The graph of a table of nodes, from whatever file.

    nodes   a row each; text without spaces around it, null where there is none
    edges   gives the edges for the ids [N]
    what    the file that errors name
    number, settings, schema  as of `read_folder`
    headings  what the header says of each column; None: their names alone
    features_file  that may lie beside the table
    semicolons  whether they stand between the table's cells
    Raises DatasetError as `read_folder`.
    """
    check_roles(settings.columns or {})
    trained = None if schema is None else Schema.from_json(schema)
    known = {} if trained is None else trained_roles(trained.others)
    headings = [Heading(name) for name in nodes.columns] if headings is None else headings
    if nodes.height == 0:
        raise DatasetError(f"{what} has no rows: it needs one for each node")
    roles, left_out = node_roles(headings, nodes, settings.columns or {}, known, what)
    nodes = _without_row_counters(nodes.drop(left_out), roles.values(), what)
    ids = node_ids(nodes[roles[ID]], what)  # before: a node may be called NA
    nodes, words = without_missing(nodes, settings.missing)
    several = [name for name in nodes.columns if name.lower().startswith(f"{LABEL}:") and name not in roles.values()]
    labels = _labels(nodes, several, roles.get(LABEL), what, settings)
    mask_columns = find_masks(name for name in nodes.columns if name not in roles.values())
    masks = masks_of(nodes, mask_columns, roles.get(SPLIT), what) if settings.classes is None else None
    split, origin = (choose(masks, labels, number, settings) for choose in (choose_split, split_origin))
    columns = _without_empty(nodes.drop(*roles.values(), *several, *mask_columns), trained, what)
    judged = [name for name in (roles.get(LABEL), *several, roles.get(SPLIT)) if name in words]
    _say_missing({name: words[name] for name in judged}, what)
    found = edges(ids)
    kinds = {name: role for role, name in roles.items()}
    kinds |= dict.fromkeys(several, LABEL) | dict.fromkeys(mask_columns, SPLIT)
    others = _others(headings, nodes, columns, kinds, found.names)
    del nodes
    marks = Marks(settings.decimal, semicolons)
    if trained is not None:
        features = trained.apply(columns, what, marks)
    else:
        fitted, features = fit_features(columns, split.train, settings.categorical, settings.scaling, what, marks)
        categories = {column.name for column in fitted if column.kind == "category"}
        _say_missing({name: held for name, held in words.items() if name in categories}, what)
        trained = Schema(fitted, others)
    del columns
    graph = OwnGraph(found.edge_index, labels, None, None, ids, split=split, schema=trained.to_json())
    graph = graph._replace(split_origin=origin, edge_weight=found.weight)
    return _with_features(graph, features, features_file)


def _others(
    headings: list[Heading],
    nodes: "polars.DataFrame",
    features: "polars.DataFrame",
    kinds: Mapping[str, str],
    ends: Mapping[str, str],
) -> tuple[OtherColumn, ...]:
    """The nodes' columns that are no features, in the table's order, those left out last; and the ends of the edges."""
    known = [
        OtherColumn(name, kinds[name], nodes[name].null_count() / nodes.height)
        for name in nodes.columns
        if name in kinds
    ]
    left_out = [
        OtherColumn(heading.name, "left out")
        for heading in headings
        if heading.name not in kinds and heading.name not in features.columns
    ]
    return (*known, *left_out, *(OtherColumn(name, role) for role, name in ends.items()))


def _without_empty(columns: "polars.DataFrame", trained: Schema | None, what: str) -> "polars.DataFrame":
    """Without columns that hold nothing, but for those that the network was trained with."""
    kept = () if trained is None else [column.name for column in trained.columns]
    empty = [name for name in columns.columns if name not in kept and columns[name].null_count() == columns.height]
    if empty:
        logger.warning("%s: the columns %s are empty throughout and are left out", what, listed(empty))
    return columns.drop(empty)


def _with_features(graph: OwnGraph, table: TableFeatures | None, file: Path | None) -> OwnGraph:
    """With the table's features, those of the file, or both: then all in memory, the table's first."""
    if file is None or not file.exists():
        x, names, digest = table or (None, None, None)
        return graph._replace(x=x, feature_names=names, table_digest=digest)
    mapped = mapped_features(file, graph.num_nodes)
    if table is None:
        return graph._replace(x=mapped, features_file=os.path.abspath(file))
    width, (num_nodes, num_mapped) = table.x.size(1), mapped.shape
    x = torch.empty(num_nodes, width + num_mapped)
    logger.warning(
        "%s and the table's %d features are joined in memory (%.3g GB); without feature columns in the table the file "
        "would stay on disk",
        *(file.name, width, x.numel() * x.element_size() / 1e9),
    )
    x[:, :width] = table.x
    x[:, width:] = mapped
    names = (*table.names, *(f"{file.stem}[{place}]" for place in range(num_mapped)))
    return graph._replace(x=x, feature_names=names, table_digest=tensor_digest(table.digest.encode(), mapped))


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


def _without_row_counters(nodes: "polars.DataFrame", roles: Iterable[str], what: str) -> "polars.DataFrame":
    """Without the index that pandas writes beside the columns, unless it is one of the roles' columns."""
    left_out = []
    for name in nodes.columns:
        if name in roles:
            continue
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


def _labels(
    nodes: "polars.DataFrame", several: list[str], name: str | None, file_name: str, settings: OwnSettings
) -> Labels:
    """Of the column of that name, or of several labels."""
    if settings.classes is not None:
        column = None if name is None else _classes(nodes[name], f"{file_name}: column {name!r}")
        return labels_if_known(column, nodes.height, settings)
    labels = _all_labels(nodes, several, name, file_name)
    return classes_or_labels(labels, settings.task, f"{file_name}: the labels")


def _all_labels(nodes: "polars.DataFrame", several: list[str], name: str | None, file_name: str) -> Labels:
    if several and name is not None:
        raise DatasetError(f"{file_name} has both the column {name!r} and {listed(several)}: keep one kind")
    if several:
        return _several(nodes, several, file_name)
    if name is None:
        raise no_label(nodes, file_name)
    what = f"{file_name}: column {name!r}"
    classes = _classes(nodes[name], what)
    num_labelled = len(classes) - classes.null_count()
    if num_labelled > 2 and classes.drop_nulls().n_unique() == num_labelled:
        raise DatasetError(
            f"{what}: each of its {num_labelled} values is there once, so it is a name and no class (as in Gephi's "
            f"tables): {say_which(nodes)}"
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

    names = tuple(name[len(LABEL) + 1 :].strip() for name in columns)
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
