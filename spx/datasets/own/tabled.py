"""Formats whose nodes are a table: folders of CSV and Parquet, DGL's, GraphML, GEXF, GML, AnnData, lists of edges.

N nodes, F features.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from spx.dataset_names import EDGE_ENDINGS, FILE_ENDINGS, TABLES, is_table, table_files
from spx.datasets.fingerprint import tensor_digest
from spx.datasets.own import annotated, edge_files, graph_files
from spx.datasets.own.dgl_folder import is_dgl, read_dgl
from spx.datasets.own.error_words import listed
from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.hints import for_ending
from spx.datasets.own.names import ID, LABEL, OF_EDGES, candidates, edge_ends
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.table_file import find_table, open_table
from spx.datasets.own.tables import graph_of, read_folder
from spx.errors import DatasetError
from spx.graph.features import Features, SparseFeatures

_FILES = (*FILE_ENDINGS, ".pth", *graph_files.KINDS, annotated.ENDING)
_HOLDS = {
    "nodes": "nodes.csv (or .parquet) with the columns id, label and the features",
    "edges": "edges.csv (or .parquet) with the columns source and target",
}
EXPECTED = (
    "a folder with nodes.csv and edges.csv (or .parquet), an .npz, a .pt, or one of the other formats in "
    "docs/own-data.md"
)


def read_tables(path: Path, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None) -> OwnGraph:
    """The graph at a path that exists, with its split.

    split   number of the split
    schema  how the table's columns were read in training; None: it is found out
    Raises DatasetError for what is none of these formats, or not whole.
    """
    graph, weight = partial(graph_of, number=split, settings=settings, schema=schema), settings.edge_weight
    if os.path.isdir(path):
        if is_dgl(path):
            nodes, what, edges = read_dgl(path, weight)
            return graph(nodes, edges, what)
        if (edges_file := _edges_beside(path)) is not None:
            return _with_table(edges_file, path, graph, weight)
        _refuse_folder_of_files(path)
        return read_folder(path, split, settings, schema)
    ending = path.suffix.lower()
    if is_table(path) and (ending not in EDGE_ENDINGS or path in table_files(path.parent, "nodes")):
        raise _one_of_two(path)
    if ending in graph_files.KINDS:
        nodes, edges = graph_files.read_graph_file(path, weight)
        return graph(nodes, lambda _: edges, path.name)
    if ending == annotated.ENDING:
        nodes, edges, x, names = annotated.read_annotated(path, weight)
        return _joined(graph(nodes, lambda _: edges, f"{path.name}: obs"), x, names)
    if ending in EDGE_ENDINGS:
        return _with_table(path, path.parent, graph, weight)
    hint = for_ending(ending)
    raise DatasetError(f"this is no kind of file that is read{f' ({hint})' if hint else ''}; give {EXPECTED}")


def _edges_beside(folder: Path) -> Path | None:
    """The only list of edges in a folder that has a table of nodes, and none of edges."""
    if not table_files(folder, "nodes") or table_files(folder, "edges"):
        return None
    endings = set(EDGE_ENDINGS) - {".txt"}
    found = [file for file in folder.iterdir() if file.suffix.lower() in endings and file.is_file()]
    return found[0] if len(found) == 1 else None


def _refuse_folder_of_files(folder: Path) -> None:
    """Raise DatasetError for a folder without tables that is one itself, in parts, or holds files which are read by
    their own paths."""
    if not table_files(folder, "nodes") and folder in (*_beside(folder, "nodes"), *_beside(folder, "edges")):
        raise _one_of_two(folder)
    try:
        find_table(folder, "nodes")
    except DatasetError as error:
        found = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _FILES and file.is_file())
        if found:
            raise DatasetError(
                f"the folder holds no table of nodes, but {listed(found)}: give the path of the graph's file itself"
            ) from error


def _beside(path: Path, table: str) -> list[Path]:
    return table_files(path.parent, table)


def _one_of_two(path: Path) -> DatasetError:
    """That a table alone is no graph, with what has to lie beside it."""
    table = next((table for table in TABLES if path in _beside(path, table)), None)
    named = table is not None
    table = table or _kind_of_table(path)
    folder = str(path.parent) if str(path.parent).isprintable() else repr(str(path.parent))
    if table is None:
        return DatasetError(f"this is one table, but a graph has two: {_HOLDS['nodes']}, and {_HOLDS['edges']}, in one "
                            "folder, whose path is given")  # fmt: skip
    other = "edges" if table == "nodes" else "nodes"
    there = bool(_beside(path, other)) or (other == "edges" and _edges_beside(path.parent) is not None)
    steps = [] if named else [f"call it {table}{''.join(path.suffixes)}"]
    steps += [] if there else [f"put the table of {other} beside it, {_HOLDS[other]}"]
    return DatasetError(
        f"this is the table of {table} alone: {''.join(f'{step}, ' for step in steps)}{'and ' * bool(steps)}give the "
        f"folder that holds both, {folder}"
    )


def _kind_of_table(path: Path) -> str | None:
    """ "nodes" or "edges", by the names of its columns; None where they don't tell."""
    columns = open_table(path).columns
    if len(edge_ends(columns, path.name)) == len(OF_EDGES):
        return "edges"
    return "nodes" if any(candidates(role, columns) for role in (ID, LABEL)) else None


def _with_table(edges_file: Path, folder: Path, graph: Any, weight: str | None) -> OwnGraph:
    try:
        nodes_file = find_table(folder, "nodes")
    except DatasetError as error:
        raise DatasetError(
            f"{edges_file.name} holds edges alone, and labels are needed: put a table nodes.csv (id, label, ...) into "
            f"its folder, which has {listed(sorted(os.listdir(folder)))}"
        ) from error
    table = open_table(nodes_file)
    edges = partial(edge_files.read_edges, edges_file, weight=weight)
    return graph(table.read(), edges, table.name, headings=table.columns)


def _joined(graph: OwnGraph, x: Features | None, names: tuple[str, ...] | None) -> OwnGraph:
    """The graph with further features [N, F] behind those of its table."""
    if x is None:
        return graph
    if graph.x is None:
        return graph._replace(x=x, feature_names=names)
    x = x.to_dense() if isinstance(x, SparseFeatures) else x
    further = names or tuple(f"X[{place}]" for place in range(x.size(1)))
    return graph._replace(
        x=torch.cat([graph.x, x], dim=1),
        feature_names=(*(graph.feature_names or ()), *further),
        table_digest=tensor_digest((graph.table_digest or "").encode(), x),
    )
