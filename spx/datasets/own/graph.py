"""What a user's files hold, whatever their format. N nodes, E edges, F features, S splits."""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from spx.datasets.own.labels import Labels
from spx.datasets.types import Split
from spx.errors import DatasetError
from spx.graph.features import Features

if TYPE_CHECKING:
    import polars


class OwnGraph(NamedTuple):
    """A graph as its files give it.

    edge_index  [2, E] int64, within 0..N-1
    labels      of all N nodes
    x           [N, F] float32, dense or sparse, or float16 on disk; None: no features
    masks       train, validation and test, each [S, N] bool; None: the files hold no split
    node_ids    [N] strings or int64, all different; None: 0 to N - 1
    feature_names  F, of a table's columns; None: they have no names
    features_file  the file that x is a map of; None: x is in memory
    split       the one that was chosen; None: none yet
    edge_weight  [E] float32, at least 0; None: not asked for
    schema, table_digest, split_origin  as of `NodeDataset`
    """

    edge_index: Tensor
    labels: Labels
    x: Features | None = None
    masks: Split | None = None
    node_ids: "polars.Series | None" = None
    feature_names: tuple[str, ...] | None = None
    features_file: str | None = None
    split: Split | None = None
    schema: dict[str, Any] | None = None
    table_digest: str | None = None
    split_origin: str = ""
    edge_weight: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        return self.labels.y.size(0)


def check_ends(edge_index: Tensor, num_nodes: int) -> None:
    """Raise DatasetError unless all edges lie within 0..N-1."""
    low, high = (int(end) for end in edge_index.aminmax()) if edge_index.numel() else (0, 0)
    if edge_index.numel() and (low < 0 or high >= num_nodes):
        raise DatasetError(
            f"the edges name nodes from {low} to {high}, but the graph has {num_nodes}, numbered from 0: "
            "write edges as row numbers of the nodes"
        )


def with_reverses(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The edges [2, E] and their reverses, each once, sorted by source, then target."""
    both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    return _ends(_distinct(both, num_nodes), num_nodes)


def reverses_weighted(edge_index: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """`with_reverses`, and the weights [E'] float32: the sum over all edges [E] between the two nodes, either way."""
    both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    keys, places = torch.unique(both[0] * num_nodes + both[1], return_inverse=True)
    sums = torch.zeros(keys.numel(), dtype=torch.float64).index_add_(0, places, torch.cat([weight, weight]).double())
    return _ends(keys, num_nodes), sums.float()


def default_features(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[N, 3] float32: 1, log(1 + in-degree), log(1 + out-degree); an edge that is given twice counts once."""
    source, target = _ends(_distinct(edge_index, num_nodes), num_nodes)
    degrees = [torch.bincount(end, minlength=num_nodes).double().log1p() for end in (target, source)]
    return torch.stack([torch.ones(num_nodes, dtype=torch.float64), *degrees], dim=1).float()


def _distinct(edge_index: Tensor, num_nodes: int) -> Tensor:
    return torch.unique(edge_index[0] * num_nodes + edge_index[1])


def _ends(keys: Tensor, num_nodes: int) -> Tensor:
    return torch.stack([keys // num_nodes, keys % num_nodes])
