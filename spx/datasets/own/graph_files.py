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

from spx.datasets.own.edges import Edges
from spx.datasets.own.error_words import listed, one_line, shown
from spx.datasets.own.node_table import extra, names_of, table_of
from spx.datasets.own.weights import OFFER, WEIGHT, as_weights, weight_column
from spx.errors import DatasetError

if TYPE_CHECKING:
    import networkx
    import polars

logger = logging.getLogger(__name__)

_DRAWING = {"x", "y", "r", "g", "b"}
"""Places and colours, which Gephi writes as attributes of GraphML."""
KINDS = {".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML"}


def read_graph_file(file: Path, weight: str | None = None) -> "tuple[polars.DataFrame, Edges]":
    """The table of nodes, with the column `id`, and the edges between its rows.

    weight  the attribute of the edges that is their weight; None: they aren't used
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
    return _table(graph, file.name), _edges(graph, file.name, weight)


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


def _edges(graph: "networkx.Graph", what: str, weight: str | None) -> Edges:
    """Both ways if the graph is undirected, a self-loop once."""
    places = {node: place for place, node in enumerate(graph)}
    flat = chain.from_iterable((places[source], places[target]) for source, target in graph.edges())
    edges = np.fromiter(flat, dtype=np.int64).reshape(-1, 2)
    names = [name for name in names_of(values for *_, values in graph.edges(data=True)) if name not in ("id", "key")]
    found = None if weight is None else _weights(graph, weight_column(weight, names, f"{what}'s edges"), what)
    left_out = [name for name in names if weight is None or name.lower() != weight.lower()]
    if left_out:
        offer = "" if weight else f". {OFFER}"
        logger.warning("%s: the attributes %s of its edges are not used%s", what, listed(left_out), offer)
    if not graph.is_directed():
        turned = edges[:, 0] != edges[:, 1]
        edges = np.concatenate([edges, edges[turned][:, ::-1]])
        found = None if found is None else torch.cat([found, found[torch.from_numpy(turned)]])
    return Edges(torch.from_numpy(np.ascontiguousarray(edges.T)), {}, found)


def _weights(graph: "networkx.Graph", name: str, what: str) -> Tensor:
    """[E] float32, of each edge as the file lists it."""
    default = (graph.graph.get("edge_default") or {}).get(name)
    if default is None and what.lower().endswith(".gexf") and name == WEIGHT:
        default = 1.0  # as GEXF has it
    ends, values = [], []
    for source, target, value in graph.edges(data=name, default=default):
        ends.append((source, target))
        try:
            values.append(float("nan" if value is None else value))
        except (TypeError, ValueError):
            raise DatasetError(
                f"{what}: the attribute {name!r} of the edge {shown(source)} - {shown(target)} is {shown(value)}: a "
                "weight is a number from 0"
            ) from None

    def place(edge: int) -> str:
        return f"the edge {shown(ends[edge][0])} - {shown(ends[edge][1])}"

    return as_weights(np.array(values, dtype=np.float64), f"{what}: the edges' attribute {name!r}", place)
