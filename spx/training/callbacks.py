"""Callbacks: of every run, the best checkpoint and the progress bar; of `plus`, averaged weights and an early end."""

import math
import time
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from tqdm import tqdm

from spx.errors import ConfigError
from spx.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, run_folder


def best_checkpoint(trainer: Trainer) -> ModelCheckpoint | None:
    """What keeps the run's best checkpoint: `BestCheckpoint` whatever others there are, else Lightning's first."""
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback for callback in kept if isinstance(callback, BestCheckpoint)), kept[0] if kept else None)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint that is best on validation, and the last epoch's to resume from.

    A fit without any validation (`limit_val_batches: 0`, an end before the first) has no best epoch: the last one's
    weights take the place, and a warning says so.

    Args:
        dirpath: folder of the checkpoints; default: `checkpoints/` in the run's folder.
        monitor: log key that selects; default: the dataset's metric on validation.
        mode: "max" or "min" of the monitored value.
        keep_last: whether the last epoch's checkpoint is kept too, as `last.ckpt`.
        last_seconds: least time between two writes of `last.ckpt`, which for short epochs would cost a tenth of them;
            the end of the fit always writes it.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        monitor: str | None = None,
        mode: str = "max",
        keep_last: bool = True,
        last_seconds: float = 2.0,
    ):
        super().__init__(dirpath, "best", monitor, mode=mode, enable_version_counter=False)
        self.keep_last = keep_last  # Lightning's own save_last only follows a checkpoint that is best
        self.last_seconds = last_seconds
        self._last_written = -math.inf
        self.best_metric: float | None = None
        """The dataset's validation metric of the best checkpoint, whatever selected it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.monitor = self.monitor or pl_module.selection_metric
        if self.dirpath is None:
            self.dirpath = str(run_folder(trainer) / Path(BEST_CHECKPOINT).parent)
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = self.best_model_score
        super().on_validation_end(trainer, pl_module)
        self._note_metric(trainer, pl_module, before)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = self.best_model_score
        super().on_train_epoch_end(trainer, pl_module)
        self._note_metric(trainer, pl_module, before)
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        ends = ends or 0 <= trainer.max_steps <= trainer.global_step
        if ends and not self.best_model_path and not trainer.fast_dev_run:
            self._take_last_for_best(trainer)
        due = ends or time.monotonic() - self._last_written >= self.last_seconds
        if self.keep_last and trainer.strategy.broadcast(due) and not trainer.fast_dev_run:
            self._last_written = time.monotonic()
            self.last_model_path = str(Path(self.dirpath) / Path(LAST_CHECKPOINT).name)
            trainer.save_checkpoint(self.last_model_path, weights_only=False)

    def _take_last_for_best(self, trainer: Trainer) -> None:
        rank_zero_info(
            f"No epoch was validated by {self.monitor}: the weights of the last one stand for the best, with no "
            "figure. Settings of the Trainer that decide: limit_val_batches, check_val_every_n_epoch, max_epochs."
        )
        self.best_model_path = str(Path(self.dirpath) / Path(BEST_CHECKPOINT).name)
        trainer.save_checkpoint(self.best_model_path, weights_only=False)

    def _note_metric(self, trainer: Trainer, pl_module: LightningModule, score_before: Tensor | None) -> None:
        if self.best_model_score is not score_before:
            value = trainer.callback_metrics.get(pl_module.selection_metric)
            self.best_metric = None if value is None or not value.isfinite() else float(value)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_metric": self.best_metric}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(self._moved_here(state_dict))
        self.best_metric = state_dict.get("best_metric")

    def _moved_here(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """The state with its paths in this run's folder, where that is the same run under another name."""

        def moved(path: str) -> str:
            return str(Path(self.dirpath) / Path(path).name) if path else path

        best = moved(state_dict["best_model_path"])
        if not Path(best).is_file():
            return {**state_dict, "best_k_models": {}}  # Lightning would remove an older best, wherever that is
        here = {"dirpath": self.dirpath, "best_model_path": best}
        here |= {name: moved(state_dict[name]) for name in ("kth_best_model_path", "last_model_path")}
        here["best_k_models"] = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        return {**state_dict, **here}


class WeightAverage(EMAWeightAveraging):
    """Validation and checkpoints take an exponential moving average of the weights over the training steps.

    After a fit Lightning's own would test the weights of the last step, which a checkpoint holds for a fit to go on.

    Args:
        decay: weight of the average in its update, from 0 to below 1; 1 / (1 - decay) steps count.

    Raises:
        ConfigError: another decay.
    """

    def __init__(self, decay: float = 0.99):
        if not 0 <= decay < 1:
            raise ConfigError(f"decay is {decay}; it is from 0 to below 1, where the average would never move.")
        super().__init__(decay=decay)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average_model = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


class EarlyEnd(EarlyStopping):
    """Ends a fit whose validation metric hasn't risen for some epochs.

    Args:
        patience: validations without a rise, at least 1.

    Raises:
        ConfigError: a patience below 1.
    """

    def __init__(self, patience: int):
        if patience < 1:
            raise ConfigError(f"patience is {patience}; it is a number of validations, at least 1.")
        super().__init__(monitor="", mode="max", patience=patience, strict=False)  # without validation it never ends

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.monitor = pl_module.selection_metric
        super().setup(trainer, pl_module, stage)


class EpochProgress(ProgressBar):
    """One bar over all epochs of a fit, with the latest losses and metrics: a full-batch epoch is a single step."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches
        self._bar = tqdm(
            total=None if steps == float("inf") else int(steps),
            initial=trainer.global_step,
            desc=type(pl_module).__name__,
            unit="batch",
            dynamic_ncols=True,
            disable=not (self._enabled and trainer.is_global_zero),
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_) -> None:
        self._bar.update(trainer.global_step - self._bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shown = {
            name: f"{float(value):.3f}"
            for name, value in trainer.progress_bar_metrics.items()
            if name != "v_num" and "step" not in name
        }
        self._bar.set_postfix({"epoch": f"{trainer.current_epoch + 1}/{trainer.max_epochs}", **shown}, refresh=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._bar is not None:
            self._bar.close()
