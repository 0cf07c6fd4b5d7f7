"""The report: one HTML page that needs nothing beside it and no network."""

import base64
import html
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from spx.experiments.runs import write_text
from spx.score_study.claims import FAILS, HOLDS, OPEN, PARTLY, Claim, number
from spx.score_study.pictures import PICTURES
from spx.score_study.pictures.style import graph_name
from spx.score_study.tables import Tables

REPORT_FILE = "report.html"
FIGURES = "figures"
VERDICT_CLASSES = {HOLDS: "holds", PARTLY: "partly", FAILS: "fails", OPEN: "open"}
SECTIONS = {
    "width": "Do narrow networks estimate wide networks' attention?",
    "layers": "Are the layers alike?",
    "topk": "Would the k largest scores do?",
    "types": "Along which edges, and to whom?",
    "choice": "How well does the estimator choose?",
    "error": "What does sampling cost a layer?",
    "": "Scores and the graph's structure",
}
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
p.note, figcaption, .rule { color: #555; font-size: .88rem; }
.claim { border-left: 6px solid #767676; background: #f6f6f6; padding: .7rem 1rem; margin: .8rem 0; }
.claim.holds { border-color: #009E73; } .claim.partly { border-color: #E69F00; } .claim.fails { border-color: #D55E00; }
.claim p { margin: .3rem 0; } .verdict { font-weight: 700; }
figure { margin: 1.4rem 0 2rem; } figure img { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; font-size: .88rem; margin: .8rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: .88em; }
details { margin: .3rem 0; } summary { cursor: pointer; color: #0a4d7a; font-size: .88rem; }
"""


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
    body = [f"<h1>{html.escape(title)}</h1>", _facts(facts), "<h2>What the data shows</h2>", _verdicts(claims)]
    for key, heading in SECTIONS.items():
        of_section = [claim for claim in claims if claim.key == key]
        drawn = [name for name in pictures if PICTURES[name].claim == key]
        if of_section or drawn:
            body.append(f'<h2 id="{key or "structure"}">{html.escape(heading)}</h2>')
            body += [_claim(claim) for claim in of_section]
            body += [_figure(name, path.parent / FIGURES / f"{name}.svg") for name in drawn]
    body += ["<h2>Graphs and networks</h2>", _table(tables["graphs"]), _networks(tables["runs"])]
    body.append(_tables_note(tables))
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    write_text(path, page)
    return path


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _verdicts(claims: list[Claim]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{claim.key}">{html.escape(claim.title)}</a></td>'
        f"<td>{html.escape(graph_name(claim.graph))}</td>"
        f'<td class="verdict">{claim.verdict}</td></tr>'
        for claim in claims
    )
    return f"<table><tr><th>claim</th><th>attention graph</th><th>here</th></tr>{rows}</table>"


def _claim(claim: Claim) -> str:
    numbers = "".join(
        f"<tr><td>{html.escape(name)}</td><td class='n'>{_data(claim, name, value)}</td></tr>"
        for name, value in claim.numbers.items()
    )
    detail = f"<details><summary>numbers</summary><table>{numbers}</table></details>" if numbers else ""
    return (
        f'<div class="claim {VERDICT_CLASSES[claim.verdict]}"><h3>{html.escape(claim.title)}</h3>'
        f"<p>{html.escape(graph_name(claim.graph)).capitalize()}: "
        f'<span class="verdict">{claim.verdict}</span>. {html.escape(claim.text)}</p>'
        f'<p class="rule">Rule: {html.escape(claim.rule)}.</p>{detail}</div>'
    )


def _data(claim: Claim, name: str, value: float) -> str:
    quantity = html.escape(name, quote=True)
    return (
        f'<data value="{value!r}" data-claim="{claim.key}" data-graph="{html.escape(claim.graph)}" '
        f'data-quantity="{quantity}">{number(value)}</data>'
    )


def _figure(name: str, file: Path) -> str:
    picture, source = PICTURES[name], base64.b64encode(file.read_bytes()).decode()
    return (
        f'<figure id="figure-{name}"><h3>{html.escape(picture.title)}</h3>'
        f'<img alt="{html.escape(picture.title, quote=True)}" src="data:image/svg+xml;base64,{source}">'
        f"<figcaption>{html.escape(picture.caption)} Files: <code>{FIGURES}/{name}.pdf</code>, .png, .svg.</figcaption>"
        "</figure>"
    )


def _networks(runs: pl.DataFrame) -> str:
    means = (
        runs.group_by("graph", "width", "metric", maintain_order=True)
        .agg(
            pl.len().alias("networks"),
            pl.col("val_metric").mean().alias("validation, mean"),
            pl.col("val_metric").std().alias("std"),
            pl.col("epoch").mean().alias("epoch of the scores, mean"),
            pl.col("temperature").mean().alias("temperature, mean"),
        )
        .sort("graph", "width")
    )
    return _table(means)


def _table(table: pl.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in table.columns)
    return f"<table><tr>{head}</tr>{''.join(_rows(table))}</table>"


def _rows(table: pl.DataFrame) -> Iterator[str]:
    for row in table.iter_rows():
        cells = "".join(f'<td class="{"" if isinstance(cell, str) else "n"}">{_cell(cell)}</td>' for cell in row)
        yield f"<tr>{cells}</tr>"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:,}" if isinstance(value, int) else number(value) if isinstance(value, float) else html.escape(value)


def _tables_note(tables: Tables) -> str:
    names = ", ".join(f"<code>{name}</code> ({table.height:,} rows)" for name, table in tables.items())
    return f'<p class="note">Every number lies in <code>tables/</code> as CSV and Parquet: {names}.</p>'
