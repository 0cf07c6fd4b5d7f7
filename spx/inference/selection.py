"""What a user asks predictions for: nodes by their names, new features, a graph that must be the run's own."""

from typing import Any

import polars as pl
import torch
from scipy.sparse import coo_matrix, issparse
from torch import Tensor

from spx.data import GraphData
from spx.data.known_nodes import KnownNodes
from spx.datasets import NodeDataset
from spx.datasets.checks import FEATURE_DTYPES, broken_rows
from spx.errors import ArtifactError, ConfigError
from spx.graph.csr import distinct_edges
from spx.graph.features import Features, SparseFeatures
from spx.graph.weights import same_weights

SHOWN = 5
"""Examples in an error."""


def asked_nodes(first: Any, nodes: Any) -> Any:
    """Nodes that are given as the first argument or by `nodes=`; None: all.

    Raises:
        ConfigError: as both, or a table.
    """
    for given in (first, nodes):
        if hasattr(given, "columns"):
            raise ConfigError(
                f"nodes is a table of the columns {_examples(given.columns)}; give a list of names, such as one of its "
                "columns. A graph as it has become is given with its edges: run.on(nodes, edges)."
            )
    if first is not None and nodes is not None:
        raise ConfigError("Nodes are given twice: leave out the first argument, or nodes=.")
    return first if nodes is None else nodes


def find_nodes(nodes: Any, dataset: NodeDataset, known: KnownNodes | None = None) -> Tensor:
    """Numbers [B] int64 of the nodes.

    Args:
        nodes: a tensor of the nodes' numbers; or a list, array or Series of their names in the user's files, which
            are their numbers where the dataset has no names; None: all nodes.
        dataset: that they belong to.
        known: nodes of the graph as it was in training, if it has changed since: an error tells those that are gone.

    Raises:
        ConfigError: no node, an unknown one, one given twice, or something else than nodes.
    """
    if nodes is None:
        return torch.arange(dataset.num_nodes)
    numbers = _checked_numbers(nodes, dataset) if isinstance(nodes, Tensor) else _numbers_of(nodes, dataset, known)
    if not numbers.numel():
        raise ConfigError("No node is given. Give at least one, or leave nodes out for all.")
    if (distinct := numbers.unique(return_counts=True))[0].numel() < numbers.numel():
        twice = distinct[0][distinct[1] > 1]
        raise ConfigError(f"Nodes are given twice, such as {_examples(_names(twice, dataset))}. Give each once.")
    return numbers


def _checked_numbers(nodes: Tensor, dataset: NodeDataset) -> Tensor:
    if nodes.dtype.is_floating_point or nodes.dtype == torch.bool or nodes.dim() != 1:
        raise ConfigError(
            f"nodes is a tensor of {nodes.dtype} and shape {list(nodes.shape)}; give a list of int64 numbers "
            "(of a mask: mask.nonzero()[:, 0])."
        )
    numbers = nodes.long().cpu()
    unknown = numbers[(numbers < 0) | (numbers >= dataset.num_nodes)]
    if unknown.numel():
        raise ConfigError(
            f"{unknown.numel():,} of {numbers.numel():,} nodes aren't in the graph, such as "
            f"{_examples(unknown.tolist())}. Its nodes are numbered from 0 to {dataset.num_nodes - 1}."
        )
    return numbers


def _numbers_of(nodes: Any, dataset: NodeDataset, known: KnownNodes | None) -> Tensor:
    given = _series(nodes)
    numbers = _places(given, dataset.num_nodes, dataset.node_ids)
    if numbers.null_count():
        unknown = given.filter(numbers.is_null())
        then = None if known is None else _places(unknown, known.num_nodes, known.names)
        if then is not None and len(gone := unknown.filter(then.is_not_null())):
            raise ConfigError(
                f"{len(gone):,} of {len(given):,} nodes are gone from the graph since the run was trained, such as "
                f"{_examples(gone)}. Leave them out, or ask the run on the graph as it was."
            )
        ids = range(dataset.num_nodes) if dataset.node_ids is None else dataset.node_ids
        raise ConfigError(
            f"{len(unknown):,} of {len(given):,} nodes aren't in the graph, such as {_examples(unknown)}. "
            f"Its nodes have names such as {_examples(ids)}."
        )
    return torch.from_numpy(numbers.to_numpy().copy())


def _places(given: pl.Series, num_nodes: int, names: pl.Series | None) -> pl.Series:
    """Numbers of the nodes by name, Int64, null where there is none. What it takes beside one look at the names doesn't
    grow with the graph."""
    if names is None:
        numbers = given.cast(pl.Int64, strict=False).alias("number")
        return numbers.to_frame().select(pl.when(numbers.is_between(0, num_nodes - 1)).then("number")).to_series()
    wanted = given.cast(names.dtype, strict=False).to_frame("id")
    known = names.to_frame("id").with_row_index("number").with_columns(pl.col("number").cast(pl.Int64))
    found = known.join(wanted, on="id", how="semi")
    return wanted.join(found, on="id", how="left", maintain_order="left")["number"]


def _series(nodes: Any) -> pl.Series:
    try:
        if isinstance(nodes, str | bytes):
            raise TypeError
        given = nodes if isinstance(nodes, pl.Series) else pl.Series(list(nodes))
    except TypeError:
        raise ConfigError(f"nodes is {str(nodes)[:100]!r}; give a list of names, such as [3, 7] or ['a'].") from None
    if given.dtype != pl.String and not given.dtype.is_integer() and len(given):
        raise ConfigError(
            f"nodes holds {given.dtype}, such as {_examples(given)}; a node's name is text or an integer."
        )
    return given


def _names(numbers: Tensor, dataset: NodeDataset) -> list:
    return numbers.tolist() if dataset.node_ids is None else dataset.node_ids.gather(numbers.numpy()).to_list()


def _examples(values) -> str:
    return ", ".join(map(repr, list(values[:SHOWN])))


def check_features(x: Any, dataset: NodeDataset) -> Features:
    """New features [N, F] of the same nodes, float32 or float16, on the CPU; sparse ones stay sparse.

    Raises:
        ConfigError: another shape, no numbers, or some that aren't finite.
    """
    try:
        x = _as_features(x)
        x = x if x.dtype in FEATURE_DTYPES else x.to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"The features aren't an array of numbers ({error}). Give [N, F] float32.") from error
    wanted = (dataset.num_nodes, dataset.num_features)
    if tuple(x.shape) != wanted:
        raise ConfigError(
            f"The features have shape {list(x.shape)}; this run needs {list(wanted)}: a row for each node in the "
            "graph's order, and the columns that it was trained on."
        )
    if (bad := broken_rows(x)).numel():
        raise ConfigError(
            f"The features of {bad.numel():,} nodes hold NaN or infinity, such as nodes "
            f"{_examples(_names(bad, dataset))}. Fill them in."
        )
    return x


def _as_features(x: Any) -> Features:
    if isinstance(x, SparseFeatures):
        return x.to("cpu")
    if isinstance(x, Tensor) and x.layout in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        x = x.detach().cpu().to_sparse_coo().coalesce()
        row, column = x.indices().numpy()
        x = coo_matrix((x.values().float().numpy(), (row, column)), tuple(x.shape))
    return SparseFeatures.from_scipy(x) if issparse(x) else torch.as_tensor(x).detach().cpu()


def is_graph(given: Any) -> bool:
    """Whether it is a PyG `Data` or a `NodeDataset`, rather than nodes."""
    return hasattr(given, "edge_index")


def is_same_graph(graph: Any, data: GraphData) -> bool:
    """Whether a graph has the nodes and edges of the run's own.

    Args:
        graph: a PyG `Data` or a `NodeDataset`. Its edges may come in another order or repeat, and self-loops don't
            count.
        data: of the run.

    Raises:
        ArtifactError: it has no edges.
    """
    own = data.dataset
    if graph.edge_index is None:
        raise ArtifactError("The graph has no edge_index. Give it one, or give only the features: x=...")
    names = getattr(graph, "node_ids", None)
    if graph.num_nodes != own.num_nodes or not (names is None or own.node_ids is None or own.node_ids.equals(names)):
        return False
    given = graph.edge_index.cpu()
    if own.edge_weight is not None:
        return _has_same_weights(graph, given, data)
    if given.equal(own.edge_index):
        return True
    if data.own.undirected:
        given = torch.cat((given, given.flip(0)), 1)
    theirs, ours = (distinct_edges(edges, own.num_nodes) for edges in (given, own.edge_index))
    return all(one.equal(other) for one, other in zip(theirs, ours, strict=True))


def _has_same_weights(graph: Any, given: Tensor, data: GraphData) -> bool:
    """Whether its edges and their weights are the run's; edges of weight 0 are none."""
    own, name = data.dataset, "edge_weight" if isinstance(graph, NodeDataset) else data.own.edge_weight
    weight = getattr(graph, name, None)
    if not isinstance(weight, Tensor) or weight.numel() != given.size(1):
        return False
    weight = weight.detach().cpu().flatten()
    given, weight = given[:, weight != 0], weight[weight != 0]
    if data.own.undirected and not isinstance(graph, NodeDataset):
        given, weight = torch.cat((given, given.flip(0)), 1), weight.repeat(2)
    return same_weights((given, weight), (own.edge_index, own.edge_weight), own.num_nodes)
