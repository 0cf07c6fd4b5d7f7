"""What a study prints at its end, and the wording of figures that it shares with `docs/results.md`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spx.experiments.plan import ESTIMATOR, WIDE
from spx.experiments.published import METHODS, published_figure
from spx.experiments.summary import FinishedRun

DASH = "-"


def test_text(summary: dict[str, Any]) -> str:
    """Mean and standard deviation of the test metric in percent; of a single run its value alone."""
    if len(summary["test"]) == 1:
        return f"{summary['test_mean']:.2f}"
    return f"{summary['test_mean']:.2f} +- {summary['test_std']:.2f}"


def published_text(summary: dict[str, Any]) -> str:
    """The published figure with its standard deviation where known, or a dash."""
    if summary["published"] is None:
        return DASH
    figure = published_figure(summary["dataset"], summary["config"], summary["protocol"], summary["splits"])
    return str(figure) if figure is not None else number(summary["published"], 2)


def number(value: float | None, digits: int = 0) -> str:
    """The number with thousands set apart, or a dash."""
    return DASH if value is None else f"{value:,.{digits}f}"


def share_text(summary: dict[str, Any]) -> str:
    """Attention edges of a layer in percent of the augmented graph's, or a dash."""
    share = summary["attention_edge_share"]
    return DASH if share is None else f"{100 * share:.1f}%"


def print_report(summary: dict[str, Any], runs: list[FinishedRun], summary_path: Path, console: Console) -> None:
    """Print the study's tables, where its files lie, and what to try next."""
    console.print()
    console.print(_title(summary), soft_wrap=True, highlight=False, markup=False)
    console.print(_figures(summary))
    console.print(_stages(summary))
    last = runs[-1].wide
    places = {
        "Run": last["folder"],
        "Checkpoint": last["checkpoint"],
        "TensorBoard": f"tensorboard --logdir {summary_path.parent}   (or: make tensorboard)",
        "Summary": summary_path,
        **({"Predictions": summary["predictions"]} if "predictions" in summary else {}),
        "Next": next_command(summary),
    }
    for name, place in places.items():
        console.print(f"{name + ':':<13}{place}", soft_wrap=True, highlight=False, markup=False)


def next_command(summary: dict[str, Any]) -> str:
    """What to try after this study."""
    if summary["dataset"] == "minesweeper-sim" and summary["config"] == WIDE:
        return 'make actor, or on this set again: make minesweeper-sim SEEDS="0 1 2"'
    target = summary.get("target") or f"make {summary['dataset']}"
    if summary["config"] != WIDE or summary["overlay"]:
        return "make results"
    if len(summary["test"]) == 1:
        return f'{target} SEEDS="0 1 2"'
    return f"{target} CONFIG=exphormer"


def _title(summary: dict[str, Any]) -> str:
    what = summary["config"] + (f" with overlay {summary['overlay']}" if summary["overlay"] else "")
    splits, seeds = (" ".join(map(str, summary[name])) for name in ("splits", "seeds"))
    return f"{summary['dataset']}, {what}: protocol {summary['protocol']}, splits {splits}, seeds {seeds}"


def _figures(summary: dict[str, Any]) -> Table:
    method = METHODS.get(summary["config"])
    table = Table(show_header=False)
    runs = len(summary["test"])
    for row in (
        (f"test {summary['metric']} (%)", f"{test_text(summary)}  ({runs} {'run' if runs == 1 else 'runs'})"),
        (f"published{f', {method}' if method else ''} (%)", published_text(summary)),
        (f"validation {summary['metric']} (%)", number(summary["val_mean"], 2)),
        ("attention edges of a layer", number(summary["attention_edges"])),
        ("share of the augmented graph's", share_text(summary)),
    ):
        table.add_row(*row)
    return table


def _stages(summary: dict[str, Any]) -> Table:
    table = Table("stage", "seconds", "s / epoch", "peak RSS, MB", "peak CUDA, MB")
    for column in table.columns[1:]:
        column.justify = "right"
    names = {ESTIMATOR: ESTIMATOR, WIDE: summary["config"]}
    for stage, (kind, figures) in enumerate(summary["stages"].items(), start=1):
        table.add_row(
            f"{stage} {names[kind]}",
            number(figures["seconds"], 1),
            number(figures["seconds_per_epoch"], 2),
            number(figures["peak_rss_mb"]),
            number(figures["peak_cuda_mb"]),
        )
    return table
