"""Which checkpoints a run keeps: the best on validation, and the last epoch's to go on from."""

import contextlib
import copy
import math
import time
from pathlib import Path
from typing import Any
from weakref import proxy

from lightning import LightningModule, Trainer
from lightning.fabric.utilities.apply_func import apply_to_collection
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from spx.errors import SpxError
from spx.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, run_folder


def best_checkpoint(trainer: Trainer) -> ModelCheckpoint | None:
    """What keeps the run's best checkpoint: `BestCheckpoint` whatever others there are, else Lightning's first."""
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback for callback in kept if isinstance(callback, BestCheckpoint)), kept[0] if kept else None)


class HeldCheckpoint(CheckpointIO):
    """Takes the checkpoint that a Trainer saves into memory, as it is now, in place of a file."""

    def __init__(self) -> None:
        self.content: dict[str, Any] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        clones: dict[int, Any] = {}  # deepcopy's own copies of tensors take ten times as long
        apply_to_collection(checkpoint, Tensor, lambda tensor: clones.setdefault(id(tensor), tensor.detach().clone()))
        self.content = copy.deepcopy(checkpoint, clones)  # weights, optimiser and figures go on with the fit

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        raise NotImplementedError

    def remove_checkpoint(self, path: str | Path) -> None:
        raise NotImplementedError


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint that is best on validation, and the last epoch's to resume from.

    Writing takes longer than all else that is done beside the network, and at first nearly every epoch is the best. So
    a best checkpoint that follows the one before too soon waits in memory. It is written before the next last one,
    whose fit would not find it again, and at the end, however that comes.

    A fit without any validation (`limit_val_batches: 0`, an end before the first) has no best epoch: the last one's
    weights take the place, and a warning says so.

    Args:
        dirpath: folder of the checkpoints; default: `checkpoints/` in the run's folder.
        monitor: log key that selects; default: the dataset's metric on validation.
        mode: "max" or "min" of the monitored value.
        keep_last: whether the last epoch's checkpoint is kept too, as `last.ckpt`.
        last_seconds: least time between two writes of `last.ckpt`, and of `best.ckpt`: for short epochs each would cost
            a tenth of them. The end of the fit always writes both.
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
        self._last_written = self._best_written = -math.inf
        self._held: dict[str, Any] | None = None
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
            self._write_best(trainer)  # first: a fit that goes on from the last one knows that it was written
            self._last_written = time.monotonic()
            self.last_model_path = str(Path(self.dirpath) / Path(LAST_CHECKPOINT).name)
            trainer.save_checkpoint(self.last_model_path, weights_only=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._write_best(trainer)
        trainer.strategy.barrier()  # the other ranks may read it next

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        with contextlib.suppress(OSError, RuntimeError, SpxError):  # what ended the fit is what has to be said
            self._write_best(trainer)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        if time.monotonic() - self._best_written >= self.last_seconds:
            self._held = None
            super()._save_checkpoint(trainer, filepath)
            self._best_written = time.monotonic()
            return
        strategy, held = trainer.strategy, HeldCheckpoint()
        writer, strategy.checkpoint_io = strategy.checkpoint_io, held
        try:
            trainer.save_checkpoint(filepath, self.save_weights_only)
        finally:
            strategy.checkpoint_io = writer
        self._held = held.content  # of rank zero alone
        self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, filepath

    def _write_best(self, trainer: Trainer) -> None:
        """Write what waits in memory."""
        if self._held is not None:
            trainer.strategy.checkpoint_io.save_checkpoint(self._held, self.best_model_path)
            self._held, self._best_written = None, time.monotonic()
            for logger in trainer.loggers:
                logger.after_save_checkpoint(proxy(self))

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
