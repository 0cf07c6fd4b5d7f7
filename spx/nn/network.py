"""The graph Transformer. The narrow estimator and the wide network are two settings of it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spx.errors import ConfigError
from spx.graph.csr import NUM_EDGE_TYPES
from spx.graph.sharding import GraphShard
from spx.kernels.cpu_dropout import dropout
from spx.nn.attention import SparseAttention
from spx.nn.collectives import gather_rows
from spx.nn.encoder import FeatureEncoder
from spx.nn.functional import Neighborhood, at_least_fp32
from spx.nn.norms import NormName, make_norm

FAST_DTYPES = (torch.float32, torch.float64)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; on the CPU with a mask that is drawn ten times as fast and not held for the backward."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of `x`, of any shape."""
        if not (self.training and self.p > 0 and x.device.type == "cpu" and x.dtype in FAST_DTYPES):
            return super().forward(x)
        return dropout(x, self.p, torch.randint(2**62, ()))


class HiddenLayer(nn.Module):
    """Linear, norm, ReLU, and on request each row brought to unit length.

    Unit rows hold back the fit to single features: on Actor they are worth about 4 points (docs/design.md).
    """

    def __init__(self, width: int, norm: NormName, unit_rows: bool):
        super().__init__()
        self.linear = nn.Linear(width, width, bias=norm == "none")
        self.norm = make_norm(norm, width)
        self.unit_rows = unit_rows

    def forward(self, x: Tensor) -> Tensor:
        """[N, width] to [N, width]."""
        h = self.norm(self.linear(x)).relu()
        return normalize(at_least_fp32(h), dim=-1) if self.unit_rows else h


class TransformerLayer(nn.Module):
    """h = norm1(x + dropout(attention(x))); out = norm2(h + FFN(h)), FFN of widths d, 2d, d with ReLU.

    Args:
        width: d.
        num_heads: of the attention.
        norm: see `make_norm`.
        dropout: probability.
        normalize_values: see `SparseAttention`.
    """

    def __init__(self, width: int, num_heads: int, norm: NormName, dropout: float, normalize_values: bool):
        super().__init__()
        self.attention = SparseAttention(width, num_heads, edge_width=width, normalize_values=normalize_values)
        self.dropout = Dropout(dropout)
        self.norm1 = make_norm(norm, width)
        self.ffn = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(2 * width, width),
            Dropout(dropout),
        )
        self.norm2 = make_norm(norm, width)

    def forward(
        self,
        x: Tensor,
        neighborhood: Neighborhood,
        edge_embedding: Tensor,
        temperature: Tensor,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """[N_in, width] to [N, width], and the attention weights where they are needed."""
        attended, weights = self.attention(x, neighborhood, edge_embedding, temperature, need_weights)
        h = self.norm1(x[: neighborhood.num_nodes] + self.dropout(attended))
        return self.norm2(h + self.ffn(h)), weights


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
        norm: see `make_norm`.
        dropout: probability, in every Transformer layer.
        normalize_values: see `SparseAttention`.
        unit_rows: of the hidden layers, see `HiddenLayer`.

    Raises:
        ConfigError: a count below its least value, a dropout outside [0, 1), heads that don't divide the width.
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
        norm: NormName = "batch",
        dropout: float = 0.0,
        normalize_values: bool = False,
        unit_rows: bool = True,
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
        self.encoder = FeatureEncoder(num_features, width)
        self.pre = nn.Sequential(*(HiddenLayer(width, norm, unit_rows) for _ in range(num_pre_layers)))
        self.edge_embedding = nn.Embedding(NUM_EDGE_TYPES, width)
        self.layers = nn.ModuleList(
            TransformerLayer(width, num_heads, norm, dropout, normalize_values) for _ in range(num_layers)
        )
        self.head = nn.Sequential(
            *(HiddenLayer(width, norm, unit_rows) for _ in range(num_post_layers - 1)), nn.Linear(width, num_outputs)
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
        self, layer: TransformerLayer, h: Tensor, neighborhood: Neighborhood | GraphShard, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(neighborhood, GraphShard):
            h, neighborhood = gather_rows(h, neighborhood.bounds, neighborhood.rank), neighborhood.graph
        return layer(h, neighborhood, self.edge_embedding.weight, self.temperature, need_weights)

    def _with_layers(
        self, neighborhoods: Sequence[Neighborhood | GraphShard]
    ) -> list[tuple[TransformerLayer, Neighborhood | GraphShard]]:
        if len(neighborhoods) == 1:
            neighborhoods = tuple(neighborhoods) * len(self.layers)
        if len(neighborhoods) != len(self.layers):
            raise ConfigError(f"There are {len(neighborhoods)} neighbourhoods for {len(self.layers)} layers.")
        return list(zip(self.layers, neighborhoods, strict=True))
