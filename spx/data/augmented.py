"""Stage 1's data, and the Exphormer's: the whole augmented graph as one batch, or its rows split over devices."""

from functools import cached_property

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spx.data.batch import NodeBatch, one_batch_loader
from spx.data.edge_weights import KeptWeights
from spx.data.graph_data import GraphData
from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph
from spx.graph.sharding import GraphShard, edge_bounds, make_shard
from spx.graph.weights import WeightedGraph, graph_weights
from spx.nn.network import GraphTransformer


class AugmentedGraphData(GraphData):
    """The augmented graph, full batch: every layer attends along all attention edges.

        data:
          class_path: spx.data.AugmentedGraphData
          init_args: {dataset: actor, expander_degree: 15}

    Args:
        dataset: name of a dataset, or the path of a graph of your own.
        shard: split the rows of the graph over the devices, by attention edges; the node states are gathered between
            layers. Losses and scores are those of one device. Needs a strategy such as ddp. On one device: no effect.
        **settings: see `GraphData`.

    Example:
        >>> data = AugmentedGraphData("minesweeper-sim", expander_degree=3)
        >>> data.prepare_data()
        >>> data.setup("fit")
        >>> data.graph.num_edges  # 78,804 graph edges, 6 expander edges and a self-loop for each of 10,000 nodes
        148804
    """

    def __init__(self, dataset: str, shard: bool = False, **settings):
        super().__init__(dataset, **settings)
        self.shard, self._edge_weights = shard, KeptWeights(graph_weights)

    @property
    def is_sharded(self) -> bool:
        """Whether this process holds a part of the graph alone."""
        return self.shard and self.num_ranks > 1

    def setup(self, stage: str) -> None:
        """Refuse several devices that can't share the graph before any work starts.

        Raises:
            ConfigError: they don't split it, or the network can't.
        """
        self.check_ranks()
        if self.num_ranks > 1 and not self.shard:
            raise ConfigError(
                f"{self.num_ranks} devices can't train on one whole graph: each would hold and count all of it. Split "
                "it with --data.shard true, or use --trainer.devices 1."
            )
        if self.is_sharded and not isinstance(self.trainer.lightning_module.network, GraphTransformer):
            raise ConfigError(
                f"{type(self.trainer.lightning_module).__name__} can't run on a graph that is split over devices. Use "
                "--trainer.devices 1."
            )
        super().setup(stage)
        if self.dataset.edge_weight is not None and not getattr(self._network, "takes_weights", False):
            rank_zero_info(
                "Edge weights: this network attends to, or averages over, all edges alike. They count in the draws of "
                "stage 2, and in the GCN; an edge of weight 0 is left out for all."
            )

    @cached_property
    def graph_shard(self) -> GraphShard:
        """This rank's rows of the augmented graph, built from the dataset without the others'."""
        added = 2 * self.expander_degree + self.self_loops
        bounds = edge_bounds(self.dataset.edge_index, self.dataset.num_nodes, added, self.num_ranks)
        rows = range(bounds[self.rank], bounds[self.rank + 1])
        return make_shard(self.build_rows(rows), bounds, self.rank)

    @cached_property
    def augmented_edges(self) -> int:
        """Attention edges of the augmented graph. Call it on all ranks: they add up theirs."""
        if not self.is_sharded:
            return self.graph.num_edges
        strategy = self.trainer.strategy
        return int(strategy.reduce(torch.tensor(self.graph_shard.num_edges).to(strategy.root_device), reduce_op="sum"))

    @property
    def edges_per_layer(self) -> list[int]:
        """Attention edges of each layer; all layers share one number."""
        return [self.augmented_edges]

    def train_dataloader(self) -> DataLoader:
        return one_batch_loader(self.whole_batch("train"))

    def evaluation_loader(self, part: str) -> DataLoader:
        return one_batch_loader([self.whole_batch(part)])

    def whole_batch(self, part: str) -> NodeBatch:
        """The nodes of the graph, or of this rank's rows, of which those of `part` are judged."""
        if not self.is_sharded:
            return self.whole_graph_batch((self.neighborhood_of(self._network),), part)
        shard, nodes = self.graph_shard, self.nodes_of(part)
        nodes = nodes[self._are_own(nodes)]
        return NodeBatch(self.dataset.x[shard.rows], (shard,), nodes - shard.rows.start, self.dataset.y[nodes], nodes)

    @property
    def _network(self) -> nn.Module | None:
        return None if self.trainer is None else getattr(self.trainer.lightning_module, "network", None)

    def neighborhood_of(self, network: nn.Module | None) -> AttentionGraph | WeightedGraph:
        """The graph that a network gets, with the edges' weights if there are any and it takes them."""
        takes_weights = getattr(network, "takes_weights", False)
        weight = self._edge_weights.of(self.graph, self.dataset) if takes_weights else None
        return self.graph if weight is None else WeightedGraph(self.graph, weight)

    def _are_own(self, nodes: Tensor) -> Tensor:
        rows = self.graph_shard.rows
        return (nodes >= rows.start) & (nodes < rows.stop)
