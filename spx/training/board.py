"""The logger of a run whose configuration names none."""

from collections.abc import Mapping

from lightning.pytorch.loggers import TensorBoardLogger


class Board(TensorBoardLogger):
    """Lightning's TensorBoard logger, which files Lightning's `epoch` under `work/`, with seconds and memory: groups
    of charts are sorted by name, and losses and metrics come first."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({"work/epoch" if name == "epoch" else name: value for name, value in metrics.items()}, step)
