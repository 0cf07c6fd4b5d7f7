"""Averaged weights, of `plus`."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from spx.errors import ConfigError


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
