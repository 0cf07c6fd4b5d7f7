"""The GCN baseline (Kipf and Welling, ICLR 2017), with PyG's convolution as its users run it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from spx.graph.csr import AttentionGraph
from spx.graph.features import Features, SparseFeatures
from spx.nn.encoder import FeatureEncoder, sparse_linear
from spx.nn.norms import BatchNorm
from spx.nn.settings import GCNSettings


class GCN(nn.Module):
    """Graph convolutions, plain or as residual blocks between a linear encoder and a linear head.

    Plain: convolutions F -> d -> ... -> C with batch norm, ReLU and dropout between them. Residual: every layer is
    h + dropout(ReLU(norm(conv(h)))) of width d; without its own state a node of a heterophilous graph is soon lost.

    Args:
        num_features: F.
        num_outputs: C, logits per node.
        settings: of the rest.
    """

    def __init__(self, num_features: int, num_outputs: int, settings: GCNSettings):
        super().__init__()
        from torch_geometric.nn import GCNConv

        self.num_features, self.num_outputs, self.settings = num_features, num_outputs, settings
        width, num_layers, residual = settings.width, settings.num_layers, settings.residual
        ends = [width, width] if residual else [num_features, num_outputs]
        widths = [ends[0], *[width] * (num_layers - 1), ends[1]]
        self.encoder = FeatureEncoder(num_features, width) if residual else nn.Identity()
        self.layers = nn.ModuleList(GCNConv(before, after) for before, after in pairwise(widths))
        if not residual:
            self.layers[0].lin = _FirstLinear(self.layers[0].lin.weight)
        self.between = nn.ModuleList(
            nn.Sequential(BatchNorm(width), nn.ReLU(), nn.Dropout(settings.dropout))
            for _ in range(num_layers if residual else num_layers - 1)
        )
        self.head = nn.Linear(width, num_outputs) if residual else nn.Identity()

    def forward(self, x: Features, neighborhoods: Sequence[AttentionGraph]) -> Tensor:
        """Logits [N, C] from `x` [N, F] over the edges of the first neighbourhood; GCNConv adds self-loops."""
        edge_index = neighborhoods[0].edge_index()
        h = self.encoder(x)
        h = h.to(torch.float32) if h.dtype == torch.float16 else h  # GCNConv has float32 weights
        for convolution, between in zip(self.layers, [*self.between, nn.Identity()], strict=False):
            update = between(convolution(h, edge_index))
            h = h + update if self.settings.residual else update
        return self.head(h)


class _FirstLinear(nn.Module):
    """The linear map of a convolution over the features, sparse ones too. Weights are those that PyG has drawn."""

    def __init__(self, weight: nn.Parameter):
        super().__init__()
        self.weight = weight

    def forward(self, x: Features) -> Tensor:
        if isinstance(x, SparseFeatures):
            return sparse_linear(x, self.weight)
        return linear(x, self.weight)
