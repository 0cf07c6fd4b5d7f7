"""Draws the pictures of docs/performance.md from benchmarks/results, rewrites the tables in docs: `make pictures`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

from benchmarks.common import RESULTS, columns_of, shown

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


def attention(rows: list[dict], figure) -> None:
    shapes = list(dict.fromkeys((row["layout"], row["heads x width"]) for row in rows))
    left, right = figure.subplots(1, 2, sharey=True)
    for number, (name, colour) in enumerate(
        {"plain": GREY, "tensor operations in ranges": ORANGE, "kernel": BLUE}.items()
    ):
        of_name = [row for row in rows if row["implementation"] == name]
        places = [place + 0.27 * (number - 1) for place in range(len(shapes))]
        left.barh(places, [row["ns/edge"] for row in of_name], 0.25, color=colour, label=name)
        right.barh(places, [row["peak MB"] for row in of_name], 0.25, color=colour)
    left.set_yticks(range(len(shapes)), [f"{layout}\n{shape}" for layout, shape in shapes])
    left.invert_yaxis()
    left.set_xscale("log")
    right.set_xscale("log")
    left.set_xlabel("ns an edge, forward and backward")
    right.set_xlabel("peak memory, MB")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def estimator(rows: list[dict], figure) -> None:
    row = rows[-1]
    names = ["build s", "epoch s", "hand-over s", "load scores s", "first draw s"]
    left, right = figure.subplots(1, 2)
    bars(left, [name.removesuffix(" s") for name in names], [row[name] for name in names], "seconds")
    names = ["dataset GB", "build peak GB", "fit peak GB", "stage 2 peak GB"]
    bars(right, [name.removesuffix(" GB") for name in names], [row[name] for name in names], "GB", ORANGE)


def training(rows: list[dict], figure) -> None:
    graphs = list(dict.fromkeys(row["graph"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    left, right = figure.subplots(1, 2, sharey=True)
    height = 0.85 / len(models)
    for number, model in enumerate(models):
        found = {row["graph"]: row for row in rows if row["model"] == model}
        places = [place + height * (number - (len(models) - 1) / 2) for place in range(len(graphs))]
        for axis, column in ((left, "seconds"), (right, "MB")):
            values = [found[graph].get(column, 0) for graph in graphs]
            axis.barh(places, values, height, color=COLOURS[model], label=model if axis is left else None)
    left.set_yticks(range(len(graphs)), graphs)
    left.invert_yaxis()
    left.set_xscale("log")
    right.set_xscale("log")
    left.set_xlabel("seconds an epoch")
    right.set_xlabel("peak memory, MB")
    figure.legend(loc="outside upper center", ncols=6, frameon=False, fontsize=8)


def growth(rows: list[dict], figure) -> None:
    swept = ["num_nodes", "k", "layers", "core"]
    titles = ["nodes", "sampled degree K", "layers L", "core nodes of a batch"]
    axes = figure.subplots(2, 5)
    for column, (name, title) in enumerate(zip(swept, titles, strict=True)):
        found = [row for row in rows if row["swept"] == name and "error" not in row]
        for axis, what, colour in ((axes[0, column], "seconds", BLUE), (axes[1, column], "MB", ORANGE)):
            axis.plot([row[name] for row in found], [row[what] for row in found], "o-", color=colour)
            if name in ("num_nodes", "core"):
                axis.loglog()
            else:
                axis.set_ylim(bottom=0)
        axes[1, column].set_xlabel(title)
    axes[0, 0].set_ylabel("seconds an epoch")
    axes[1, 0].set_ylabel("peak memory, MB")
    found = [row for row in rows if row["swept"] == "core nodes and test metric" and "error" not in row]
    core = [row["core"] for row in found]
    axes[0, 4].plot(core, [row["MB"] for row in found], "o-", color=ORANGE)
    axes[0, 4].set_title("Minesweeper field: MB", fontsize=8)
    axes[1, 4].plot(core, [100 * row["test"] for row in found], "s-", color=GREEN)
    axes[1, 4].set_title("test ROC-AUC, %", fontsize=8)
    axes[1, 4].set_ylim(80, 100)
    axes[1, 4].set_xlabel("core nodes of a batch")


def batches(rows: list[dict], figure) -> None:
    axis = figure.subplots()
    labels = [f"{row['core nodes']:,} core nodes, width {row['width']}" for row in rows]
    axis.barh(labels, [row["step s"] for row in rows], color=BLUE, label="training step")
    axis.barh(labels, [row["batch with features s"] for row in rows], color=ORANGE, label="building the batch")
    axis.set_xlabel("seconds")
    axis.legend(frameon=False)
    axis.invert_yaxis()


DRAWN: dict[str, tuple[Callable, tuple[float, float]]] = {
    "sampling": (sampling, (7, 3)),
    "attention": (attention, (8, 4.5)),
    "estimator": (estimator, (8, 2.6)),
    "training": (training, (8, 5)),
    "growth": (growth, (12, 5)),
    "batches": (batches, (7, 2.6)),
}


def table(content: dict) -> str:
    """The headline, the rows and what they were measured with, as Markdown."""
    columns = columns_of(content["rows"])
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(shown(row.get(column, '')) for column in columns)} |" for row in content["rows"]]
    headline = [f"- `{key}`: {shown(value)}" for key, value in content["headline"].items()]
    packages = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    made = f"`{content['command']}`; {content['cpu']}; GPU: {content['gpu']}; {packages}."
    return "\n".join([*headline, "", *lines, "", made])


def rewrite(page: str, name: str, text: str) -> str:
    """Put a text between the markers of this name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    return re.sub(f"{begin}.*?{end}", lambda match: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "spx"}
    tables = {path.stem: table(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))}
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
