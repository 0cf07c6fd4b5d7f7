"""What the papers claim of attention scores, and what the tables say of it: a verdict, a sentence, and its numbers.

The rules of the verdicts are chosen here and written into each claim's `rule`: the papers give none. Title, rule and
sentence stand in `claims.yaml`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import yaml

from spx.score_study.choice_tables import PREDICTED_SLOPE, SAMPLERS
from spx.score_study.tables import ALL, BASELINES, COVERED, TYPE_NAMES, Tables

HOLDS, PARTLY, FAILS, OPEN = "holds", "holds in part", "does not hold", "undecided"
WELL_UNDER = 0.5  # of a baseline
SELDOM = 0.25  # of the nodes
CLAIM_K = 4
LARGE = 2 * CLAIM_K  # degree
HOMOPHILIC = 0.25  # adjusted homophily
HALF, LEAST_GAIN = 0.5, 0.01
SLOPE_MARGIN = 0.1
WIDEST = pl.col("width") == pl.col("width").max()


@dataclass(frozen=True)
class Claim:
    """One claim on one graph.

    Args:
        key: of the claim: "width", "layers", "topk", "types", "choice" or "error".
        graph: that it was looked at on.
        title: the claim in a few words.
        rule: when it holds.
        verdict: HOLDS, PARTLY, FAILS or OPEN.
        text: what the data shows.
        numbers: of the text, by quantity.
    """

    key: str
    graph: str
    title: str
    rule: str
    verdict: str
    text: str
    numbers: dict[str, float] = field(default_factory=dict)


Finding = tuple[str, dict[str, float], dict[str, Any]]
"""Verdict, numbers, and what the words of the claim name."""


def judge(tables: Tables) -> list[Claim]:
    """All claims that the tables can speak to, on each graph."""
    claims: list[Claim] = []
    for graph, expander, loops in tables["graphs"].select("graph", "edges_expander", "edges_self_loop").iter_rows():
        part = {name: table.filter(graph=graph) for name, table in tables.items() if "graph" in table.columns}
        of_graph = (_width, _layers, _topk, _types) if expander + loops else (_width, _layers, _topk)
        claims += [_in_words(find, graph, part) for find in of_graph]
    if "mass_kept" in tables:
        claims += [_in_words(find, "augmented", tables) for find in (_choice, _error)]
    return claims


def claims_table(claims: list[Claim]) -> pl.DataFrame:
    """One row a number; claims without numbers have one row with none."""
    rows = [
        {"claim": claim.key, "graph": claim.graph, "verdict": claim.verdict, "quantity": name, "value": value}
        for claim in claims
        for name, value in (claim.numbers or {"": None}).items()
    ]
    return pl.DataFrame(rows, schema_overrides={"value": pl.Float64}, infer_schema_length=None)


def _in_words(find: Callable[[Tables], Finding], graph: str, tables: Tables) -> Claim:
    key, (verdict, numbers, words) = find.__name__.removeprefix("_"), find(tables)
    title, rule, text = (_template(key, part).render(words) for part in ("title", "rule", "text"))
    return Claim(key, graph, title, rule, verdict, text, numbers)


@functools.cache
def _template(key: str, part: str) -> jinja2.Template:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # plain text: the page escapes it
    environment.filters |= {"number": number, "percent": percent}
    environment.globals |= {"COVERED": COVERED, "CLAIM_K": CLAIM_K, "LARGE": LARGE, "WELL_UNDER": WELL_UNDER}
    environment.globals |= {"SELDOM": SELDOM, "HOMOPHILIC": HOMOPHILIC, "HALF": HALF, "LEAST_GAIN": LEAST_GAIN}
    environment.globals |= {"PREDICTED_SLOPE": PREDICTED_SLOPE, "SLOPE_MARGIN": SLOPE_MARGIN}
    words = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
    return environment.from_string(words[key][part])


def _width(tables: Tables) -> Finding:
    baselines = tables["baselines"]
    narrowest, widest = baselines["width"].min(), baselines["width"].max()
    if "distances" not in tables or narrowest == widest:
        return OPEN, {}, {"by_width": {}}
    to_widest = tables["distances"].filter(other_width=widest)
    by_width = {each: _mean(to_widest, "value", width=each) for each in baselines["width"].unique().sort()}
    floor = by_width.pop(widest)
    apart = {name: _mean(baselines, "value", width=widest, baseline=name) for name in BASELINES}
    ratio = by_width[narrowest] / min(apart["uniform"], apart["random"])
    numbers = {f"width {each} to {widest}": distance for each, distance in by_width.items()}
    numbers |= apart | {"seed to seed": floor, "ratio to the nearer baseline": ratio}
    verdict = HOLDS if ratio < WELL_UNDER else PARTLY if ratio < 1 else FAILS
    words = {"by_width": by_width, "narrowest": narrowest, "widest": widest, "floor": floor, "ratio": ratio}
    return verdict, numbers, words | apart


def _layers(tables: Tables) -> Finding:
    entropy, pairs = tables["entropy"], tables["layers"].filter(pl.col("layer") < pl.col("other_layer"))
    depth = entropy["layer"].max()
    if depth < 3:
        return OPEN, {}, {"depth": depth}
    means = [_mean(entropy, "mean", layer=layer) for layer in range(1, depth + 1)]
    to_first, among = (_mean(pairs.filter(kind), "value") for kind in (pl.col("layer") == 1, pl.col("layer") > 1))
    higher, alike = means[0] > max(means[1:]), among < to_first
    numbers = {f"entropy of layer {layer}": mean for layer, mean in enumerate(means, start=1)}
    numbers |= {"first layer to later ones": to_first, "among later layers": among}
    words = {"means": means, "higher": higher, "to_first": to_first, "among": among, "alike": alike}
    return (FAILS, PARTLY, HOLDS)[higher + alike], numbers, {"depth": depth, **words}


def _topk(tables: Tables) -> Finding:
    k = usual_k(tables["topk"])
    rows = tables["topk"].filter(WIDEST, pl.col("degree_low") > 0).filter(k=k)
    large, small = rows.filter(pl.col("degree_low") >= LARGE), rows.filter(pl.col("degree_low") < LARGE)
    mass, covered, of_small = (
        (part[column] * part["nodes"]).sum() / part["nodes"].sum() if part.height else None
        for part, column in ((large, "mass"), (large, "covered"), (small, "covered"))
    )
    if mass is None:
        return OPEN, {}, {"mass": None}
    numbers = {f"top-{k} mass": mass, f"nodes covered by top-{k}": covered}
    if of_small is not None:
        numbers[f"nodes covered by top-{k}, small degrees"] = of_small
    verdict = HOLDS if covered <= SELDOM else PARTLY if covered <= 0.5 else FAILS
    return verdict, numbers, {"k": k, "mass": mass, "covered": covered, "small": of_small}


def _types(tables: Tables) -> Finding:
    shares = tables["shares"].filter(WIDEST, pl.col("class") == ALL)
    by_type = {name: _mean(shares, "share", edge_type=name) for name in TYPE_NAMES}
    uniform = _mean(shares, "uniform", edge_type="graph")
    numbers = {f"share of {name} edges": share for name, share in by_type.items()}
    numbers["share of graph edges under uniform attention"] = uniform
    homophily, adjusted = tables["graphs"].select("edge_homophily", "adjusted_homophily").row(0)
    if homophily is None or not math.isfinite(adjusted):
        return OPEN, numbers, {**by_type, "uniform": uniform, "adjusted": None}
    numbers |= {"edge homophily": homophily, "adjusted homophily": adjusted}
    verdict = HOLDS if (by_type["graph"] > 0.5) == (adjusted >= HOMOPHILIC) else FAILS
    return verdict, numbers, {**by_type, "uniform": uniform, "homophily": homophily, "adjusted": adjusted}


def _choice(tables: Tables) -> Finding:
    asked, kept = _by_sampler(tables["mass_kept"], "mass")
    most = kept["own"] - kept["uniform"]
    gain = (kept["attention"] - kept["uniform"]) / most if most > 0 else math.nan
    agreement = _mean(tables["agreement"], "ranks", width=asked["narrowest"])
    numbers = {f"mass kept, {name}": value for name, value in kept.items()}
    numbers |= {"share of the possible gain": gain, "rank agreement": agreement}
    verdict = OPEN if most < LEAST_GAIN else HOLDS if gain >= HALF else PARTLY if gain > 0 else FAILS
    return verdict, numbers, {**asked, **kept, "agreement": agreement}


def _error(tables: Tables) -> Finding:
    slopes = tables["slopes"]
    asked, errors = _by_sampler(tables["output_error"], "error")
    slope = _mean(slopes, "slope", against="k", sampler="attention", quantity="error")
    replaced, projected = (_mean(slopes, "slope", quantity=quantity) for quantity in ("replaced", "projected"))
    numbers = {f"error at K = {asked['k']}, {name}": value for name, value in errors.items()}
    numbers |= {"slope in K": slope, "predicted slope": PREDICTED_SLOPE}
    if math.isfinite(replaced):
        numbers |= {
            "slope in width, scores of estimators": replaced,
            "slope in width, wide network projected": projected,
        }
    verdict = OPEN if math.isnan(slope) else HOLDS if slope <= PREDICTED_SLOPE + SLOPE_MARGIN else FAILS
    return verdict, numbers, {**asked, **errors, "slope": slope, "replaced": replaced, "projected": projected}


def usual_k(table: pl.DataFrame) -> int:
    """The K that claims speak of, or the largest that was asked for."""
    return CLAIM_K if CLAIM_K in table["k"] else table["k"].max()


def _by_sampler(table: pl.DataFrame, column: str) -> tuple[dict[str, int], dict[str, float]]:
    """K and the narrowest estimator's width; means by sampler, of that estimator where one is asked."""
    asked = {"k": usual_k(table), "narrowest": table["width"].filter(table["width"] > 0).min()}
    rows = table.filter(pl.col("width").is_in([0, asked["narrowest"]]), k=asked["k"])
    return asked, {name: _mean(rows, column, sampler=name) for name in SAMPLERS}


def _mean(table: pl.DataFrame, column: str, **where: object) -> float:
    mean = table.filter(**where)[column].drop_nans().mean()
    return math.nan if mean is None else mean


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Of a share, one decimal."""
    return f"{100 * share:.1f}%"
