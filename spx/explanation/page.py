"""The page of an explanation: one HTML file that needs nothing beside it, no network and no script.

Its form is `page.html.jinja`.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import polars as pl

from spx.errors import ConfigError
from spx.explanation import MOST_ON_A_PAGE
from spx.explanation.evidence import evidence
from spx.explanation.picture import Neighbor, Picture, class_colors, make_picture
from spx.explanation.tables import Explanation

SHOWN_FEATURES = 15
ENDINGS = (".html", ".htm")


class Section(NamedTuple):
    """What the page says of one node.

    Args:
        name: of the node.
        prediction: its class, or its most probable label.
        probability: of it.
        num_neighbors: of which the rows are the most attended.
        picture: of them.
        neighbors: rows of `Explanation.neighbors`.
        layers: a row for each of them: `neighbor`, `edge`, and its weight and spread in each layer, None where no draw
            has it.
        inputs: rows of `Explanation.rollout`.
        features: rows of `Explanation.features`.
    """

    name: str
    prediction: str
    probability: float
    num_neighbors: int
    picture: Picture
    neighbors: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    features: list[dict[str, Any]]


def check_page(path: str | Path, num_nodes: int) -> None:
    """Refuse, before any work, a page that can't be made.

    Raises:
        ConfigError: more nodes than one page shows, another ending than .html, or a folder.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ConfigError(f"The page is {path}; its name must end in .html.")
    if os.path.isdir(path):
        raise ConfigError(f"The page {path} is a folder. Give a file's name.")
    if num_nodes > MOST_ON_A_PAGE:
        raise ConfigError(
            f"{num_nodes:,} nodes are more than a page shows, {MOST_ON_A_PAGE}. Give fewer, or a .csv or .parquet."
        )


def page_text(explanation: Explanation) -> str:
    """The page of the nodes that are explained, as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spx.explanation", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": _signed, "number": _number}
    sections = [_section(explanation, node) for node in explanation.predictions["node"]]
    shown = [section.prediction for section in sections]
    shown += [row["neighbor_prediction"] for section in sections for row in section.neighbors]
    return environment.get_template("page.html.jinja").render(
        facts=explanation.facts,
        sections=sections,
        num_layers=_num_layers(explanation),
        num_draws=explanation.num_draws,
        colors=class_colors(shown),
        evidence=evidence(),
        here=removal_by_attention(explanation.neighbors),
        shown_features=SHOWN_FEATURES,
    )


def removal_by_attention(neighbors: pl.DataFrame) -> tuple[float, float] | None:
    """How far removing the most attended neighbour moves a prediction, and another one of the node's: means over the
    nodes that have two neighbours besides themselves, None without any."""
    neighbors = neighbors.filter(pl.col("edge") != "itself").filter(pl.len().over("node") > 1)
    if not neighbors.height:
        return None
    moved = pl.col("moved")
    first = moved.get(pl.col("attention").arg_max())
    nodes = neighbors.group_by("node").agg(first.alias("first"), ((moved.sum() - first) / (pl.len() - 1)).alias("rest"))
    return nodes["first"].mean(), nodes["rest"].mean()


def _section(explanation: Explanation, node: object) -> Section:
    told = explanation.of(node)
    ((name, prediction, probability, num_neighbors),) = told.predictions.rows()
    neighbors = told.neighbors.rows(named=True)
    pictured = [
        Neighbor(str(row["neighbor"]), row["edge"], row["attention"], row["neighbor_prediction"], row["change"])
        for row in neighbors
    ]
    weights = {(row["neighbor"], row["edge"], row["layer"]): row for row in told.attention.iter_rows(named=True)}
    num_layers = _num_layers(explanation)
    layers = [
        {
            "neighbor": row["neighbor"],
            "edge": row["edge"],
            "weights": [weights.get((row["neighbor"], row["edge"], layer)) for layer in range(1, num_layers + 1)],
        }
        for row in sorted(neighbors, key=lambda row: -row["attention"])
    ]
    inputs, features = told.rollout.rows(named=True), told.features.rows(named=True)
    picture = make_picture(pictured)
    return Section(str(name), prediction, probability, num_neighbors, picture, neighbors, layers, inputs, features)


def _num_layers(explanation: Explanation) -> int:
    """Layers in which a node attends to anything."""
    return explanation.attention["layer"].max() or 0


def _number(value: float | None) -> str:
    """Three digits after the point; the sign of what is smaller is told by `_signed`."""
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", "\u2212")
