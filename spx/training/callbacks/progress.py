"""The progress bar of every run."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm


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
