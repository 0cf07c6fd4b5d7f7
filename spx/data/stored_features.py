"""Features that lie elsewhere: a `torch_geometric.data.FeatureStore`, asked for the rows of a batch.

N nodes, F features, n nodes of a batch.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spx.datasets import NodeDataset
from spx.datasets.checks import broken_rows
from spx.errors import ConfigError, DatasetError
from spx.graph.features import Features

ATTRIBUTE = "x"
LOOKED_AT = 256
"""Rows that are asked for to see what the store gives."""


class FeatureStore(ABC):
    """What has the methods of `torch_geometric.data.FeatureStore` that are called here.

    It stands for that class in signatures: importing PyG takes a second, and only who has a store has need of it.
    """

    @abstractmethod
    def get_all_tensor_attrs(self) -> list[Any]:
        """Descriptions of the tensors, PyG's `TensorAttr`: group_name, attr_name, index."""

    @abstractmethod
    def get_tensor(self, attribute: Any) -> Tensor:
        """The rows `attribute.index` of a tensor."""

    @abstractmethod
    def get_tensor_size(self, attribute: Any) -> tuple[int, ...]:
        """The shape of a tensor."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        return all(callable(getattr(kind, name, None)) for name in cls.__abstractmethods__)


class StoredFeatures:
    """The rows of a store as a batch takes them, `x[nodes]`, and all rows for who needs them at once.

    Every store is asked by `get_tensor`, with the node's numbers in the graph as index, but for
    `torch_geometric.distributed.LocalFeatureStore`: with a router its `lookup_features` also fetches what other
    processes hold, and without one the nodes' numbers are those of `put_global_id`.

    Args:
        store: of which the tensor `x` is taken: that without a group, or of the only group that has one.

    Raises:
        ConfigError: it is no feature store.
        DatasetError: it has no x, more than one, or fails.

    Example:
        >>> from torch_geometric.data import Data
        >>> x = StoredFeatures(Data(x=torch.eye(3)))
        >>> x.shape, x[torch.tensor([2, 0])]
        (torch.Size([3, 3]), tensor([[0., 0., 1.],
                [1., 0., 0.]]))
    """

    def __init__(self, store: Any):
        if not isinstance(store, FeatureStore):
            what = f"the class {store.__name__}" if isinstance(store, type) else f"a {type(store).__name__}"
            raise ConfigError(
                f"feature_store is {what}; give a torch_geometric.data.FeatureStore, such as a Data "
                "whose x has the features."
            )
        self.store = store
        self.name = type(store).__name__
        self.attribute = self._find_attribute()
        self.by_router = getattr(store, "rpc_router", None) is not None and hasattr(store, "lookup_features")
        self.num_nodes = self._asked("how many rows it has", self._count)
        looked_at = torch.arange(0, self.num_nodes, max(1, self.num_nodes // LOOKED_AT))
        rows = self._rows(looked_at)
        if rows.dim() != 2 or len(rows) != len(looked_at) or not rows.is_floating_point():
            raise DatasetError(
                f"The feature store ({self.name}) gives {rows.dtype} {list(rows.shape)} for {len(looked_at)} nodes; "
                "features are floating-point numbers, a row for each node."
            )
        self.num_features, self.dtype, self.device = rows.size(1), rows.dtype, rows.device
        self._check_finite(rows, looked_at)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.num_nodes, self.num_features))

    def size(self, dim: int) -> int:
        return self.shape[dim]

    def __getitem__(self, nodes: Tensor) -> Tensor:
        """Rows of some nodes, [n] int64 to [n, F].

        Raises:
            DatasetError: the store fails, or gives others than it did at first.
        """
        if not nodes.numel():  # of a device without a share of the batch; not each store takes that
            return torch.empty(0, self.num_features, dtype=self.dtype, device=self.device)
        rows, wanted = self._rows(nodes), (nodes.numel(), self.num_features)
        if rows.shape != wanted or rows.dtype != self.dtype:
            raise DatasetError(
                f"The feature store ({self.name}) gave {rows.dtype} {list(rows.shape)} for {nodes.numel():,} nodes, "
                f"where {self.dtype} {list(wanted)} was to be expected: all rows must be alike."
            )
        return rows

    @cached_property
    def whole(self) -> Tensor:
        """All rows, [N, F], asked for once and kept."""
        nodes = torch.arange(self.num_nodes)
        rows = self[nodes]
        self._check_finite(rows, nodes)
        return rows

    def _find_attribute(self) -> Any:
        """PyG's own description of the tensor, of a class that depends on the store's."""
        listed = self._asked("which tensors it has", self.store.get_all_tensor_attrs)
        found = [each for each in listed if each.attr_name == ATTRIBUTE]
        groups = [each.group_name if each.is_set("group_name") else None for each in found]
        if not found:
            names = ", ".join(sorted({str(each.attr_name) for each in listed})) or "nothing"
            raise DatasetError(
                f"The feature store ({self.name}) has no tensor x; it has {names}. Put the features there as x."
            )
        if None not in groups and len(groups) > 1:
            raise DatasetError(
                f"The feature store ({self.name}) has a tensor x in each of the groups {', '.join(map(str, groups))}; "
                "give one with the nodes' alone."
            )
        place = groups.index(None) if None in groups else 0
        attribute = found[place]
        attribute.group_name = groups[place]
        return attribute

    @property
    def _group(self) -> Any:
        return self.attribute.group_name

    @cached_property
    def _by_global_id(self) -> bool:
        """Whether the store knows its rows by numbers of its own."""
        known = getattr(self.store, "get_global_id", None)
        return not self.by_router and known is not None and known(self._group) is not None

    def _count(self) -> int:
        if self.by_router:  # its own size is that of its part
            owners = self.store.node_feat_pb
            return len(owners[self._group] if isinstance(owners, dict) else owners)
        if self._by_global_id:
            numbers = self.store.get_global_id(self._group)
            if not numbers.sort().values.equal(torch.arange(len(numbers))):
                raise DatasetError(
                    f"The feature store ({self.name}) holds a part of the nodes, and has no RPC router to ask others "
                    "for the rest. Call its set_rpc_router."
                )
            return len(numbers)
        return int(self.store.get_tensor_size(self._at(None))[0])

    def _at(self, nodes: Tensor | None) -> Any:
        attribute = copy.copy(self.attribute)
        attribute.index = nodes
        return attribute

    def _rows(self, nodes: Tensor) -> Tensor:
        def ask() -> Tensor:
            if self.by_router:
                return self.store.lookup_features(nodes, True, self._group).wait()
            if self._by_global_id:
                return self.store.get_tensor_from_global_id(self._at(nodes))
            return self.store.get_tensor(self._at(nodes))

        rows = self._asked(f"the rows of {nodes.numel():,} nodes", ask)
        rows = torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows
        if not isinstance(rows, Tensor) or rows.layout != torch.strided:
            what = f"a tensor of layout {rows.layout}" if isinstance(rows, Tensor) else f"a {type(rows).__name__}"
            raise DatasetError(f"The feature store ({self.name}) gives {what}; features are a dense tensor [n, F].")
        return rows

    def _asked(self, what: str, ask: Callable[[], Any]) -> Any:
        """What the store answers.

        Raises:
            DatasetError: it fails, in whatever way stores do.
        """
        try:
            return ask()
        except DatasetError:
            raise
        except Exception as error:
            lines = str(error).splitlines() or [""]
            raise DatasetError(
                f"The feature store ({self.name}) was asked for {what} and failed: {type(error).__name__}: "
                f"{lines[0][:200]}."
            ) from error

    def _check_finite(self, rows: Tensor, nodes: Tensor) -> None:
        if (bad := broken_rows(rows)).numel():
            raise DatasetError(
                f"The feature store ({self.name}) gives NaN or infinity for {bad.numel():,} of {nodes.numel():,} nodes "
                f"that were looked at, such as node {int(nodes[bad[0].cpu()])}. Fill them in."
            )


def stored_features(store: Any, dataset: NodeDataset, num_workers: int, hidden: float) -> StoredFeatures:
    """The features of a store, made sure to be for this graph.

    Args:
        store: a `torch_geometric.data.FeatureStore`.
        dataset: the graph.
        num_workers: processes that will ask it.
        hidden: share of the graph's nodes that were taken out.

    Raises:
        ConfigError: it is no store, or can't be used with these settings.
        DatasetError: it has other rows or columns than the graph, or fails.
    """
    if hidden:
        raise ConfigError(
            f"hidden is {hidden}, which takes nodes out and numbers the others anew, but a feature store has its own "
            "numbers. Leave one of the two out."
        )
    x = StoredFeatures(store)
    if num_workers and (x.by_router or x.device.type != "cpu"):
        does = "asks other processes by RPC" if x.by_router else f"gives rows on {x.device}"
        raise ConfigError(
            f"num_workers is {num_workers}, but the feature store ({x.name}) {does}, which worker processes can't. Set "
            "num_workers: 0."
        )
    if x.num_nodes != dataset.num_nodes:
        raise DatasetError(
            f"The feature store ({x.name}) has rows for {x.num_nodes:,} nodes, the graph has {dataset.num_nodes:,}. "
            "Give one with a row for each of the graph's nodes, in their order."
        )
    if x.num_features != dataset.num_features:
        raise DatasetError(
            f"The feature store ({x.name}) has {x.num_features} features a node, the dataset {dataset.num_features}. "
            "Give one with the dataset's columns, in their order."
        )
    return x


def all_rows(x: Features | StoredFeatures) -> Features:
    """For a pass over the whole graph."""
    return x.whole if isinstance(x, StoredFeatures) else x
