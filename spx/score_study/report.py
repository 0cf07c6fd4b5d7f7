"""The report: one HTML page that needs nothing beside it and no network; its form is `report.html.jinja`."""

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from spx.experiments.runs import write_text
from spx.score_study.claims import FAILS, HOLDS, OPEN, PARTLY, Claim, number
from spx.score_study.pictures import PICTURES
from spx.score_study.pictures.style import graph_name
from spx.score_study.tables import Tables

REPORT_FILE = "report.html"
FIGURES = "figures"
VERDICT_CLASSES = {HOLDS: "holds", PARTLY: "partly", FAILS: "fails", OPEN: "open"}


def write_report(
    path: Path, title: str, facts: Mapping[str, str], tables: Tables, claims: list[Claim], pictures: list[str]
) -> Path:
    """Write the page.

    Args:
        path: of the page.
        title: its heading.
        facts: what was run, as name and value.
        tables: of all measures.
        claims: with their numbers, each of which stands in the page as `<data value=...>`.
        pictures: their names in `PICTURES`; the SVG files in `figures/` beside the page become images within it.

    Raises:
        ConfigError: the folder can't be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spx.score_study", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"cell": _cell, "number": number, "graph_name": graph_name, "repr": repr}
    images = {name: base64.b64encode((path.parent / FIGURES / f"{name}.svg").read_bytes()) for name in pictures}
    page = environment.get_template("report.html.jinja").render(
        title=title,
        facts=facts,
        claims=claims,
        classes=VERDICT_CLASSES,
        pictures={name: PICTURES[name] for name in pictures},
        images={name: image.decode() for name, image in images.items()},
        figures=FIGURES,
        tables=tables,
        networks=_networks(tables["runs"]),
    )
    write_text(path, page)
    return path


def _networks(runs: pl.DataFrame) -> pl.DataFrame:
    """A row for each graph and width."""
    return (
        runs.group_by("graph", "width", "metric", maintain_order=True)
        .agg(
            pl.len().alias("networks"),
            pl.col("failed").sum(),
            pl.col("val_metric").mean().alias("validation, mean"),
            pl.col("val_metric").std().alias("std"),
            pl.col("chance").first(),
            pl.col("epoch").mean().alias("epoch of the scores, mean"),
            pl.col("temperature").mean().alias("temperature, mean"),
        )
        .sort("graph", "width")
    )


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:,}" if isinstance(value, int) else number(value) if isinstance(value, float) else value
