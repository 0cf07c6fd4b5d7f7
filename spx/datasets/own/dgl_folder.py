"""A folder of DGL's CSV datasets: meta.yaml names a table of nodes and a table of edges. N nodes."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from spx.datasets.own.edges import Edges, ends_of
from spx.datasets.own.error_words import listed, one_line, shown
from spx.datasets.own.names import ID, SOURCE, TARGET
from spx.datasets.own.weights import OFFER
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

META = "meta.yaml"
_MEND = "save the graph of one kind as nodes.csv and edges.csv"


def is_dgl(folder: Path) -> bool:
    return (folder / META).is_file()


def read_dgl(
    folder: Path, weight: str | None = None
) -> "tuple[polars.DataFrame, str, Callable[[polars.Series], Edges]]":
    """The table of nodes, its file's name, and the edges [2, E] for the nodes' ids. Numbers in a list stay lists.

    weight  the column of the edges' weights; None: they aren't used
    Raises DatasetError for several graphs or kinds of nodes, and for files or columns that are missing.
    """
    nodes_file, edges_file, separator = _meta(folder)
    nodes = _table(nodes_file, separator, {"node_id": ID})
    edges = _table(edges_file, separator, {"src_id": SOURCE, "dst_id": TARGET})
    if "graph_id" in nodes.columns:
        count = nodes["graph_id"].n_unique()
        if count > 1:
            raise DatasetError(f"{nodes_file.name} holds {count} graphs (graph_id), but one is trained on: {_MEND}")
        nodes = nodes.drop("graph_id")
    left_out = [name for name in edges.columns if name not in (SOURCE, TARGET, "graph_id", weight)]
    if left_out:
        offer = "" if weight else f". {OFFER}"
        logger.warning("%s: the columns %s are not used%s", edges_file.name, listed(left_out), offer)
    nodes = nodes.with_columns(_lists(nodes[name]) for name in nodes.columns if name != ID)
    return nodes, nodes_file.name, partial(ends_of, edges, what=edges_file.name, weight=weight)


def _meta(folder: Path) -> tuple[Path, Path, str]:
    try:
        meta = yaml.safe_load((folder / META).read_text("utf-8"))
        nodes, edges = (_files(meta[key]) for key in ("node_data", "edge_data"))
        separator = meta.get("separator", ",")
    except Exception as error:  # whatever strange YAML makes its reader raise, or holds
        raise DatasetError(
            f"{META} is none of DGL's ({type(error).__name__}: {one_line(error, 120)}): it needs node_data and "
            "edge_data, each with a file_name"
        ) from error
    for what, names in (("node_data", nodes), ("edge_data", edges)):
        if len(names) != 1:
            raise DatasetError(f"{META}: {what} names {len(names)} files, but a graph has one kind of each: {_MEND}")
    for name in (*nodes, *edges):
        if not (folder / name).is_file() or not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise DatasetError(f"{META} names {shown(name)}, which is no file in the folder: add it")
    if separator not in (",", ";", "\t", "|", " "):
        raise DatasetError(
            f"{META} has the separator {shown(separator)}: write a comma, semicolon, tab or | in the files"
        )
    return folder / nodes[0], folder / edges[0], separator


def _files(entries: Any) -> list[str]:
    return [str(entry["file_name"]) for entry in entries]


def _table(file: Path, separator: str, needed: dict[str, str]) -> "polars.DataFrame":
    """All cells as text without spaces around it, null where there is none; the needed columns under our names."""
    import polars

    try:
        frame = polars.read_csv(file, separator=separator, infer_schema=False, glob=False)
        frame = frame.rename({name: name.strip() for name in frame.columns})
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise DatasetError(f"{file.name} can't be read as CSV ({one_line(error, 150)}): save it anew") from error
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise DatasetError(f"{file.name} has no column {listed(missing)} (it has {listed(frame.columns)}): add it")
    taken = [name for name in needed.values() if name in frame.columns]
    text = polars.selectors.string().str.strip_chars()
    return frame.drop(taken).rename(needed).with_columns(polars.when(text != "").then(text).name.keep())


def _lists(column: "polars.Series") -> "polars.Series":
    """Text such as "0.1, 0.2" in each cell as lists of numbers; another column as it is."""
    import polars

    filled = column.drop_nulls()
    if not len(filled) or not filled.str.contains(",", literal=True).all():
        return column
    lists = column.str.split(",").list.eval(polars.element().str.strip_chars().cast(polars.Float64, strict=False))
    broken = lists.list.eval(polars.element().is_null()).list.any().fill_null(False)
    return column if broken.any() else lists
