"""One way to draw all pictures: grids of panels from tidy rows, which say what stands where."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from spx.score_study.pictures.style import BLACK, LINES, PAGE_WIDTH, Look, graph_name, ordered_looks

MOST_TICKS = 8
DOUBLING_MARGIN = 2**0.2


def curves(axis: Axes, points: pl.DataFrame, grid: "Grid") -> None:
    """Each series' means with their standard deviations, all x of the grid as ticks; without x a line right across."""
    places = {name: place for place, name in enumerate(name for name, look in grid.looks.items() if look["marker"])}
    middle = (len(places) - 1) / 2
    for name, look in grid.looks.items():
        part = points.filter(series=name)
        if part["x"].null_count():
            axis.axhline(part["mean"][0], label=name, **look)
        elif not part.is_empty():
            x = part["x"] + grid.shift * (places.get(name, middle) - middle)
            spread = part["std"] if grid.spread and look["marker"] else None
            axis.errorbar(x, part["mean"], spread, label=name, **look)
    if grid.level is not None:
        axis.axhline(grid.level, color=BLACK, lw=0.8)
    ticks = grid.points["x"].drop_nulls().unique().sort().to_list()  # alike in all panels
    if grid.doubling and ticks:
        axis.set_xscale("log", base=2)
        axis.set_xlim(ticks[0] / DOUBLING_MARGIN, ticks[-1] * DOUBLING_MARGIN)
    ticks = ticks[:: 1 + len(ticks) // (MOST_TICKS + 1)]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def stairs(axis: Axes, points: pl.DataFrame, grid: "Grid") -> None:
    """Each series as the outline of a histogram from 0 to 1; x is a bin's lower end."""
    for place, (name, look) in enumerate(grid.looks.items()):
        part, line = points.filter(series=name), LINES[place % len(LINES)]
        axis.stairs(part["mean"], [*part["x"], 1], color=look["color"], lw=1.6, ls=line, label=name)
    axis.set_xlim(0, 1)


def bars(axis: Axes, points: pl.DataFrame, grid: "Grid") -> None:
    """A bar for each x, the series one on the other."""
    for name, look in grid.looks.items():
        part = points.filter(series=name)
        below = [bar.get_y() + bar.get_height() for bar in axis.containers[-1]] if axis.containers else 0
        axis.bar(part["x"], part["mean"], 0.75, below, edgecolor="white", lw=0.4, label=name, **look)
    axis.tick_params("x", rotation=60)
    axis.grid(False, axis="x")


def matrix(axis: Axes, points: pl.DataFrame, grid: "Grid") -> None:
    """Series down, x across, the means as colours with their numbers written in."""
    looks = grid.looks
    found = {(series, x): mean for series, x, mean in points.select("series", "x", "mean").iter_rows()}
    values = [[found.get((down, across), float("nan")) for across in looks] for down in looks]
    lowest, highest = min(0, grid.points["mean"].min()), grid.points["mean"].max()
    axis.imshow(values, cmap="viridis", vmin=lowest, vmax=highest)
    axis.set(xticks=range(len(looks)), xticklabels=looks, yticks=range(len(looks)), yticklabels=looks)
    axis.grid(False)
    for row, column in itertools.product(range(len(looks)), repeat=2):
        if (value := values[row][column]) == value:
            colour = "white" if value - lowest < 0.6 * (highest - lowest) else BLACK
            axis.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=7.5)


@dataclass
class Grid:
    """Panels of one kind.

    Args:
        parts: rows to draw, each with the label of its curve (a word, or a column of them; one with a leading "_" isn't
            in the legend), x, y, and the curve's look (for a column of labels: looks by label). Those of one panel,
            label and x are averaged: over seeds, or over pairs of networks. x None: a line right across. Rows without
            a finite y are left out. Curves without a look are ordered, and look so.
        x, y: labels of the axes, with units.
        rows: column with a panel down for each of its values, "graph" or none.
        columns: the same across, "graph" or "layer".
        marks: what fills a panel.
        line: between the points of ordered series.
        spread: whether curves with markers show standard deviations.
        shift: from one series' points to the next one's, where they would hide each other.
        doubling: whether each doubling of x is a step.
        log: whether y is logarithmic.
        ylim: limits of y.
        level: a thin line at this y.
    """

    parts: Sequence[tuple]
    x: str
    y: str
    rows: str | None = None
    columns: str = "graph"
    marks: Callable[[Axes, pl.DataFrame, "Grid"], None] = curves
    line: str = "-"
    spread: bool = True
    shift: float = 0
    doubling: bool = False
    log: bool = False
    ylim: tuple[float | None, float | None] | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        """Mean and standard deviation (0 of a single value) of y by row, column, series and x."""
        row = pl.lit("") if self.rows is None else pl.col(self.rows)
        self.looks: dict[str, Look] = {}
        drawn = []
        for table, series, x, y, *looks in self.parts:
            if isinstance(series, str):
                series, looks = pl.lit(series), [{series: each} for each in looks]
            self.looks |= looks[0] if looks else {}
            drawn.append(table.select(column=self.columns, row=row, series=series, x=x, y=y))
        rows = pl.concat(drawn, how="vertical_relaxed").filter(pl.col("y").is_finite())
        rows = rows.filter(pl.col("y") > 0) if self.log else rows
        mean, std = pl.col("y").mean().alias("mean"), pl.col("y").std().fill_null(0).alias("std")
        self.points = rows.group_by("row", "column", "series", "x", maintain_order=True).agg(mean, std)
        ordered = [name for name in self.points["series"].unique(maintain_order=True) if name not in self.looks]
        self.looks = {**ordered_looks(ordered, self.line), **self.looks}

    def values(self, of: str) -> list[Any]:
        """Rows or columns: layers by number, graphs as they come in the tables."""
        found = self.points[of].unique(maintain_order=True)
        return (found.sort() if found.dtype.is_integer() else found).to_list()

    def draw(self, axes: Sequence[Sequence[Axes]]) -> None:
        """Fill the axes, a list for each row."""
        for row, line in zip(self.values("row"), axes, strict=True):
            for column, axis in zip(self.values("column"), line, strict=True):
                self.marks(axis, self.points.filter(row=row, column=column), self)
                axis.set_title(f"layer {column}" if self.columns == "layer" else graph_name(column))
                if self.log:
                    axis.set_yscale("log")
                    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                    axis.yaxis.set_minor_formatter(NullFormatter())
            line[0].set_ylabel(f"{graph_name(row)}\n{self.y}".strip())
            if self.ylim:
                line[0].set_ylim(*self.ylim)  # the row shares it
        for axis in axes[-1]:
            axis.set_xlabel(self.x)


def draw_grids(grids: Sequence[Grid], height: float, legend: str | None) -> Figure | None:
    """A figure of the page's width (of two thirds for a single column), grids one below the other; None without points.

    Args:
        grids: with the same columns.
        height: of a row of panels, in inches.
        legend: its title, of a matrix that of its colours.
    """
    if any(grid.points.is_empty() for grid in grids):
        return None
    ends = [0, *itertools.accumulate(len(grid.values("row")) for grid in grids)]
    columns = len(grids[0].values("column"))
    width = PAGE_WIDTH if columns > 1 else 0.65 * PAGE_WIDTH
    figure = Figure(figsize=(width, 0.65 + height * ends[-1]), layout="constrained")
    share_x = "col" if len(grids) == 1 else "none"
    axes = figure.subplots(ends[-1], columns, squeeze=False, sharex=share_x, sharey="row")
    for grid, (first, last) in zip(grids, itertools.pairwise(ends), strict=True):
        grid.draw(axes[first:last])
        if len(grids) > 1:
            axes[first, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    if images := [image for axis in axes.flat for image in axis.images]:
        figure.colorbar(images[-1], ax=axes, label=legend, shrink=0.85)
    elif len(grids) == 1:
        _legend_above(figure, legend)
    return figure


def _legend_above(figure: Figure, title: str | None) -> None:
    """One legend for all panels, above them, each label once, in as many columns as there is room for."""
    found: dict[str, object] = {}
    for each in figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    inches = 0.6 + 0.065 * max(map(len, found))  # of the longest entry
    columns = max(1, min(len(found), int(figure.get_figwidth() / inches)))
    columns = -(-len(found) // -(-len(found) // columns))  # no more than the rows need
    figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns, title=title)
