"""GraphML, GEXF and GML, by networkx: the nodes' attributes are columns of a table. N nodes, E edges."""

import logging
import warnings
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import listed, one_line, shown
from spx.datasets.own.node_table import extra, names_of, table_of
from spx.errors import DatasetError

if TYPE_CHECKING:
    import networkx
    import polars

logger = logging.getLogger(__name__)

_DRAWING = {"x", "y", "r", "g", "b"}
"""Places and colours, which Gephi writes as attributes of GraphML."""
KINDS = {".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML"}


def read_graph_file(file: Path) -> "tuple[polars.DataFrame, Tensor]":
    """The table of nodes, with the column `id`, and the edges [2, E] int64 as rows of it.

    An edge of an undirected graph leads both ways.
    Raises DatasetError for a file that is not whole, holds more than one graph, or edges of nodes that are not there.
    """
    kind = KINDS[file.suffix.lower()]
    networkx = extra("networkx", kind)
    read: dict[str, Callable[[Any, Path], networkx.Graph]] = {"GraphML": _graphml, "GEXF": _gexf, "GML": _gml}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of attributes without a kind, which are text
            graph = read[kind](networkx, file)
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes the parsers raise
        reason = f"{type(error).__name__}: {one_line(error, 150)}"
        raise DatasetError(f"{file.name} can't be read as {kind} ({reason}): save it anew") from error
    return _table(graph, file.name), _edges(graph, file.name)


def _graphml(networkx: Any, file: Path) -> "networkx.Graph":
    _check_nodes(file)
    return networkx.read_graphml(str(file))


def _gexf(networkx: Any, file: Path) -> "networkx.Graph":
    _check_nodes(file)
    return networkx.read_gexf(str(file))


def _gml(networkx: Any, file: Path) -> "networkx.Graph":
    """Nodes are called by their labels, as networkx writes them, where these tell them apart; else by their ids."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file.name} is not in UTF-8 ({one_line(error, 80)}): save it anew in UTF-8") from error
    lines = text.encode("ascii", "xmlcharrefreplace").decode().splitlines()
    try:
        return networkx.parse_gml(lines, label="label")
    except networkx.NetworkXError as error:
        if "label" not in str(error):
            raise
        return networkx.parse_gml(lines, label="id")


def _check_nodes(file: Path) -> None:
    """Raise DatasetError for what networkx passes over: further graphs, nodes that are there twice or that only edges
    name."""
    from xml.etree import ElementTree

    nodes: list[str | None] = []
    ends: set[str | None] = set()
    depth, num_graphs = 0, 0
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        tag = str(element.tag).rpartition("}")[2]
        if event == "start":
            depth += 1
            num_graphs += tag == "graph" and depth == 2
            if tag == "node":
                nodes.append(element.get("id"))
            elif tag == "edge":
                ends |= {element.get("source"), element.get("target")}
        else:
            depth -= 1
            element.clear()
    if num_graphs != 1:
        raise DatasetError(f"{file.name} holds {num_graphs} graphs: save one")
    known = set(nodes)
    if len(known) < len(nodes) or None in known:
        raise DatasetError(f"{file.name}: some of its nodes have no id, or the id of another: give each its own")
    unknown = sorted(map(str, ends - known))
    if unknown:
        raise DatasetError(
            f"{file.name}: its edges name {len(unknown)} nodes that are not there, such as {shown(unknown[0])}: add "
            "them, or remove the edges"
        )


def _table(graph: "networkx.Graph", what: str) -> "polars.DataFrame":
    rows = [values for _, values in graph.nodes(data=True)]
    defaults = graph.graph.get("node_default") or {}
    names = list(dict.fromkeys([*names_of(rows), *map(str, defaults)]))
    if set(names) >= _DRAWING:
        drawn = [name for name in names if name in {*_DRAWING, "size"}]
        logger.warning("%s: %s are drawing, and not used. Rename what is a feature", what, listed(drawn))
        names = [name for name in names if name not in drawn]
    columns = {name: [values.get(name, defaults.get(name)) for values in rows] for name in names}
    return table_of([str(node) for node in graph], columns, what)


def _edges(graph: "networkx.Graph", what: str) -> Tensor:
    """[2, E]: both ways if the graph is undirected, a self-loop once."""
    places = {node: place for place, node in enumerate(graph)}
    flat = chain.from_iterable((places[source], places[target]) for source, target in graph.edges())
    edges = np.fromiter(flat, dtype=np.int64).reshape(-1, 2)
    names = [name for name in names_of(values for *_, values in graph.edges(data=True)) if name not in ("id", "key")]
    if names:
        logger.warning("%s: the attributes %s of its edges are not used", what, listed(names))
    if not graph.is_directed():
        edges = np.concatenate([edges, edges[edges[:, 0] != edges[:, 1]][:, ::-1]])
    return torch.from_numpy(np.ascontiguousarray(edges.T))
