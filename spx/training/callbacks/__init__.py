"""Callbacks: checkpoints and the progress bar of every run; averaged weights and an early end; trials of `spx tune`."""

from spx.training.callbacks.averaging import WeightAverage
from spx.training.callbacks.checkpoint import BestCheckpoint, best_checkpoint
from spx.training.callbacks.early_end import EarlyEnd
from spx.training.callbacks.progress import EpochProgress
from spx.training.callbacks.trial import Trial

__all__ = ["BestCheckpoint", "EarlyEnd", "EpochProgress", "Trial", "WeightAverage", "best_checkpoint"]
