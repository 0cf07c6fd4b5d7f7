"""Averaged weights, of `plus`."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from spx.errors import ConfigError


class WeightAverage(WeightAveraging):
    """Validation and checkpoints take an exponential moving average of the weights over the training steps.

    After t steps the decay is (1 + t) / (10 + t) until it reaches its own, as in TensorFlow's moving averages: else the
    first weights would be most of the average for 1 / (1 - decay) steps, and the statistics of batch norms, averaged
    likewise, of other networks than it.

    After a fit Lightning's own would test the weights of the last step, which a checkpoint holds for a fit to go on.

    Args:
        decay: weight of the average in its update, from 0 to below 1; 1 / (1 - decay) steps count.

    Raises:
        ConfigError: another decay.
    """

    def __init__(self, decay: float = 0.99):
        if not 0 <= decay < 1:
            raise ConfigError(f"decay is {decay}; it is from 0 to below 1, where the average would never move.")

        def average(averaged: Tensor, current: Tensor, steps: Tensor) -> Tensor:
            of_now = ((1 + steps) / (10 + steps)).clamp(max=decay)  # stays on the device: no step waits for it
            return of_now * averaged + (1 - of_now) * current

        super().__init__(avg_fn=average)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average_model = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
