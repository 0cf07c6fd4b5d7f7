"""The predictions of LightningCLI's `predict` as a table, written while they come."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from spx.errors import ConfigError
from spx.run_folder import run_folder

if TYPE_CHECKING:
    from spx.inference.tables import TableWriter


class PredictionWriter(Callback):
    """`spx predict --config ...` writes a table of all nodes, batch by batch.

    Args:
        path: ends in .csv, .parquet or .npz; default: `predictions.npz` in the run's folder.
        spreadsheet: quote text in a .csv that a spreadsheet would take for a formula; default path: `predictions.csv`.
    """

    def __init__(self, path: str | None = None, spreadsheet: bool = False):
        self.path, self.spreadsheet = path, spreadsheet
        self._open = ExitStack()
        self._writer: TableWriter | None = None
        self._written = 0

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        from spx.inference.tables import table_writer  # brings polars, which a fit has no need of

        if trainer.world_size > 1:
            raise ConfigError(f"Predictions are written by one device, not {trainer.world_size}. Use one.")
        folder = run_folder(trainer)
        self.path = self.path or str(folder / ("predictions.csv" if self.spreadsheet else "predictions.npz"))
        self._writer, self._written = self._open.enter_context(table_writer(self.path, self.spreadsheet)), 0

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        from spx.inference.predictions import from_step

        dataset = trainer.datamodule.dataset
        self._writer.write(from_step(outputs, dataset, dataset.class_names))
        self._written += outputs["nodes"].numel()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open.close()
        rank_zero_info(f"Predictions of {self._written:,} nodes: {self.path}")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._open.__exit__(type(exception), exception, exception.__traceback__)  # leaves no half-written file
