"""The graph Transformer. The narrow estimator and the wide network are two settings of it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from spx.errors import ConfigError
from spx.graph.sharding import GraphShard
from spx.kernels.formula import NUM_EDGE_TYPES
from spx.nn.collectives import gather_rows
from spx.nn.encoder import FeatureEncoder
from spx.nn.functional import Neighborhood
from spx.nn.layers import HiddenLayer, LayerName, layer_class
from spx.nn.norms import NormName, make_norm


class GraphTransformer(nn.Module):
    """Encoder, Transformer layers over one neighbourhood each, head.

    Args:
        num_features: F.
        num_outputs: C, logits per node.
        width: of the node states.
        num_layers: L.
        num_heads: of each attention.
        num_pre_layers: hidden layers before the Transformer layers, after the linear encoder.
        num_post_layers: linear layers of the head, at least 1; all but the last are hidden layers.
        norm: see `make_norm`; default: "layer" for residual layers, "batch" for others.
        dropout: probability, in every Transformer layer.
        normalize_values: see `SparseAttention`.
        unit_rows: of the hidden layers, see `HiddenLayer`.
        layer: "transformer", "concat" or "residual", see `spx.nn.layers`.
        drop_features: whether the features are dropped out, too.

    Raises:
        ConfigError: a count below its least value, a dropout outside [0, 1), heads that don't divide the width, an
            unknown layer.
    """

    temperature: Tensor

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        width: int,
        num_layers: int,
        num_heads: int = 1,
        num_pre_layers: int = 1,
        num_post_layers: int = 1,
        norm: NormName | None = None,
        dropout: float = 0.0,
        normalize_values: bool = False,
        unit_rows: bool = True,
        layer: LayerName = "transformer",
        drop_features: bool = False,
    ):
        super().__init__()
        for name, number, least in (
            ("width", width, 1),
            ("num_layers", num_layers, 1),
            ("num_pre_layers", num_pre_layers, 0),
            ("num_post_layers", num_post_layers, 1),
        ):
            if number < least:
                raise ConfigError(f"{name} is {number}; it must be at least {least}.")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout is {dropout}; it is a probability from 0 to below 1.")
        self.register_buffer("temperature", torch.ones(()))
        norm = norm or layer_class(layer).usual_norm
        self.encoder = FeatureEncoder(num_features, width, dropout if drop_features else 0.0)
        self.pre = nn.Sequential(*(HiddenLayer(width, norm, unit_rows) for _ in range(num_pre_layers)))
        self.edge_embedding = nn.Embedding(NUM_EDGE_TYPES, width)
        self.layers = nn.ModuleList(
            layer_class(layer)(width, num_heads, norm, dropout, normalize_values) for _ in range(num_layers)
        )
        self.head = nn.Sequential(
            *([make_norm(norm, width)] if layer == "residual" else []),
            *(HiddenLayer(width, norm, unit_rows) for _ in range(num_post_layers - 1)),
            nn.Linear(width, num_outputs),
        )

    def forward(self, x: Tensor, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Tensor:
        """Logits [B, C] of the nodes that leave the last layer.

        Args:
            x: [N_0, F] features of the nodes that enter the first layer, of any floating dtype.
            neighborhoods: L of them, first layer first, or one that all layers share: a rank's shard of a graph, too.
                Then the nodes are those of its rows, and all ranks have to call at once.
        """
        h = self.pre(self.encoder(x))
        for layer, neighborhood in self._with_layers(neighborhoods):
            h, _ = self._pass(layer, h, neighborhood)
        return self.head(h)

    def attention_weights(self, x: Tensor, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Iterator[Tensor]:
        """The weights p of one layer after the other, each [M, H] or [N, K, H]; they carry no gradient."""
        h = self.pre(self.encoder(x))
        for layer, neighborhood in self._with_layers(neighborhoods):
            h, weights = self._pass(layer, h, neighborhood, need_weights=True)
            yield weights

    def layer_inputs(self, x: Tensor, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Iterator[Tensor]:
        """The node states that enter one layer after the other, each [N_l, width]."""
        h = self.pre(self.encoder(x))
        for layer, neighborhood in self._with_layers(neighborhoods):
            yield h
            h, _ = self._pass(layer, h, neighborhood)

    def _pass(
        self, layer: nn.Module, h: Tensor, neighborhood: Neighborhood | GraphShard, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(neighborhood, GraphShard):
            h, neighborhood = gather_rows(h, neighborhood.bounds, neighborhood.rank), neighborhood.graph
        return layer(h, neighborhood, self.edge_embedding.weight, self.temperature, need_weights)

    def _with_layers(
        self, neighborhoods: Sequence[Neighborhood | GraphShard]
    ) -> list[tuple[nn.Module, Neighborhood | GraphShard]]:
        if len(neighborhoods) == 1:
            neighborhoods = tuple(neighborhoods) * len(self.layers)
        if len(neighborhoods) != len(self.layers):
            raise ConfigError(f"There are {len(neighborhoods)} neighbourhoods for {len(self.layers)} layers.")
        return list(zip(self.layers, neighborhoods, strict=True))
