"""The graph Transformer. The narrow estimator and the wide network are two settings of it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from spx.errors import ConfigError
from spx.graph.features import Features
from spx.graph.sharding import GraphShard
from spx.kernels.formula import NUM_EDGE_TYPES
from spx.nn.collectives import gather_rows
from spx.nn.encoder import FeatureEncoder
from spx.nn.functional import Neighborhood
from spx.nn.layers import HiddenLayer, layer_class
from spx.nn.norms import make_norm
from spx.nn.settings import TransformerSettings


class GraphTransformer(nn.Module):
    """Encoder, Transformer layers over one neighbourhood each, head.

    Args:
        num_features: F.
        num_outputs: C, logits per node.
        settings: of the rest.

    Raises:
        ConfigError: heads that don't divide the width, an unknown norm or layer.
    """

    temperature: Tensor

    def __init__(self, num_features: int, num_outputs: int, settings: TransformerSettings):
        super().__init__()
        self.num_features, self.num_outputs, self.settings = num_features, num_outputs, settings
        kind, width = layer_class(settings.layer), settings.width
        norm = settings.norm or kind.usual_norm
        self.register_buffer("temperature", torch.ones(()))
        self.encoder = FeatureEncoder(num_features, width, settings.dropout if settings.drop_features else 0.0)
        self.pre = nn.Sequential(
            *(HiddenLayer(width, norm, settings.unit_rows) for _ in range(settings.num_pre_layers))
        )
        self.edge_embedding = nn.Embedding(NUM_EDGE_TYPES, width)
        self.layers = nn.ModuleList(
            kind(width, settings.num_heads, norm, settings.dropout, settings.normalize_values)
            for _ in range(settings.num_layers)
        )
        self.head = nn.Sequential(
            *([make_norm(norm, width)] if settings.layer == "residual" else []),
            *(HiddenLayer(width, norm, settings.unit_rows) for _ in range(settings.num_post_layers - 1)),
            nn.Linear(width, num_outputs),
        )

    def forward(self, x: Features, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Tensor:
        """Logits [B, C] of the nodes that leave the last layer.

        Args:
            x: [N_0, F] features of the nodes that enter the first layer, of any floating dtype, dense or sparse.
            neighborhoods: L of them, first layer first, or one that all layers share: a rank's shard of a graph, too.
                Then the nodes are those of its rows, and all ranks have to call at once.
        """
        h = self.pre(self.encoder(x))
        for layer, neighborhood in self._with_layers(neighborhoods):
            h, _ = self._pass(layer, h, neighborhood)
        return self.head(h)

    def attention_weights(self, x: Features, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Iterator[Tensor]:
        """The weights p of one layer after the other, each [M, H] or [N, K, H]; they carry no gradient."""
        h = self.pre(self.encoder(x))
        for layer, neighborhood in self._with_layers(neighborhoods):
            h, weights = self._pass(layer, h, neighborhood, need_weights=True)
            yield weights

    @torch.no_grad()
    def attention_scores(self, x: Features, graph: Neighborhood | GraphShard, out: Tensor | None = None) -> Tensor:
        """The weights p of every layer and attention edge, mean over heads: [L, M], in `out` if it is given, which may
        lie on another device or in a file. Of a shard: those of its rows, `x` being their features; all ranks have to
        call at once."""
        scores_LM = torch.empty(len(self.layers), graph.num_edges, device=x.device) if out is None else out
        for layer, weights in enumerate(self.attention_weights(x, (graph,))):
            scores_LM[layer] = weights.mean(-1) if weights.shape[-1] > 1 else weights[:, 0]
            del weights  # before the next layer makes its own
        return scores_LM

    def layer_inputs(self, x: Features, neighborhoods: Sequence[Neighborhood | GraphShard]) -> Iterator[Tensor]:
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
