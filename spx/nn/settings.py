"""What a network is made by: one object a network, which knows nothing of it; and what the stages begin with.

The constructor, the LightningModules, exports and the command line's help take names, types and defaults from here.
"""

from dataclasses import dataclass
from typing import Literal

from spx.errors import ConfigError

NormName = Literal["batch", "graph", "layer", "none"]
LayerName = Literal["transformer", "concat", "residual"]


@dataclass(frozen=True)
class TransformerSettings:
    """Of a `spx.nn.network.GraphTransformer`.

    Args:
        width: of the node states.
        num_layers: L.
        num_heads: of each attention; divides the width.
        num_pre_layers: hidden layers before the Transformer layers, after the linear encoder.
        num_post_layers: linear layers of the head, at least 1; all but the last are hidden layers.
        norm: see `spx.nn.norms.make_norm`; default: "layer" for residual layers, "batch" for others.
        dropout: probability, in every Transformer layer.
        normalize_values: see `spx.nn.attention.SparseAttention`.
        unit_rows: of the hidden layers, see `spx.nn.layers.HiddenLayer`.
        layer: "transformer", "concat" or "residual", see `spx.nn.layers`.
        drop_features: whether the features are dropped out, too.

    Raises:
        ConfigError: a count below its least value, or a dropout outside [0, 1).
    """

    width: int
    num_layers: int
    num_heads: int = 1
    num_pre_layers: int = 1
    num_post_layers: int = 1
    norm: NormName | None = None
    dropout: float = 0.0
    normalize_values: bool = False
    unit_rows: bool = True
    layer: LayerName = "transformer"
    drop_features: bool = False

    def __post_init__(self):
        for name, least in (("width", 1), ("num_layers", 1), ("num_pre_layers", 0), ("num_post_layers", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it is a probability from 0 to below 1.")


@dataclass(frozen=True)
class GCNSettings:
    """Of a `spx.nn.gcn.GCN`.

    Args:
        width: of the hidden states, d.
        num_layers: number of convolutions.
        dropout: probability.
        residual: residual blocks instead of a plain stack.

    Raises:
        ConfigError: no layer, or no width.
    """

    width: int
    num_layers: int
    dropout: float
    residual: bool = False

    def __post_init__(self):
        if self.num_layers < 1 or self.width < 1:
            raise ConfigError(f"num_layers is {self.num_layers} and width {self.width}; both must be at least 1.")


ESTIMATOR = TransformerSettings(width=4, num_layers=4, norm="graph", normalize_values=True)
WIDE = TransformerSettings(width=64, num_layers=4, num_heads=4, dropout=0.2)
BASELINE = GCNSettings(width=64, num_layers=2, dropout=0.5)
