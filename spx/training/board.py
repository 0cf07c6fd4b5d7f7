"""The logger of a run whose configuration names none, and a picture for it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COUNTS = 12
"""Classes whose counts are written into a picture."""
LONGEST_NAME = 20


class Board(TensorBoardLogger):
    """Lightning's TensorBoard logger, which files Lightning's `epoch` under `work/`, with seconds and memory: groups
    of charts are sorted by name, and losses and metrics come first."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({"work/epoch" if name == "epoch" else name: value for name, value in metrics.items()}, step)


def confusion_picture(confusion: Tensor, class_names: Sequence[str]) -> "Figure":
    """A picture of a confusion matrix [C, C], coloured by each row's shares, with the counts of few classes."""
    from matplotlib.figure import Figure  # for a test's end alone

    num_classes = len(class_names)
    names = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in class_names]
    names = [name.replace("$", r"\$") for name in names]  # or it would be read as mathematics
    shares = (confusion / confusion.sum(1, keepdim=True).clamp(min=1)).numpy()
    side = 2.5 + 0.35 * max(4, num_classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(num_classes), names, rotation=90)
    axes.set_yticks(range(num_classes), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("class")
    figure.colorbar(image, label="share of the class", shrink=0.7)
    if num_classes <= MOST_COUNTS:
        for row, counts in enumerate(confusion.tolist()):
            for column, count in enumerate(counts):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    return figure
