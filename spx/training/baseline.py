"""The baselines: other networks on the same data, splits and metrics, with the optimisers of their papers."""

from typing import Literal, get_args

import torch

from spx.errors import ConfigError
from spx.nn.baselines import BaselineNetwork
from spx.nn.objectives import ClassWeights, TaskName
from spx.nn.settings import BASELINE, BaselineName, BaselineSettings, NormName
from spx.training.task import NodeTask, ScheduleName

OptimizerName = Literal["adamw", "adam"]


class Baseline(NodeTask):
    """A baseline on the same data, split and metrics: `AugmentedGraphData` without expander and self-loops.

        model:
          class_path: spx.training.Baseline
          init_args: {kind: sage, width: 64, num_layers: 2}
        data:
          class_path: spx.data.AugmentedGraphData
          init_args: {dataset: actor, expander_degree: 0, self_loops: false}

    Args:
        width: of the hidden states.
        num_layers: convolutions; of Polynormer and SGFormer those over the graph's edges.
        dropout: probability, between layers and of GAT's weights.
        residual: residual blocks between a linear encoder and a linear head, instead of a plain stack.
        lr: peak learning rate.
        weight_decay: of the optimiser.
        warmup_epochs: of linear warm-up.
        lr_schedule: after the warm-up, "cosine" to 0 at the last epoch, or "constant".
        kind: "gcn", "gat", "sage", "mlp" (features alone), "polynormer" or "sgformer".
        skip: a linear map of a layer's input beside each convolution, and a linear head.
        norm: "batch", "graph" (GraphNorm), "layer" or "none"; Polynormer and SGFormer have their own.
        num_heads: of GAT, Polynormer and SGFormer; divides the width.
        global_layers: of Polynormer and SGFormer, over all pairs of nodes.
        feature_dropout: probability by which features are dropped out.
        unit_sums: whether each node's features are divided by the sum of their absolute values.
        optimizer: "adamw", or "adam", whose weight decay is part of the gradient (an L2 penalty).
        decay_first: whether the weights of the first layer alone decay, as the GCN was published.
        local_epochs: of Polynormer, before its attention over all pairs of nodes begins.
        class_weights: "balanced" for rare classes that count as much as common ones; see `NodeTask`.
        num_features: F. This and the following have no default: they are the data's (`GraphData.for_model`), which the
            command line links.
        num_outputs: classes or labels.
        task: "multiclass" or "multilabel".
        metric: "accuracy" or "roc_auc".
    """

    def __init__(
        self,
        width: int = BASELINE.width,
        num_layers: int = BASELINE.num_layers,
        dropout: float = BASELINE.dropout,
        residual: bool = BASELINE.residual,
        lr: float = 0.01,
        weight_decay: float = 1e-3,
        warmup_epochs: int = 5,
        lr_schedule: ScheduleName = "cosine",
        kind: BaselineName = BASELINE.kind,
        skip: bool = BASELINE.skip,
        norm: NormName = BASELINE.norm,
        num_heads: int = BASELINE.num_heads,
        global_layers: int = BASELINE.global_layers,
        feature_dropout: float = BASELINE.feature_dropout,
        unit_sums: bool = BASELINE.unit_sums,
        optimizer: OptimizerName = "adamw",
        decay_first: bool = False,
        local_epochs: int = 100,
        class_weights: ClassWeights | None = None,
        *,
        num_features: int,
        num_outputs: int,
        task: TaskName,
        metric: str,
    ):
        if optimizer not in get_args(OptimizerName):
            raise ConfigError(f"optimizer is '{optimizer}'; choose from {', '.join(get_args(OptimizerName))}.")
        if local_epochs < 0:
            raise ConfigError(f"local_epochs is {local_epochs}; it must be at least 0.")
        settings = BaselineSettings(
            width=width,
            num_layers=num_layers,
            dropout=dropout,
            residual=residual,
            kind=kind,
            skip=skip,
            norm=norm,
            num_heads=num_heads,
            global_layers=global_layers,
            feature_dropout=feature_dropout,
            unit_sums=unit_sums,
        )
        network = BaselineNetwork(num_features, num_outputs, settings)
        super().__init__(
            *(network, num_outputs, task, metric, lr, weight_decay, warmup_epochs, lr_schedule),
            class_weights=class_weights,
        )
        self.optimizer_name, self.decay_first, self.local_epochs = optimizer, decay_first, local_epochs
        self.save_hyperparameters()

    def on_train_epoch_start(self) -> None:
        """Let a Polynormer begin with its attention over all nodes in its epoch; a buffer, so checkpoints hold it."""
        super().on_train_epoch_start()
        if (begun := getattr(self.network, "attends_globally", None)) is not None:
            begun.fill_(self.current_epoch >= self.local_epochs)

    def make_optimizer(self) -> torch.optim.Optimizer:
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[self.optimizer_name]
        if not self.decay_first:
            return kind(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        first = {id(parameter) for parameter in self.network.layers[0].parameters()}
        groups = [
            {"params": [each for each in self.parameters() if id(each) in first], "weight_decay": self.weight_decay},
            {"params": [each for each in self.parameters() if id(each) not in first], "weight_decay": 0.0},
        ]
        return kind(groups, lr=self.lr)


class GCNBaseline(Baseline):
    """A `Baseline` by its name in older versions, whose runs name it."""
