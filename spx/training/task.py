"""What every stage's LightningModule shares: steps, loss, metric, optimiser and schedule.

Logged: `train/loss`, `val/loss`, `test/loss`, and the dataset's metric as `train/accuracy`, `val/accuracy`,
`test/accuracy` or `train/roc_auc` and so on. A test's other figures are `NodeTask.figures` at its end.
"""

import math
import os
from collections.abc import Iterable
from typing import Any, Literal, get_args

import lightning as L
import torch
from torch import Tensor, nn

from spx.data import GraphData
from spx.data.batch import Draws, NodeBatch
from spx.data.unchanged import check_checkpoint
from spx.datasets.types import RANKED
from spx.errors import ConfigError
from spx.graph.sampling import draw_seed
from spx.nn.collectives import share_of_ranks, sum_over_ranks
from spx.nn.norms import normalize_over_ranks
from spx.nn.objectives import (
    ClassWeights,
    TaskName,
    average_draws,
    balanced_weights,
    class_probabilities,
    log_probabilities,
    node_loss,
    prior_offset,
)
from spx.torch_files import check_checkpoint as check_file
from spx.training.calibration import Calibration, CalibrationNodes
from spx.training.figures import Figures, NodeFigures
from spx.training.metrics import make_metric, metric_input

STATE = "spx"
"""Key of what a checkpoint says of its own: the model's class and the seed of dropout."""
FROM_DATA = ("num_features", "num_outputs", "task", "metric")
"""Hyper-parameters that the data decide."""
ScheduleName = Literal["cosine", "constant"]
DROPOUT_STREAM = -2
"""Of rank 0's dropout, in place of a layer's number (`spx.graph.sampling.draw_seed`); later ranks count down."""
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed")
"""Of the Trainer. The weights keep at least float32: sums and statistics in less lose most of their digits."""


def learning_rate_factor(
    epoch: int, warmup_epochs: int, max_epochs: int | None, schedule: ScheduleName = "cosine"
) -> float:
    """Linear warm-up to 1, then half a cosine to 0 at the last epoch; or constant, as without a last epoch."""
    if epoch < warmup_epochs:
        return (epoch + 1) / (warmup_epochs + 1)
    if schedule == "constant" or not max_epochs or max_epochs < 0:
        return 1.0
    progress = (epoch - warmup_epochs) / max(1, max_epochs - warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class NodeTask(L.LightningModule):
    """Node classification with a network of `spx.nn`.

    Args:
        network: called with features and neighbourhoods, gives logits.
        num_outputs: C.
        task: "multiclass" or "multilabel".
        metric: one of `spx.datasets.types.Metric`; its validation value selects the checkpoint.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup_epochs: of linear warm-up.
        lr_schedule: after the warm-up, "cosine" to 0 at the last epoch, or "constant".
        logit_adjustment: whether predictions are for the class frequencies of the validation nodes, where the training
            nodes' are others (`prior_offset`). No other use is made of the validation labels.
        class_weights: "balanced": in the training loss rare classes count as much as common ones (`balanced_weights`).
            Validation and test losses stay without weights.
    """

    def __init__(
        self,
        network: nn.Module,
        num_outputs: int,
        task: TaskName,
        metric: str,
        lr: float,
        weight_decay: float,
        warmup_epochs: int,
        lr_schedule: ScheduleName = "cosine",
        logit_adjustment: bool = False,
        class_weights: ClassWeights | None = None,
    ):
        super().__init__()
        if lr <= 0 or weight_decay < 0 or warmup_epochs < 0:
            raise ConfigError(
                f"lr is {lr}, weight_decay {weight_decay}, warmup_epochs {warmup_epochs}: "
                "lr must be above 0, the others at least 0."
            )
        if lr_schedule not in get_args(ScheduleName):
            raise ConfigError(f"lr_schedule is '{lr_schedule}'; choose from {', '.join(get_args(ScheduleName))}.")
        if class_weights not in (None, *get_args(ClassWeights)):
            raise ConfigError(f"class_weights is {class_weights!r}; give balanced, or leave it out.")
        if class_weights is not None and logit_adjustment:
            raise ConfigError(
                "class_weights and logit_adjustment are both set, which would correct for rare classes twice. Leave "
                "one out."
            )
        self.network = network
        self._seed: int | None = None
        self._finite: Tensor | None = None
        self.task: TaskName = task
        self.num_outputs = num_outputs
        self.metric_name = metric
        self.lr, self.weight_decay, self.warmup_epochs, self.lr_schedule = lr, weight_decay, warmup_epochs, lr_schedule
        self.logit_adjustment, self._offset = logit_adjustment, None
        self.class_weights, self._weights = class_weights, None
        self.metrics = nn.ModuleDict({part: make_metric(metric, task, num_outputs) for part in ("fit", "val", "test")})
        self._figures = NodeFigures(task, num_outputs)
        self.figures: Figures | None = None
        self.calibration: Calibration | None = None
        self.calibration_nodes: CalibrationNodes | None = None

    @property
    def num_layers(self) -> int:
        """Number of attention (or convolution) layers."""
        return len(self.network.layers)

    @property
    def selection_metric(self) -> str:
        """Log key whose highest value marks the best checkpoint."""
        return f"val/{self.metric_name}"

    def setup(self, stage: str) -> None:
        """Let norms share their statistics over the ranks, if there are several.

        Raises:
            ConfigError: a precision that weights, sums and statistics can't have.
        """
        self._seed = None
        if (precision := self.trainer.precision) not in PRECISIONS:
            raise ConfigError(
                f"The Trainer's precision is '{precision}', in which sums over nodes and edges lose most of their "
                f"digits. Choose one of {', '.join(PRECISIONS)}: bf16-mixed is half of the memory, too."
            )
        normalize_over_ranks(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the network is, and the seed of its dropout: each epoch sets torch's own anew."""
        checkpoint[STATE] = {"model": type(self).__name__, "dropout_seed": self._seed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the seed of dropout, after a look at whether the checkpoint belongs to the data and the network at hand.

        Raises:
            ConfigError: a fit that goes on has other settings, or the network another size.
            ArtifactError: the checkpoint is damaged, or was made from other data.
        """
        self._seed = checkpoint.get(STATE, {}).get("dropout_seed")
        self.calibration = Calibration.of_checkpoint(checkpoint)
        if self._trainer is None:
            return
        path = self._trainer.ckpt_path
        if path is not None and os.path.isfile(path):
            check_file(path)  # a Trainer that isn't of the command line reads it without
        if isinstance(self._trainer.datamodule, GraphData):
            check_checkpoint(checkpoint, self._trainer.datamodule, self._trainer.state.fn.value)
        stored = checkpoint.get("hyper_parameters", {})
        differences = [
            f"{name} is {self.hparams[name]} here and {stored[name]} there"
            for name in ("num_features", "num_outputs", "task")
            if name in stored and stored[name] != self.hparams[name]
        ]
        if differences:
            raise ConfigError(f"The checkpoint {path} was made from other data: {'; '.join(differences)}.")

    def on_fit_start(self) -> None:
        if self._seed is None:  # a fit from the start
            self._seed = torch.initial_seed()
        if not (self.logit_adjustment or self.class_weights):
            return
        y, split = self.trainer.datamodule.dataset.y, self.trainer.datamodule.dataset.split
        if self.logit_adjustment:
            offset = prior_offset(y[split.train], y[split.val], self.num_outputs, self.task)
            self._offset = offset.to(self.device)
        if self.class_weights:
            self._weights = balanced_weights(y[split.train], self.num_outputs, self.task).to(self.device)

    def on_train_start(self) -> None:
        """Set the learning rate to this fit's schedule at this epoch.

        A fit that goes on may have another last epoch than before: its first epoch would be trained by the old
        schedule's last rate, 0. A learning rate that was found by Lightning's finder becomes the peak.
        """
        for config in self.trainer.lr_scheduler_configs:
            schedule = config.scheduler
            if isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
                schedule.base_lrs = [self.lr] * len(schedule.base_lrs)
                rates = [self.lr * factor(schedule.last_epoch) for factor in schedule.lr_lambdas]
                for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
                    group["initial_lr"], group["lr"] = self.lr, rate
                schedule._last_lr = rates

    def on_train_epoch_start(self) -> None:
        """Seed dropout by (seed, epoch, rank): a fit that goes on repeats it, and no two ranks drop the same."""
        torch.manual_seed(draw_seed(self._seed, self.current_epoch, DROPOUT_STREAM - self.global_rank))

    def on_validation_epoch_end(self) -> None:
        """Refuse to go on with losses that aren't finite; the best checkpoint stays what it was.

        Raises:
            ConfigError: training diverged.
        """
        if self.calibration_nodes is not None:
            self.calibration = self.calibration_nodes.fit(self.task, self.num_outputs)
        if self._finite is not None and sum_over_ranks((~self._finite).float()) > 0:  # the one place that waits
            raise ConfigError(
                f"The loss isn't finite any more in epoch {self.current_epoch + 1}: the training diverged. Lower "
                f"--model.lr (it is {self.lr}), or bring the features to similar ranges."
            )
        self._finite = None

    def forward(self, batch: NodeBatch) -> Tensor:
        """Logits [B, C] of the judged nodes."""
        return self.network(batch.x, batch.neighborhoods)[batch.targets]

    def training_step(self, batch: NodeBatch, batch_idx: int) -> Tensor:
        logits = self(batch)
        logp = log_probabilities(logits if self._offset is None else logits + self._offset, self.task)
        loss = node_loss(logp, batch.y, self.task, self._weights)
        self._log("train", "fit", loss, logp.detach(), batch.y)
        return loss * share_of_ranks(batch.y)

    def validation_step(self, draws: Draws, batch_idx: int) -> None:
        if self.calibration_nodes is not None:
            self.calibration_nodes.add(torch.stack([self(batch) for batch in draws]), draws[0].y)
            return
        logp, y = self._average(self._logits(draws)), draws[0].y
        self._log("val", "val", node_loss(logp, y, self.task), logp, y)

    def on_test_epoch_start(self) -> None:
        self.figures = None
        self._figures.reset()

    def test_step(self, draws: Draws, batch_idx: int) -> None:
        logits_R, y = self._logits(draws), draws[0].y
        logp = self._average(logits_R)
        self._log("test", "test", node_loss(logp, y, self.task), logp, y)
        before = None if self.calibration is None else self._average(logits_R * self.calibration.temperature)
        self._figures.update(logp, y, before)

    def on_test_epoch_end(self) -> None:
        self.figures = self._figures.compute()
        self._figures.reset()

    def predict_step(self, draws: Iterable[NodeBatch], batch_idx: int = 0) -> dict[str, Tensor]:
        """Numbers `nodes` [B] of the judged nodes, their `probabilities` [B, C] averaged over the R draws, and for
        several draws `spread` [B, C], the probabilities' sample standard deviation over them.

        The draws are asked for one after the other, so that they can be built when their turn comes.
        """
        nodes, logits = zip(*((batch.nodes, self(batch)) for batch in draws), strict=True)
        logp_R = log_probabilities(self._calibrated(torch.stack(logits)), self.task)
        prediction = {"nodes": nodes[0], "probabilities": class_probabilities(average_draws(logp_R), self.task)}
        if len(logits) > 1:
            prediction["spread"] = class_probabilities(logp_R, self.task).std(0)
        return prediction

    def _logits(self, draws: Draws) -> Tensor:
        """[R, B, C], calibrated if the network was."""
        return self._calibrated(torch.stack([self(batch) for batch in draws]))

    def _calibrated(self, logits: Tensor) -> Tensor:
        return logits if self.calibration is None else logits / self.calibration.temperature

    def _average(self, logits_R: Tensor) -> Tensor:
        return average_draws(log_probabilities(logits_R, self.task))

    def _log(self, part: str, metric_part: str, loss: Tensor, logp: Tensor, y: Tensor) -> None:
        size = y.shape[0]
        finite = loss.detach().isfinite()
        self._finite = finite if self._finite is None else self._finite & finite
        metric = self.metrics[metric_part]
        if size or self.metric_name in RANKED:  # a rank may have no node: counts can't take none, a ranking gathers
            metric.update(metric_input(self.metric_name, logp, self.task), y.long())
        # A float: over ranks Lightning takes the mean of the counts in their own type, and would cut off its fraction
        on_epoch: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": float(size), "prog_bar": True}
        self.log(f"{part}/loss", loss, sync_dist=True, **on_epoch)
        self.log(f"{part}/{self.metric_name}", metric, **on_epoch)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Over all parameters, at the peak learning rate."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.make_optimizer()
        max_epochs = self.trainer.max_epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda epoch: learning_rate_factor(epoch, self.warmup_epochs, max_epochs, self.lr_schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch", "name": "work/lr"}}
