"""The layers that networks are made of."""

from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spx.errors import ConfigError
from spx.kernels.cpu_dropout import FAST_DTYPES, dropout
from spx.nn.attention import SparseAttention
from spx.nn.functional import Neighborhood, at_least_fp32
from spx.nn.norms import make_norm
from spx.nn.settings import LayerName, NormName


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

    usual_norm: NormName = "batch"

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


class ConcatLayer(nn.Module):
    """out = dropout(ReLU(norm(W [x, attention(x)]))): what a node attends to beside its own state.

    GraphSAGE's combination (arXiv 1706.02216) with attention in place of its mean. The attention starts as the mean:
    the query map is zero. Without a residual connection, a deep stack can't fit by its first layers alone.

    Args:
        width: d.
        num_heads: of the attention.
        norm: see `make_norm`.
        dropout: probability.
        normalize_values: see `SparseAttention`.
    """

    usual_norm: NormName = "batch"

    def __init__(self, width: int, num_heads: int, norm: NormName, dropout: float, normalize_values: bool):
        super().__init__()
        self.attention = SparseAttention(width, num_heads, edge_width=width, normalize_values=normalize_values)
        nn.init.zeros_(self.attention.query.weight)
        self.linear = nn.Linear(2 * width, width)
        self.norm = make_norm(norm, width)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        neighborhood: Neighborhood,
        edge_embedding: Tensor,
        temperature: Tensor,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """[N_in, width] to [N, width], and the attention weights where they are needed."""
        combined, weights = self._combine(x, neighborhood, edge_embedding, temperature, need_weights)
        return self.dropout(self.norm(combined).relu()), weights

    def _combine(self, x: Tensor, neighborhood: Neighborhood, *settings) -> tuple[Tensor, Tensor | None]:
        attended, weights = self.attention(x, neighborhood, *settings)
        own = x[: neighborhood.num_nodes]
        return self.linear(torch.cat((own, attended.to(own.dtype)), dim=-1)), weights


class ResidualLayer(ConcatLayer):
    """out = x + dropout(ReLU(W [u, attention(u)])) with u = norm(x): the concat layer as a pre-norm residual block.

    What follows the last one has to normalise. Few labels or many features let it keep to what a node is by itself.
    """

    usual_norm: NormName = "layer"

    def forward(
        self,
        x: Tensor,
        neighborhood: Neighborhood,
        edge_embedding: Tensor,
        temperature: Tensor,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """[N_in, width] to [N, width], and the attention weights where they are needed."""
        combined, weights = self._combine(self.norm(x), neighborhood, edge_embedding, temperature, need_weights)
        return x[: neighborhood.num_nodes] + self.dropout(combined.relu()), weights


LAYERS: dict[LayerName, type[nn.Module]] = {
    "transformer": TransformerLayer,
    "concat": ConcatLayer,
    "residual": ResidualLayer,
}


def layer_class(name: LayerName) -> type[nn.Module]:
    """`TransformerLayer`, `ConcatLayer` or `ResidualLayer`, by "transformer", "concat" or "residual".

    Raises:
        ConfigError: another name.
    """
    if name not in LAYERS:
        raise ConfigError(f"layer is '{name}'; choose from {', '.join(get_args(LayerName))}.")
    return LAYERS[name]
