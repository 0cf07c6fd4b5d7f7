"""Stage 1's data, and the Exphormer's: the whole augmented graph as one batch."""

from torch.utils.data import DataLoader

from spx.data.graph_data import GraphData


class AugmentedGraphData(GraphData):
    """The augmented graph, full batch: every layer attends along all attention edges.

        data:
          class_path: spx.data.AugmentedGraphData
          init_args: {dataset: actor, expander_degree: 15}

    See `GraphData` for the arguments.
    """

    def setup(self, stage: str) -> None:
        self.refuse_several_devices("Use --trainer.devices 1.")

    @property
    def edges_per_layer(self) -> list[int]:
        """Attention edges of each layer; all layers share one number."""
        return [self.graph.num_edges]

    @property
    def augmented_edges(self) -> int:
        """Attention edges of the augmented graph."""
        return self.graph.num_edges

    def train_dataloader(self) -> DataLoader:
        return self.whole_graph_loader(self.whole_graph_batch((self.graph,), "train"))

    def evaluation_loader(self, part: str) -> DataLoader:
        return self.whole_graph_loader([self.whole_graph_batch((self.graph,), part)])
