"""Draws the pictures of docs/performance.md from benchmarks/results, rewrites the tables in docs: `make pictures`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks import choice as stage_one
from benchmarks.common import NOT_MEASURED, RESULTS, columns_of, shown

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "performance.md", DOCS / "results.md")
PICTURES = DOCS / "performance"
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#777777"
COLOURS = {"spexphormer": BLUE, "plain": GREY, "gcn": ORANGE, "gcn-sparse": RED, "gat": PURPLE, "exphormer": GREEN}


def bars(axis, labels: list[str], values: list[float], text: str, colour: str = BLUE) -> None:
    axis.barh(range(len(labels)), values, color=colour)
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.set_xlabel(text)
    axis.set_xlim(0, 1.18 * max(values))
    for place, value in enumerate(values):
        axis.text(value, place, f" {value:,.3g}" if value < 1000 else f" {value:,.0f}", va="center", fontsize=8)


def sampling(rows: list[dict], figure) -> None:
    rows = [row for row in rows if row["k"] == 10]
    small = rows[0]["nodes"]
    labels = [
        row["implementation"] + ("" if row["nodes"] == small else f"\n{row['edges'] / 1e6:.0f}M edges") for row in rows
    ]
    bars(figure.subplots(), labels, [row["M edges/s"] for row in rows], "million attention edges a second, K = 10")


def dots(axes, rows: list[dict], of: str, model: str, columns: dict[str, str], looks: dict[str, str], figure) -> None:
    """Figures as points on logarithmic axes, a line for each value of `of`; bars would need a zero."""
    places = list(dict.fromkeys(row[of] for row in rows))
    for axis, (column, text) in zip(axes, columns.items(), strict=True):
        for place in range(len(places)):
            axis.axhline(place, color="#dddddd", lw=0.8, zorder=0)
        for (name, colour), marker in zip(looks.items(), "osD^vP", strict=False):
            found = [(row[column], places.index(row[of])) for row in rows if row[model] == name and column in row]
            axis.plot(*zip(*found, strict=True), marker, color=colour, label=name if axis is axes[0] else None)
        axis.set_xscale("log")
        axis.set_xlabel(text)
    axes[0].set_yticks(range(len(places)), places)
    axes[0].invert_yaxis()
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def attention(rows: list[dict], figure) -> None:
    rows = [row | {"shape": f"{row['layout']}, {row['heads x width']}"} for row in rows]
    columns = {"ns/edge": "ns an edge, forward and backward", "peak MB": "peak memory, MB"}
    looks = {"plain": GREY, "tensor operations in ranges": ORANGE, "kernel": BLUE}
    dots(figure.subplots(1, 2, sharey=True), rows, "shape", "implementation", columns, looks, figure)


def estimator(rows: list[dict], figure) -> None:
    row = rows[-1]
    names = ["build s", "epoch s", "hand-over s", "load scores s", "first draw s"]
    left, right = figure.subplots(1, 2)
    bars(left, [name.removesuffix(" s") for name in names], [row[name] for name in names], "seconds")
    names = ["dataset GB", "build peak GB", "fit peak GB", "stage 2 peak GB"]
    bars(right, [name.removesuffix(" GB") for name in names], [row[name] for name in names], "GB", ORANGE)


def training(rows: list[dict], figure) -> None:
    columns = {"seconds": "seconds an epoch", "MB": "peak memory, MB"}
    dots(figure.subplots(1, 2, sharey=True), rows, "graph", "model", columns, COLOURS, figure)


def growth(rows: list[dict], figure) -> None:
    swept = {"num_nodes": "nodes", "k": "sampled neighbours K", "layers": "layers", "core": "core nodes of a batch"}
    axes = figure.subplots(len(swept) + 1, 2)
    for (seconds, memory), (name, title) in zip(axes, swept.items(), strict=False):
        found = [row for row in rows if row["swept"] == name and "error" not in row]
        curve(seconds, found, name, "seconds", title, "seconds an epoch", BLUE)
        curve(memory, found, name, "MB", title, "peak memory, MB", ORANGE)
    found = [row | {"test": 100 * row["test"]} for row in rows if row["swept"] == "core nodes and test metric"]
    title = "core nodes of a batch, Minesweeper field"
    curve(axes[-1, 0], found, "core", "test", title, "test ROC-AUC, %", GREEN)
    axes[-1, 0].set(yscale="linear", ylim=(80, 100))
    curve(axes[-1, 1], found, "core", "MB", title, "peak memory, MB", ORANGE)


def curve(axis, rows: list[dict], x: str, y: str, title: str, text: str, colour: str) -> None:
    """One column against another, both logarithmic: a power law is a straight line."""
    axis.loglog([row[x] for row in rows], [row[y] for row in rows], "o-", color=colour)
    axis.set(xlabel=title, ylabel=text)
    axis.set_xticks([row[x] for row in rows], [short(row[x]) for row in rows])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def short(number: int) -> str:
    """2M, 30k or 1,500."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number / 1_000:g}k" if number >= 10_000 else f"{number:,}"


def batches(rows: list[dict], figure) -> None:
    axis = figure.subplots()
    labels = [f"{row['core nodes']:,} core nodes, width {row['width']}" for row in rows]
    axis.barh(labels, [row["step s"] for row in rows], color=BLUE, label="training step")
    axis.barh(labels, [row["batch with features s"] for row in rows], color=ORANGE, label="building the batch")
    axis.set_xlabel("seconds")
    axis.legend(frameon=False)
    axis.invert_yaxis()


def choice(rows: list[dict], figure) -> None:
    """A panel for each set: the test metric against k, a line for each run, for k may have other runs each; and the
    means of the other networks."""
    found = stage_one.complete(rows)
    sets = list(dict.fromkeys(name for name, _ in found))
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    colours = (BLUE, PURPLE, GREY, GREEN, RED, "#000000")
    looks = dict(zip(stage_one.OVERLAYS, zip(colours, "osDv^P", strict=True), strict=True))
    for axis, name in zip(axes, sets, strict=True):
        ks = [k for of_set, k in found if of_set == name]
        for sampler in stage_one.measured(rows):
            colour, marker = looks[sampler]
            lines: dict[tuple[int, int], list[tuple[int, float]]] = {}
            for k in ks:
                for run in [run[sampler] for run in found[name, k] if sampler in run]:
                    lines.setdefault((run["split"], run["seed"]), []).append((k, run["test %"]))
            for line in lines.values():
                axis.plot(*zip(*line, strict=True), f"{marker}-", color=colour, ms=4, lw=1, alpha=0.8)
            if axis is axes[0]:
                axis.plot([], [], f"{marker}-", color=colour, ms=4, lw=1, label=sampler)
        for network, line in zip(stage_one.REFERENCES, (":", "--"), strict=True):
            values = [row["test %"] for row in rows if (row["set"], row["sampler"]) == (name, network)]
            if values:
                axis.axhline(fmean(values), color=ORANGE, ls=line, lw=1, label=network if axis is axes[0] else None)
        axis.set(xscale="log", title=name, xlabel="k of each layer")
        axis.set_xticks(ks, ks)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("test metric, %")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)


DRAWN: dict[str, tuple[Callable, tuple[float, float]]] = {
    "sampling": (sampling, (7, 3)),
    "attention": (attention, (8, 4)),
    "estimator": (estimator, (8, 2.6)),
    "training": (training, (8, 3.6)),
    "growth": (growth, (7, 10)),
    "batches": (batches, (7, 2.6)),
    "choice": (choice, (10, 3.2)),
}
TOGETHER = {"choice": stage_one.compared}
"""What makes the rows of a page of those of a result file, where these are too many."""


def table(content: dict) -> str:
    """The headline, the rows and what they were measured with, as Markdown."""
    packages = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    made = f"`{content['command']}`; {content['cpu']}; GPU: {content['gpu']}; {packages}."
    if all(NOT_MEASURED in row.values() for row in content["rows"]):
        return f"Not measured: no device could be had. To measure: `{content['command']}`."
    columns = columns_of(content["rows"])
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(shown(row.get(column, '')) for column in columns)} |" for row in content["rows"]]
    headline = [f"- `{key}`: {shown(value)}" for key, value in content["headline"].items()]
    return "\n".join([*headline, "", *lines, "", made])


def rewrite(page: str, name: str, text: str) -> str:
    """Put a text between the markers of this name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    return re.sub(f"{begin}.*?{end}", lambda match: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "spx"}
    tables = {}
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text())
        content["rows"] = TOGETHER.get(path.stem, list)(content["rows"])
        tables[path.stem] = table(content)
    for page in PAGES:
        text = page.read_text()
        for name, made in tables.items():
            text = rewrite(text, name, made)
        page.write_text(text)
    for name, (draw, size) in DRAWN.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            print(f"{path} is missing: make bench-{name}")
            continue
        figure = plt.figure(figsize=size, layout="constrained")
        draw(json.loads(path.read_text())["rows"], figure)
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
        print(f"Drawn: {PICTURES / name}.svg")


if __name__ == "__main__":
    main()
