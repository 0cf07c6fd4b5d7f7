"""What a test leaves beside its metric: a table on the screen, two CSV files in the run's folder, and in TensorBoard
`test/balanced_accuracy`, `test/f1_macro` and so on, and the picture `test/confusion`."""

import csv
import io
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spx.errors import ConfigError
from spx.files import reason, replacing
from spx.run_folder import run_folder
from spx.training.board import confusion_picture
from spx.training.figures import Figures

CLASSES_FILE, CONFUSION_FILE = "test_classes.csv", "test_confusion.csv"
MOST_SHOWN = 10
"""Classes on the screen; of more, all stand in the file alone."""
MOST_DRAWN = 50
"""Classes in a picture."""
WORDS = {
    "majority_share": "share of the largest class",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "average_precision": "average precision",
    "roc_auc": "ROC-AUC",
    "calibration_error": "calibration error",
    "calibration_error_before": "calibration error before",
    "f1": "F1",
}


def report_test(
    trainer: Trainer, figures: Figures, class_names: tuple[str, ...], metric: str, value: float | None
) -> None:
    """Print and log the figures, and write the files. On all ranks; the first one does it.

    Args:
        trainer: that has tested.
        figures: that it found.
        class_names: of the C classes or labels.
        metric, value: that the run is judged by, and its value; None where it is undefined.

    Raises:
        ConfigError: the run's folder can't be written.
    """
    folder = run_folder(trainer)
    if not trainer.is_global_zero:
        return
    print_figures(figures, class_names, metric, value, Console())
    if trainer.fast_dev_run:
        return
    files = write_figures(folder, figures, class_names)
    print("All classes: " + ", ".join(map(str, files)), flush=True)
    means = {f"test/{name}": mean for name, mean in figures.means.items() if mean == mean and name != metric}
    for logger in trainer.loggers:
        logger.log_metrics(means, step=trainer.global_step)
        if isinstance(logger, TensorBoardLogger) and figures.confusion is not None and len(class_names) <= MOST_DRAWN:
            picture = confusion_picture(figures.confusion, class_names)
            logger.experiment.add_figure("test/confusion", picture, trainer.global_step)
        logger.save()


def print_figures(
    figures: Figures, class_names: tuple[str, ...], metric: str, value: float | None, console: Console
) -> None:
    """The metric first, then the other figures, then the classes if they are few."""
    short = Table(show_header=False, title=f"test, {figures.num_nodes:,} nodes", title_justify="left")
    short.add_column()
    short.add_column(justify="right")
    short.add_row(f"{WORDS.get(metric, metric)} (its metric)", _number(value), style="bold")
    positive = f" of {class_names[1]!r}" if len(class_names) == 2 and "majority_share" in figures.means else ""
    for name, mean in figures.means.items():
        if name != metric:
            whose = positive if name in ("average_precision", "roc_auc") else ""
            short.add_row(Text(WORDS[name] + whose), _number(mean))
    console.print(short)
    if len(class_names) > MOST_SHOWN:
        return
    table = Table("class", *(WORDS.get(name, name) for name in figures.of_classes))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, *row in zip(class_names, *_columns(figures), strict=True):
        table.add_row(Text(name), *(f"{cell:,}" if isinstance(cell, int) else _number(cell) for cell in row))
    console.print(table)


def write_figures(folder: Path, figures: Figures, class_names: tuple[str, ...]) -> list[Path]:
    """Write `test_classes.csv`, a row for each class, and `test_confusion.csv`, a row for each true class and a column
    for each predicted one; returns what was written.

    Raises:
        ConfigError: the folder can't be written.
    """
    rows = [["class", *figures.of_classes], *zip(class_names, *_columns(figures), strict=True)]
    tables = {CLASSES_FILE: rows}
    if figures.confusion is not None:
        counts = zip(class_names, figures.confusion.tolist(), strict=True)
        tables[CONFUSION_FILE] = [["class", *class_names], *([name, *row] for name, row in counts)]
    for name, rows in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(["" if cell != cell else cell for cell in row] for row in rows)
        try:
            with replacing(folder / name) as temporary:
                temporary.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{folder / name} can't be written: {reason(error)}. Free space.") from error
    return [folder / name for name in tables]


def _columns(figures: Figures) -> list[list[float]]:
    return [values.tolist() for values in figures.of_classes.values()]


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
