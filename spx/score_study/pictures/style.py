"""How the pictures look: colours that colour-blind readers tell apart, markers beside them, a paper's sizes."""

from collections.abc import Sequence

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from spx.score_study.tables import Tables

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00"),
    *("#CC79A7", "#56B4E9", "#767676"),
)  # Okabe and Ito (2008)
EDGE_COLOURS = {"graph": BLUE, "expander": ORANGE, "self_loop": GREEN}
EDGE_NAMES = {"graph": "graph edges", "expander": "expander edges", "self_loop": "self-loops"}
GRAPH_NAMES = {"graph": "graph edges only", "augmented": "with expander and self-loops"}
BASELINE_STYLES = {"uniform": (GREY, "--"), "random": (RED, ":"), "shuffled": (PURPLE, "-.")}
BASELINE_NAMES = {"uniform": "uniform scores", "random": "random scores", "shuffled": "own scores, shuffled"}
SAMPLER_STYLES = {"own": (GREY, "s"), "attention": (BLUE, "o"), "top": (ORANGE, "^"), "uniform": (RED, "v")}
SAMPLER_NAMES = {
    "own": "drawn by the wide network's own scores",
    "attention": "drawn by the estimator's scores",
    "top": "the estimator's largest scores",
    "uniform": "drawn uniformly",
}
MARKERS = "osv^DPX*"
SHEET = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.markersize": 4,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "spx",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
PAGE_WIDTH = 7.2  # inches: a paper's two columns


def ordered_colours(number: int) -> list:
    """Colours of ordered things, from dark to light: viridis without its palest end."""
    return [colormaps["viridis"](0.85 * place / max(1, number - 1)) for place in range(number)]


def panels(rows: int, columns: int, height: float = 2.1, **shared: str | bool) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the page's width (of two thirds for a single column) with a grid of axes."""
    width = PAGE_WIDTH if columns > 1 else 0.65 * PAGE_WIDTH
    figure = Figure(figsize=(width, 0.65 + height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def legend_above(figure: Figure, title: str | None = None) -> None:
    """One legend for all panels, above them, each label once, in as many columns as there is room for."""
    found: dict[str, object] = {}
    for each in figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    inches = 0.6 + 0.065 * max(map(len, found))  # of the longest entry
    columns = max(1, min(len(found), int(figure.get_figwidth() / inches)))
    columns = -(-len(found) // -(-len(found) // columns))  # no more than the rows need
    figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns, title=title)


def log2_axis(axis: Axes, values: Sequence[int], label: str) -> None:
    """A horizontal axis on which each doubling is a step, ticked at the values themselves."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(values), [str(value) for value in values])
    axis.minorticks_off()
    axis.set_xlabel(label)


def annotated(axis: Axes, values: list[list[float]], labels: Sequence[str], low: float, high: float, pattern: str):
    """A matrix as colours with its numbers written in; returns the image, for a colour bar."""
    image = axis.imshow(values, cmap="viridis", vmin=low, vmax=high)
    axis.grid(False)
    axis.set_xticks(range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), labels)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value == value:
                dark = value < low + 0.6 * (high - low)
                axis.text(
                    column,
                    row,
                    pattern.format(value),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=7.5,
                )
    return image


def graph_name(graph: str) -> str:
    """What a group of networks is called in a picture."""
    return GRAPH_NAMES.get(graph, graph)


def graphs_of(tables: Tables) -> list[str]:
    return tables["graphs"]["graph"].to_list()


def depth_of(table: pl.DataFrame) -> int:
    return int(table["layer"].max())


def spread(table: pl.DataFrame, by: str, column: str = "value") -> pl.DataFrame:
    """Mean and standard deviation (0 of a single value) by a column, in its order."""
    mean, std = pl.col(column).mean().alias("mean"), pl.col(column).std().fill_null(0).alias("std")
    return table.group_by(by).agg(mean, std).sort(by)


def plain_log_ticks(figure: Figure) -> None:
    """Write the vertical ticks of logarithmic axes as plain numbers."""
    for axis in figure.axes:
        if axis.get_yscale() == "log":
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())
