"""What a DataModule hands to a LightningModule."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from spx.graph.features import Features
from spx.nn.functional import Neighborhood


class NodeBatch(NamedTuple):
    """One forward pass: the nodes that enter, the neighbourhoods of each layer, and the nodes that are judged.

    Args:
        x: [N_0, F] features of the nodes that enter the first layer.
        neighborhoods: one for each layer, first layer first, or a single one that all layers share.
        targets: [B] int64, positions of the judged nodes among those that leave the last layer.
        y: [B] int64 classes or [B, C] float labels of the judged nodes.
        nodes: [B] int64, the judged nodes' numbers in the dataset.
    """

    x: Features
    neighborhoods: tuple[Neighborhood, ...]
    targets: Tensor
    y: Tensor
    nodes: Tensor


Draws = list[NodeBatch]
"""What evaluation gets: the same judged nodes over R resampled graphs, whose predictions are averaged."""


def one_batch_loader(item: NodeBatch | Draws) -> DataLoader:
    """A loader of one batch, which needs no workers."""
    return DataLoader([item], batch_size=None, generator=torch.Generator())  # the global stream is dropout's
