"""A trial of `spx tune`: its validation figures as a file, and its end where it falls behind or is too large."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from spx.errors import ConfigError
from spx.run_folder import TRIAL_FILE, run_folder


class Trial(Callback):
    """Writes each epoch's validation metric to a file in the run's folder, and ends a trial that can't win.

    Args:
        bars: by number of epochs, what the best validation metric has to be by then.
        max_memory: MB of peak resident memory (10^6 bytes), above which the trial ends; none: unbounded.

    Raises:
        ConfigError: a bar or a bound that isn't above 0.
    """

    def __init__(self, bars: dict[int, float] | None = None, max_memory: float | None = None):
        self.bars, self.max_memory = dict(bars or {}), max_memory
        if any(epoch < 1 for epoch in self.bars) or (max_memory is not None and max_memory <= 0):
            raise ConfigError(f"bars is {self.bars}, max_memory {max_memory}: epochs and memory must be above 0.")
        self._values: list[list[float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the figure; end where the best so far lies below a bar, or the memory above its bound."""
        value = trainer.callback_metrics.get(pl_module.selection_metric)
        if value is None or trainer.sanity_checking:
            return
        epochs = trainer.current_epoch + 1
        self._values.append([epochs, float(value)])
        best = max((figure for _, figure in self._values if figure == figure), default=float("-inf"))
        too_much = self.max_memory is not None and _peak_mb() > self.max_memory
        if trainer.strategy.broadcast(best < self.bars.get(epochs, float("-inf")) or too_much):
            trainer.should_stop = True
        folder = run_folder(trainer)
        if trainer.is_global_zero and not trainer.fast_dev_run:
            lines = [f"{int(epoch)},{figure}\n" for epoch, figure in self._values]
            (Path(folder) / TRIAL_FILE).write_text("".join(["epochs,validation\n", *lines]))

    def state_dict(self) -> dict[str, Any]:
        """The figures so far, for a trial that goes on."""
        return {"values": self._values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._values = [list(each) for each in state_dict["values"]]


def _peak_mb() -> float:
    from spx.training.record import peak_rss_mb  # which imports the callbacks

    return peak_rss_mb()
