"""Stage 2: the wide network, which is trained for its predictions."""

from spx.nn.network import GraphTransformer
from spx.nn.objectives import ClassWeights, TaskName
from spx.nn.settings import WIDE, LayerName, NormName, TransformerSettings
from spx.training.task import NodeTask, ScheduleName


class Spexphormer(NodeTask):
    """The wide network, on whatever neighbourhoods its data gives.

    With `ResampledGraphData` it is Spexphormer, with `AugmentedGraphData` an Exphormer.

        model:
          class_path: spx.training.Spexphormer
          init_args: {width: 32, num_layers: 3, num_heads: 4, dropout: 0.5}

    Args:
        width: d_l, of the node states.
        num_layers: L.
        num_heads: of each attention; divides the width.
        num_pre_layers: hidden layers before the Transformer layers.
        num_post_layers: linear layers of the head.
        norm: "batch", "graph" (GraphNorm), "layer" or "none"; default: "layer" for residual layers, "batch" for others.
        dropout: probability.
        unit_rows: whether hidden layers bring each row to unit length.
        layer: "transformer" (the papers'), "concat" or "residual" (docs/results.md); see `spx.nn.layers`.
        drop_features: whether the features are dropped out, too.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_epochs: of linear warm-up.
        lr_schedule: after the warm-up, "cosine" to 0 at the last epoch, or "constant".
        logit_adjustment: whether predictions are for the class frequencies of the validation nodes; see `NodeTask`.
        class_weights: "balanced" for rare classes that count as much as common ones; see `NodeTask`.
        num_features: F. This and the following have no default: they are the data's (`GraphData.for_model`), which the
            command line links.
        num_outputs: classes or labels.
        task: "multiclass" or "multilabel".
        metric: that is judged by (`spx.datasets.types.Metric`).

    Example:
        >>> from spx.data import ResampledGraphData
        >>> data = ResampledGraphData("minesweeper-sim", k=[4, 2], sampler="uniform")
        >>> model = Spexphormer(width=32, num_layers=2, **data.for_model)
        >>> model.hparams.num_outputs
        2
    """

    def __init__(
        self,
        width: int = WIDE.width,
        num_layers: int = WIDE.num_layers,
        num_heads: int = WIDE.num_heads,
        num_pre_layers: int = WIDE.num_pre_layers,
        num_post_layers: int = WIDE.num_post_layers,
        norm: NormName | None = WIDE.norm,
        dropout: float = WIDE.dropout,
        unit_rows: bool = WIDE.unit_rows,
        layer: LayerName = WIDE.layer,
        drop_features: bool = WIDE.drop_features,
        lr: float = 0.01,
        weight_decay: float = 1e-3,
        warmup_epochs: int = 5,
        lr_schedule: ScheduleName = "cosine",
        logit_adjustment: bool = False,
        class_weights: ClassWeights | None = None,
        *,
        num_features: int,
        num_outputs: int,
        task: TaskName,
        metric: str,
    ):
        settings = TransformerSettings(
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            num_pre_layers=num_pre_layers,
            num_post_layers=num_post_layers,
            norm=norm,
            dropout=dropout,
            unit_rows=unit_rows,
            layer=layer,
            drop_features=drop_features,
        )
        network = GraphTransformer(num_features, num_outputs, settings)
        super().__init__(
            *(network, num_outputs, task, metric, lr, weight_decay, warmup_epochs, lr_schedule),
            *(logit_adjustment, class_weights),
        )
        self.save_hyperparameters()
