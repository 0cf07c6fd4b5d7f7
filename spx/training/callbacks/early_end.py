"""The early end of a fit that gets no better, of `plus`."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from spx.errors import ConfigError


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
