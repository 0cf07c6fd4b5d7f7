"""What a network is made by: one object a network, which knows nothing of it; and what the stages begin with.

The constructor, the LightningModules, exports and the command line's help take names, types and defaults from here.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from spx.errors import ConfigError

NormName = Literal["batch", "graph", "layer", "none"]
LayerName = Literal["transformer", "concat", "residual"]
BaselineName = Literal["gcn", "gat", "sage", "mlp", "polynormer", "sgformer"]


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
class BaselineSettings:
    """Of a `spx.nn.baselines.BaselineNetwork`.

    Args:
        width: of the hidden states, d.
        num_layers: convolutions; of Polynormer and SGFormer those over the graph's edges.
        dropout: probability, between layers and of GAT's weights.
        residual: residual blocks instead of a plain stack.
        kind: "gcn", "gat", "sage", "mlp", "polynormer" or "sgformer".
        skip: a linear map of a layer's input beside each convolution, and a linear head.
        norm: see `spx.nn.norms.make_norm`; Polynormer and SGFormer have their own.
        num_heads: of GAT, Polynormer and SGFormer; divides the width.
        global_layers: of Polynormer and SGFormer, over all pairs of nodes.
        feature_dropout: probability by which features are dropped out.
        unit_sums: whether each node's features are divided by the sum of their absolute values.

    Raises:
        ConfigError: no layer, no width, a dropout outside [0, 1), an unknown kind, or residual blocks with skips.
    """

    width: int
    num_layers: int
    dropout: float
    residual: bool = False
    kind: BaselineName = "gcn"
    skip: bool = False
    norm: NormName = "batch"
    num_heads: int = 1
    global_layers: int = 1
    feature_dropout: float = 0.0
    unit_sums: bool = False

    def __post_init__(self):
        if self.num_layers < 1 or self.width < 1:
            raise ConfigError(f"num_layers is {self.num_layers} and width {self.width}; both must be at least 1.")
        if self.global_layers < 1:
            raise ConfigError(f"global_layers is {self.global_layers}; it must be at least 1.")
        for name in ("dropout", "feature_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it is a probability from 0 to below 1.")
        if self.kind not in get_args(BaselineName):
            raise ConfigError(f"kind is '{self.kind}'. Choose one of {', '.join(get_args(BaselineName))}.")
        if self.residual and self.skip:
            raise ConfigError("residual and skip are two ways around a convolution. Choose one of them.")


ESTIMATOR = TransformerSettings(width=4, num_layers=4, norm="graph", normalize_values=True)
WIDE = TransformerSettings(width=64, num_layers=4, num_heads=4, dropout=0.2)
BASELINE = BaselineSettings(width=64, num_layers=2, dropout=0.5)
