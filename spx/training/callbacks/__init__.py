"""Callbacks: checkpoints and the progress bar of every run; of `plus`, averaged weights and an early end."""

from spx.training.callbacks.averaging import WeightAverage
from spx.training.callbacks.checkpoint import BestCheckpoint, best_checkpoint
from spx.training.callbacks.early_end import EarlyEnd
from spx.training.callbacks.progress import EpochProgress

__all__ = ["BestCheckpoint", "EarlyEnd", "EpochProgress", "WeightAverage", "best_checkpoint"]
