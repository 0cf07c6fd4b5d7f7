"""The progress bar of every run."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm


class EpochProgress(ProgressBar):
    """One bar over all epochs of a fit, as a full-batch epoch is a single step.

    It shows the latest validation metric first, then the losses: what is cut at the terminal's edge says least.
    """

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
            desc=f"epoch {trainer.current_epoch + 1}/{_last(trainer)}",
            bar_format="{desc} |{bar:12}| {elapsed}<{remaining}{postfix}",  # with a metric and a loss, 80 columns
            dynamic_ncols=True,
            disable=not (self._enabled and trainer.is_global_zero),
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_) -> None:
        self._bar.update(trainer.global_step - self._bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        first = (pl_module.selection_metric, "train/loss", "val/loss")
        values = {
            name: f"{float(trainer.callback_metrics[name]):.3f}" for name in first if name in trainer.callback_metrics
        }
        self._bar.set_description_str(f"epoch {trainer.current_epoch + 1}/{_last(trainer)}", refresh=False)
        self._bar.set_postfix(values, refresh=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._bar is not None:
            self._bar.close()


def _last(trainer: Trainer) -> str:
    """The number of epochs, where one is set."""
    return str(trainer.max_epochs) if trainer.max_epochs and trainer.max_epochs > 0 else "?"
