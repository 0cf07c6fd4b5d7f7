"""Stage 1: the narrow network whose attention scores guide the sampling of stage 2.

Logged besides `spx.training.task`: `temperature`.
"""

from typing import Any

from torch import Tensor

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features
from spx.graph.sharding import GraphShard
from spx.nn.network import GraphTransformer
from spx.nn.objectives import ClassWeights, TaskName
from spx.nn.settings import ESTIMATOR, NormName, TransformerSettings
from spx.training.task import STATE, NodeTask


def annealed_temperature(epoch: int, decay: float, wait: int, least: float, initial: float = 1.0) -> float:
    """T = max(T_min, T_0 gamma^(epoch - wait)) from epoch `wait` on, T_0 before: 1, or that of the weights at hand."""
    return max(least, initial * decay ** max(0, epoch - wait))


class AttentionEstimator(NodeTask):
    """The attention-score estimator: one narrow head per layer, trained on the whole augmented graph.

        model:
          class_path: spx.training.AttentionEstimator
          init_args: {width: 4, num_layers: 4, temperature_decay: 0.99, temperature_wait: 20}

    A fit that starts from another's weights starts at their temperature: at another one they are another network. A
    long fit on a graph that has changed much may be worth a new start at 1.

    Args:
        width: d_s, 4 to 8.
        num_layers: L; layers that the wide network has beyond them draw by the last one's scores.
        num_heads: of each layer; the hand-over averages their scores.
        num_pre_layers: hidden layers before the Transformer layers.
        num_post_layers: linear layers of the head.
        norm: "graph" (GraphNorm), "batch" or "none".
        dropout: probability.
        normalize_values: unit values times one learned scale, so that their length can't hide importance.
        unit_rows: whether hidden layers bring each row to unit length.
        temperature_decay: gamma; 1 keeps T as it is at first.
        temperature_wait: epochs before T falls.
        temperature_min: T_min.
        temperature_start: T before it falls; default: that of the weights at hand, 1 of new ones.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_epochs: of linear warm-up before the cosine.
        class_weights: "balanced" for rare classes that count as much as common ones; see `NodeTask`.
        num_features: F. This and the following have no default: they are the data's (`GraphData.for_model`), which the
            command line links.
        num_outputs: classes or labels.
        task: "multiclass" or "multilabel".
        metric: that is judged by (`spx.datasets.types.Metric`).

    Example:
        >>> from spx.data import AugmentedGraphData
        >>> data = AugmentedGraphData("minesweeper-sim")
        >>> model = AttentionEstimator(width=4, num_layers=2, **data.for_model)
        >>> model.hparams.width, model.hparams.num_outputs
        (4, 2)
    """

    def __init__(
        self,
        width: int = ESTIMATOR.width,
        num_layers: int = ESTIMATOR.num_layers,
        num_heads: int = ESTIMATOR.num_heads,
        num_pre_layers: int = ESTIMATOR.num_pre_layers,
        num_post_layers: int = ESTIMATOR.num_post_layers,
        norm: NormName = ESTIMATOR.norm,
        dropout: float = ESTIMATOR.dropout,
        normalize_values: bool = ESTIMATOR.normalize_values,
        unit_rows: bool = ESTIMATOR.unit_rows,
        temperature_decay: float = 0.99,
        temperature_wait: int = 5,
        temperature_min: float = 0.05,
        temperature_start: float | None = None,
        lr: float = 0.01,
        weight_decay: float = 1e-3,
        warmup_epochs: int = 5,
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
            normalize_values=normalize_values,
            unit_rows=unit_rows,
        )
        network = GraphTransformer(num_features, num_outputs, settings)
        super().__init__(
            network, num_outputs, task, metric, lr, weight_decay, warmup_epochs, class_weights=class_weights
        )
        if temperature_start is not None and not 0 < temperature_start <= 1:
            raise ConfigError(f"temperature_start is {temperature_start}; it lies in (0, 1].")
        if not (0 < temperature_decay <= 1 and 0 < temperature_min <= 1 and temperature_wait >= 0):
            raise ConfigError(
                f"temperature_decay is {temperature_decay}, temperature_min {temperature_min}, temperature_wait "
                f"{temperature_wait}: the first two lie in (0, 1], the last is at least 0."
            )
        self._initial_temperature: float | None = None
        self.save_hyperparameters()

    @property
    def temperature(self) -> float:
        """T of the network's buffer: what the checkpoint holds."""
        return float(self.network.temperature)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._initial_temperature = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the temperature falls from: a fit that goes on has the one that it has fallen to."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[STATE]["initial_temperature"] = self._initial_temperature

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._initial_temperature = checkpoint.get(STATE, {}).get("initial_temperature", 1.0)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self._falls_from()

    def _falls_from(self) -> float:
        """T at first. Lightning's search for a learning rate trains before the fit has started."""
        if self._initial_temperature is None:  # a fit from the start
            self._initial_temperature = self.hparams.temperature_start or self.temperature
        return self._initial_temperature

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        settings = self.hparams
        temperature = annealed_temperature(
            *(self.current_epoch, settings.temperature_decay, settings.temperature_wait, settings.temperature_min),
            self._falls_from(),
        )
        self.network.temperature.fill_(temperature)
        self.log("work/temperature", temperature, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def attention_scores(self, x: Features, graph: AttentionGraph | GraphShard, out: Tensor | None = None) -> Tensor:
        """`GraphTransformer.attention_scores` at the present temperature: [L, M]."""
        return self.network.attention_scores(x, graph, out)
