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
ALIKE = 0.5  # agreement above which one of two equally sharp networks is nearer to the other than uniform scores are
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
        key: of the claim: "width", "sharpness", "edges", "topk", "types", "choice" or "error".
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
        of_graph = (_width, _sharpness, _edges, _topk, *((_types,) if expander + loops else ()))
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
    environment.filters |= {"number": number, "percent": percent, "by_layer": by_layer, "layers": _layers_in_words}
    environment.globals |= {"COVERED": COVERED, "CLAIM_K": CLAIM_K, "LARGE": LARGE, "ALIKE": ALIKE}
    environment.globals |= {"SELDOM": SELDOM, "HOMOPHILIC": HOMOPHILIC, "HALF": HALF, "LEAST_GAIN": LEAST_GAIN}
    environment.globals |= {"PREDICTED_SLOPE": PREDICTED_SLOPE, "SLOPE_MARGIN": SLOPE_MARGIN}
    words = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
    return environment.from_string(words[key][part])


def _width(tables: Tables) -> Finding:
    baselines = tables["baselines"]
    narrowest, widest = baselines["width"].min(), baselines["width"].max()
    if "distances" not in tables or narrowest == widest:
        return OPEN, {}, {"by_width": {}}
    to_widest, layers = tables["distances"].filter(other_width=widest), _layers_of(baselines)
    by_width, distances = (
        {each: _mean(to_widest, column, width=each) for each in baselines["width"].unique().sort()}
        for column in ("agreement", "value")
    )
    seeds, apart = by_width.pop(widest), distances.pop(widest)
    of_layer, seeds_of_layer = (
        {layer: _mean(to_widest, "agreement", width=width, layer=layer) for layer in layers}
        for width in (narrowest, widest)
    )
    known_nothing = {name: _mean(baselines, "value", width=widest, baseline=name) for name in BASELINES}
    ratio = distances[narrowest] / min(known_nothing[name] for name in BASELINES if name != "shuffled")
    before = tables.get("untrained_distances")  # none of a single seed
    untrained = math.nan if before is None else _mean(before, "agreement", width=widest)
    numbers = {f"agreement, width {width} to {widest}": value for width, value in by_width.items()}
    numbers |= {"agreement, seed to seed": seeds, "agreement, seed to seed, untrained": untrained}
    numbers |= {f"agreement in layer {layer}, width {narrowest} to {widest}": of_layer[layer] for layer in layers}
    numbers |= {f"agreement in layer {layer}, seed to seed": seeds_of_layer[layer] for layer in layers}
    numbers |= {f"distance, width {width} to {widest}": value for width, value in distances.items()}
    numbers |= {"distance, seed to seed": apart, "ratio to the nearest baseline": ratio}
    numbers |= {f"distance, {name}": value for name, value in known_nothing.items()}
    words = {"by_width": by_width, "distances": distances, "seeds": seeds, "apart": apart, "untrained": untrained}
    words |= {"of_layer": of_layer, "seeds_of_layer": seeds_of_layer, "known_nothing": known_nothing, "ratio": ratio}
    verdict = _verdict({layer: value >= ALIKE for layer, value in of_layer.items()})
    return verdict, _told(numbers), {**words, "narrowest": narrowest, "widest": widest}


def _sharpness(tables: Tables) -> Finding:
    entropy, layers = tables["entropy"], _layers_of(tables["entropy"])
    if len(layers) < 3:
        return OPEN, {}, {"depth": len(layers)}
    means = {layer: _mean(entropy, "mean", layer=layer) for layer in layers}
    alike, untrained, numbers = _unlike_the_first(means), {}, {}
    if _has_untrained(tables):
        untrained = {layer: _mean(tables["untrained"], "mean", layer=layer) for layer in layers}
    for layer, mean in means.items():
        numbers |= {f"entropy of layer {layer}": mean, f"spread over seeds, layer {layer}": _over_seeds(entropy, layer)}
        if untrained:
            numbers[f"entropy of layer {layer}, untrained"] = untrained[layer]
            numbers[f"spread over seeds, layer {layer}, untrained"] = _over_seeds(tables["untrained"], layer)
    words = {"depth": len(layers), "means": means, "alike": alike, "untrained": untrained}
    words["before"] = _verdict(_unlike_the_first(untrained)) if untrained else None
    return _verdict(alike), _told(numbers), words


def _edges(tables: Tables) -> Finding:
    layers = _layers_of(tables["layers"])
    if len(layers) < 3:
        return OPEN, {}, {"depth": len(layers)}
    later, first = _agreement_of_layers(tables["layers"], layers)
    untrained = _agreement_of_layers(tables["untrained_layers"], layers)[0] if _has_untrained(tables) else {}
    alike = {layer: later[layer] >= ALIKE and not later[layer] <= first[layer] for layer in later}  # nan: a uniform one
    numbers = {f"layer {layer} to other later ones": value for layer, value in later.items()}
    numbers |= {f"layer {layer} to other later ones, untrained": value for layer, value in untrained.items()}
    numbers |= {f"layer {layer} to the first": value for layer, value in first.items()}
    for name, tag in (("distances", ""), ("untrained_distances", ", untrained")):
        if name in tables:
            pairs = tables[name].filter(WIDEST, pl.col("width") == pl.col("other_width"))
            numbers |= {f"seed to seed, layer {each}{tag}": _mean(pairs, "agreement", layer=each) for each in layers}
    words = {"depth": len(layers), "later": later, "first": first, "alike": alike, "untrained": untrained}
    return _verdict(alike), _told(numbers), words


def _has_untrained(tables: Tables) -> bool:
    return not tables.get("untrained", pl.DataFrame()).is_empty()


def _layers_of(table: pl.DataFrame) -> list[int]:
    return table["layer"].unique().sort().to_list()


def _verdict(by_layer: dict[int, bool]) -> str:
    return HOLDS if all(by_layer.values()) else PARTLY if any(by_layer.values()) else FAILS


def _unlike_the_first(means: dict[int, float]) -> dict[int, bool]:
    """Of each later layer whether its entropy is lower than the first's, and nearer to the other later ones' mean."""
    first, later = means[1], {layer: mean for layer, mean in means.items() if layer > 1}
    others = {layer: (sum(later.values()) - mean) / (len(later) - 1) for layer, mean in later.items()}
    return {layer: first - mean > abs(mean - others[layer]) for layer, mean in later.items()}


def _agreement_of_layers(pairs: pl.DataFrame, layers: list[int]) -> tuple[dict[int, float], dict[int, float]]:
    """Of each later layer with the other later ones, and with the first."""
    others = pairs.filter((pl.col("layer") != pl.col("other_layer")) & (pl.col("other_layer") > 1))
    later = {layer: _mean(others, "agreement", layer=layer) for layer in layers if layer > 1}
    return later, {layer: _mean(pairs, "agreement", layer=layer, other_layer=1) for layer in later}


def _over_seeds(table: pl.DataFrame, layer: int) -> float:
    """Standard deviation of a layer's mean entropy over the seeds of a width, mean over widths; nan of one seed."""
    spreads = table.filter(layer=layer).group_by("width").agg(pl.col("mean").std())
    return _mean(spreads, "mean")


def _told(numbers: dict[str, float]) -> dict[str, float]:
    """Those that there are."""
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


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
    agreement = _mean(tables["agreement"], "agreement", width=asked["narrowest"])
    numbers = {f"mass kept, {name}": value for name, value in kept.items()}
    numbers |= {"share of the possible gain": gain, "agreement": agreement}
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


def by_layer(values: dict[int, float]) -> str:
    """The numbers of several layers, in their order."""
    return ", ".join(map(number, values.values()))


def _layers_in_words(found: dict[int, bool]) -> str:
    chosen = [str(layer) for layer, holds in found.items() if holds]
    if 0 < len(chosen) < len(found):
        return f"layer{'s' * (len(chosen) > 1)} {', '.join(chosen)}"
    return "every later layer" if chosen else "no later layer"


def percent(share: float) -> str:
    """Of a share, one decimal."""
    return f"{100 * share:.1f}%"
