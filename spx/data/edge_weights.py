"""The weights of a dataset's edges, as a graph that is made of them takes them."""

from collections.abc import Callable

from torch import Tensor

from spx.datasets import NodeDataset
from spx.graph.csr import AttentionGraph


class KeptWeights:
    """Weights [M] of a graph's edges, made once for as long as graph and dataset are the same.

    Args:
        make: `spx.graph.weights.row_weights` or `graph_weights`.
    """

    def __init__(self, make: Callable[[AttentionGraph, Tensor, Tensor], Tensor]):
        self.make = make
        self._made_of: tuple[Tensor, ...] = ()
        self._weights: Tensor | None = None

    def of(self, graph: AttentionGraph, dataset: NodeDataset) -> Tensor | None:
        """[M] float32; None where the dataset's edges have no weights."""
        if dataset.edge_weight is None:
            return None
        given = (graph.source, dataset.edge_index, dataset.edge_weight)
        if self._weights is None or any(old is not new for old, new in zip(self._made_of, given, strict=True)):
            self._weights = self.make(graph, dataset.edge_index, dataset.edge_weight)
            self._made_of = given
        return self._weights
