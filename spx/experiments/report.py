"""What a study prints at its end, and the wording of figures that it shares with `docs/results.md`."""

import shlex
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
    """Print the study's tables, where its files lie, and what to try next. Paths and commands can be pasted."""
    console.print()
    console.print(_title(summary), soft_wrap=True, highlight=False, markup=False)
    console.print(_figures(summary))
    console.print(_stages(summary))
    last, make = runs[-1].wide, Path("Makefile").is_file()
    places = {
        "Run": shlex.quote(str(last["folder"])),
        "Checkpoint": shlex.quote(str(last["checkpoint"])),
        "TensorBoard": f"tensorboard --logdir {shlex.quote(str(summary_path.parent))}",
        "Summary": shlex.quote(str(summary_path)),
        **({"Predictions": shlex.quote(str(summary["predictions"]))} if "predictions" in summary else {}),
        "Next": next_command(summary, make),
    }
    for name, place in places.items():
        console.print(f"{name + ':':<13}{place}", soft_wrap=True, highlight=False, markup=False)


def next_command(summary: dict[str, Any], make: bool) -> str:
    """What to try after this study: a target of the project's Makefile, where there is one, or the command itself."""
    if summary["dataset"] == "minesweeper-sim" and summary["config"] == WIDE and len(summary["test"]) == 1:
        return "make actor" if make else "spx study actor"
    config = [] if summary["config"] == WIDE else [f"CONFIG={summary['config']}"]
    overlay = [f"OVERLAY={summary['overlay']}"] if summary["overlay"] else []
    protocol = [] if summary["protocol"] == "public" else [f"PROTOCOL={summary['protocol']}"]
    if len(summary["test"]) == 1:
        changes = ['SEEDS="0 1 2"', *protocol, *config, *overlay]
    else:  # a baseline beside it, or what it is to be compared with
        repeated = [f'{name.upper()}="{" ".join(map(str, summary[name]))}"' for name in ("seeds", "splits")]
        changes = [part for part in repeated if " " in part] + protocol
        changes += [] if config or overlay else ["CONFIG=exphormer"]
    if make:
        return " ".join([summary.get("target") or f"make {summary['dataset']}", *changes])
    options = [change.replace('"', "").split("=") for change in changes]
    words = [word for name, values in options for word in (f"--{name.lower()}", values)]
    return " ".join(["spx study", shlex.quote(summary.get("source", summary["dataset"])), *words])


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
    on_gpu = any(figures["peak_cuda_mb"] is not None for figures in summary["stages"].values())
    table = Table("stage", "seconds", "s / epoch", "peak RSS, MB", *(["peak CUDA, MB"] if on_gpu else []))
    for column in table.columns[1:]:
        column.justify = "right"
    names = {ESTIMATOR: ESTIMATOR, WIDE: summary["config"]}
    for stage, (kind, figures) in enumerate(summary["stages"].items(), start=1):
        table.add_row(
            f"{stage} {names[kind]}" if ESTIMATOR in summary["stages"] else names[kind],
            number(figures["seconds"], 1),
            number(figures["seconds_per_epoch"], 2),
            number(figures["peak_rss_mb"]),
            *([number(figures["peak_cuda_mb"])] if on_gpu else []),
        )
    return table
