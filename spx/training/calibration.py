"""One temperature for a trained network's logits, fitted on the validation nodes (arXiv 1706.04599).

It lies in the checkpoint of the weights that it was fitted for, so that tests, predictions and exports have it.
Letters: R draws, B nodes, C classes or labels.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor

from spx.errors import ArtifactError, ConfigError
from spx.nn.collectives import sum_over_ranks
from spx.nn.objectives import TaskName, average_draws, class_probabilities, log_probabilities, node_loss
from spx.torch_files import read_checkpoint
from spx.training.figures import calibration_error

KEY = "spx_calibration"
"""Of a checkpoint."""
LEAST, MOST = 0.05, 20.0
"""Between which a temperature is looked for."""


class Calibration(NamedTuple):
    """What logits are divided by, and the validation nodes' loss and expected calibration error before and after."""

    temperature: float
    val_loss_before: float
    val_loss: float
    val_calibration_error_before: float
    val_calibration_error: float

    @classmethod
    def of_checkpoint(cls, checkpoint: Mapping[str, Any]) -> "Calibration | None":
        """What a checkpoint holds; None: its network isn't calibrated.

        Raises:
            ArtifactError: it is damaged.
        """
        held = checkpoint.get(KEY)
        if held is None:
            return None
        right = isinstance(held, Mapping) and held.keys() == set(cls._fields)
        right = right and all(isinstance(value, float) for value in held.values())
        if not (right and LEAST <= held["temperature"] <= MOST):
            raise ArtifactError(f"The checkpoint's {KEY} is {str(held)[:100]}, which is damaged. Fit anew.")
        return cls(**held)


class CalibrationNodes:
    """Logits of validation nodes, batch by batch."""

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._y: list[Tensor] = []
        self.found: Calibration | None = None

    def add(self, logits_R: Tensor, y: Tensor) -> None:
        """Take in [R, B, C] and the labels."""
        self._logits.append(logits_R.detach())
        self._y.append(y)

    def fit(self, task: TaskName, num_outputs: int) -> Calibration:
        """The temperature of the least loss over all ranks' nodes, 1 where none is better. All have to call it."""
        from scipy.optimize import minimize_scalar

        logits_R, y = torch.cat(self._logits, 1), torch.cat(self._y)
        num_known = (y >= 0).sum().double()
        total = sum_over_ranks(num_known)

        def loss(logarithm: float) -> float:
            logp = average_draws(log_probabilities(logits_R.double() / math.exp(logarithm), task))
            return float(sum_over_ranks(node_loss(logp, y, task).double() * num_known) / total)

        found = minimize_scalar(loss, bounds=(math.log(LEAST), math.log(MOST)), method="bounded")
        before = loss(0.0)
        temperature, after = (math.exp(found.x), float(found.fun)) if found.fun < before else (1.0, before)
        errors = []
        for divisor in (1.0, temperature):
            error = calibration_error(task, num_outputs).to(y.device)
            probabilities = class_probabilities(average_draws(log_probabilities(logits_R / divisor, task)), task)
            target = y.long()
            error.update(*((probabilities.flatten(), target.flatten()) if y.dim() == 2 else (probabilities, target)))
            errors.append(float(error.compute()))
        self.found = Calibration(temperature, before, after, *errors)
        return self.found


def calibrate(trainer: Trainer, model: LightningModule, data: LightningDataModule, checkpoint: str) -> None:
    """Fit a temperature for a checkpoint's weights, and add it to the checkpoint.

    Args:
        trainer: that has fitted.
        model: a `NodeTask`, which gets the checkpoint's weights.
        data: whose validation nodes it is fitted on, over as many draws as a test has.
        checkpoint: its path.

    Raises:
        ArtifactError: the checkpoint can't be read.
        ConfigError: it can't be written, or no validation batch is left (`limit_val_batches`).
    """
    if not trainer.limit_val_batches:
        raise ConfigError("A temperature is fitted on validation nodes, and limit_val_batches leaves none. Raise it.")
    model.calibration_nodes = nodes = CalibrationNodes()
    try:
        trainer.validate(model, datamodule=data, ckpt_path=checkpoint, verbose=False)
    finally:
        model.calibration_nodes = None
    if trainer.is_global_zero:
        content = {**read_checkpoint(checkpoint), KEY: nodes.found._asdict()}
        trainer.strategy.checkpoint_io.save_checkpoint(content, checkpoint)
    trainer.strategy.barrier()
