"""The GCN baseline (Kipf and Welling, ICLR 2017), with PyG's convolution as its users run it."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph


class GCN(nn.Module):
    """Graph convolutions with batch norm, ReLU and dropout between them.

    Args:
        num_features: F.
        num_outputs: C, logits per node.
        width: hidden width.
        num_layers: number of convolutions.
        dropout: probability, before each convolution but the first.
    """

    def __init__(self, num_features: int, num_outputs: int, width: int, num_layers: int, dropout: float = 0.5):
        super().__init__()
        from torch_geometric.nn import GCNConv

        if num_layers < 1 or width < 1:
            raise ConfigError(f"num_layers is {num_layers} and width {width}; both must be at least 1.")
        widths = [num_features, *[width] * (num_layers - 1), num_outputs]
        self.layers = nn.ModuleList(GCNConv(before, after) for before, after in pairwise(widths))
        self.between = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)) for _ in widths[1:-1]
        )

    def forward(self, x: Tensor, neighborhoods: Sequence[AttentionGraph]) -> Tensor:
        """Logits [N, C] from `x` [N, F] over the edges of the first neighbourhood; GCNConv adds self-loops."""
        edge_index = neighborhoods[0].edge_index()
        for convolution, between in zip(self.layers[:-1], self.between, strict=True):
            x = between(convolution(x, edge_index))
        return self.layers[-1](x, edge_index)
