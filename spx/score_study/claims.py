"""What the papers claim of attention scores, and what the tables say of it: a verdict, a sentence, and its numbers.

The rules of the verdicts are chosen here and written into each claim's `rule`: the papers give none.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from spx.score_study.tables import ALL, COVERED, Tables

HOLDS, PARTLY, FAILS, OPEN = "holds", "holds in part", "does not hold", "undecided"
WELL_UNDER = 0.5  # of a baseline
SELDOM = 0.25  # of the nodes
CLAIM_K = 4
HOMOPHILIC = 0.25  # adjusted homophily
HALF, LEAST_GAIN = 0.5, 0.01


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


def judge(tables: Tables) -> list[Claim]:
    """All claims that the tables can speak to, on each graph."""
    claims: list[Claim] = []
    for graph in tables["graphs"]["graph"].to_list():
        part = {
            name: table.filter(pl.col("graph") == graph) for name, table in tables.items() if "graph" in table.columns
        }
        claims += [claim(graph, part) for claim in (_width, _layers, _topk)]
        if _mean(part["graphs"], "edges_expander") + _mean(part["graphs"], "edges_self_loop") > 0:
            claims.append(_types(graph, part))
    if "mass_kept" in tables:
        claims += [_choice(tables), _error(tables)]
    return claims


def claims_table(claims: list[Claim]) -> pl.DataFrame:
    """One row a number; claims without numbers have one row with none."""
    rows = [
        {"claim": claim.key, "graph": claim.graph, "verdict": claim.verdict, "quantity": name, "value": value}
        for claim in claims
        for name, value in (claim.numbers or {"": None}).items()
    ]
    return pl.DataFrame(rows, schema_overrides={"value": pl.Float64}, infer_schema_length=None)


def _width(graph: str, tables: Tables) -> Claim:
    title = "Narrow networks estimate wide networks' attention"
    rule = (
        f"holds when the narrowest width's energy distance to the widest is below {WELL_UNDER:g} times those of "
        "uniform and of random scores; in part when it is below both"
    )
    distances, baselines = tables.get("distances"), tables["baselines"]
    widest = int(baselines["width"].max())
    narrowest = int(baselines["width"].min())
    if distances is None or narrowest == widest:
        return Claim("width", graph, title, rule, OPEN, "One width alone, or one network: nothing to compare.")
    to_widest = distances.filter(pl.col("other_width") == widest)
    numbers = {
        f"width {width} to {widest}": _mean(to_widest.filter(pl.col("width") == width), "value")
        for width in sorted(set(baselines["width"]))
        if width != widest
    }
    floor = _mean(to_widest.filter(pl.col("width") == widest), "value")
    of_widest = baselines.filter(pl.col("width") == widest)
    for name in ("uniform", "random", "shuffled"):
        numbers[name] = _mean(of_widest.filter(pl.col("baseline") == name), "value")
    near = numbers[f"width {narrowest} to {widest}"]
    ratio = near / min(numbers["uniform"], numbers["random"])
    numbers |= {"seed to seed": floor, "ratio to the nearer baseline": ratio}
    text = (
        f"Energy distance to networks of width {widest}, mean over layers and pairs of networks: "
        f"{_listed({name: value for name, value in numbers.items() if ' to ' in name and name.startswith('width')})}. "
        f"Uniform scores are {number(numbers['uniform'])} from them, random ones {number(numbers['random'])}, their "
        f"own in random order {number(numbers['shuffled'])}; "
        + (f"two networks of width {widest} are {number(floor)} apart. " if math.isfinite(floor) else "")
        + f"Width {narrowest} is at {number(ratio)} of the nearer baseline."
    )
    return Claim("width", graph, title, rule, _grade(ratio, WELL_UNDER, 1), text, numbers)


def _layers(graph: str, tables: Tables) -> Claim:
    title = "The first layer has high entropy, unlike the others; later layers are sharper and alike"
    rule = (
        "holds when the first layer's mean entropy is above every later layer's, and later layers are nearer to each "
        "other than to the first; in part when one of the two is so"
    )
    entropy, layers = tables["entropy"], tables["layers"]
    depth = int(entropy["layer"].max())
    if depth < 3:
        return Claim("layers", graph, title, rule, OPEN, f"The networks have {depth} layers; the claim needs three.")
    means = {
        f"entropy of layer {layer}": _mean(entropy.filter(pl.col("layer") == layer), "mean") for layer in _upto(depth)
    }
    pairs = layers.filter(pl.col("layer") < pl.col("other_layer"))
    to_first = _mean(pairs.filter(pl.col("layer") == 1), "value")
    among = _mean(pairs.filter(pl.col("layer") > 1), "value")
    first, *later = means.values()
    higher, alike = first > max(later), among < to_first
    numbers = {**means, "first layer to later ones": to_first, "among later layers": among}
    text = (
        f"Mean normalised entropy by layer: {', '.join(number(value) for value in means.values())} (1 is uniform); the "
        f"first is {'above all later ones' if higher else 'not above all later ones'}. Energy distance from the first "
        f"layer to later ones {number(to_first)}, among later ones {number(among)}: they are "
        f"{'nearer to each other' if alike else 'no nearer to each other'}. Over all widths and seeds."
    )
    verdict = HOLDS if higher and alike else PARTLY if higher or alike else FAILS
    return Claim("layers", graph, title, rule, verdict, text, numbers)


def _topk(graph: str, tables: Tables) -> Claim:
    title = "The top-k scores seldom cover the attention, unless the degree is very small"
    rule = (
        f"holds when, in the widest networks, the {CLAIM_K} largest scores hold {COVERED:.0%} of the attention of at "
        f"most {SELDOM:.0%} of the nodes of degree {2 * CLAIM_K} or more; in part up to half of them"
    )
    topk = tables["topk"].filter(pl.col("width") == tables["topk"]["width"].max())
    used = CLAIM_K if CLAIM_K in set(topk["k"]) else int(topk["k"].max())
    large = topk.filter((pl.col("k") == used) & (pl.col("degree_low") >= 2 * CLAIM_K))
    if large.is_empty():
        return Claim("topk", graph, title, rule, OPEN, f"No node has {2 * CLAIM_K} attention edges.")
    weights = large["nodes"] / large["nodes"].sum()
    mass, covered = (float((large[name] * weights).sum()) for name in ("mass", "covered"))
    numbers = {f"top-{used} mass": mass, f"nodes covered by top-{used}": covered}
    small = topk.filter((pl.col("k") == used) & (pl.col("degree_low") > 0) & (pl.col("degree_low") < 2 * CLAIM_K))
    if not small.is_empty():
        numbers[f"nodes covered by top-{used}, small degrees"] = float(
            (small["covered"] * small["nodes"]).sum() / small["nodes"].sum()
        )
    text = (
        f"At degrees of {2 * CLAIM_K} or more the {used} largest scores hold {percent(mass)} of the attention, and "
        f"{COVERED:.0%} or more of it at {percent(covered)} of the nodes"
        + ("." if small.is_empty() else f"; at smaller degrees, at {percent(list(numbers.values())[-1])} of the nodes.")
    )
    return Claim("topk", graph, title, rule, _grade(covered, SELDOM, 0.5, strict=False), text, numbers)


def _types(graph: str, tables: Tables) -> Claim:
    title = "Homophilic graphs attend mostly along graph edges; Actor along self-loops and expander edges"
    shares = tables["shares"].filter((pl.col("class") == ALL) & (pl.col("width") == tables["shares"]["width"].max()))
    by_type = {name: shares.filter(pl.col("edge_type") == name) for name in ("graph", "expander", "self_loop")}
    numbers = {f"share of {name} edges": _mean(part, "share") for name, part in by_type.items()}
    uniform = _mean(by_type["graph"], "uniform")
    numbers["share of graph edges under uniform attention"] = uniform
    homophily, adjusted = (tables["graphs"][name][0] for name in ("edge_homophily", "adjusted_homophily"))
    rule = (
        f"a graph counts as homophilic from an adjusted homophily of {HOMOPHILIC:g}; holds when more than half of the "
        "widest networks' attention runs along graph edges there, and less than half elsewhere"
    )
    along_graph = numbers["share of graph edges"]
    text = (
        f"Of the widest networks' attention {percent(along_graph)} runs along graph edges ({percent(uniform)} if it "
        f"were uniform), {percent(numbers['share of expander edges'])} along the expander, "
        f"{percent(numbers['share of self_loop edges'])} along self-loops."
    )
    if homophily is None or not math.isfinite(adjusted):
        return Claim(
            "types", graph, title, rule, OPEN, f"{text} The nodes have no single class: no homophily.", numbers
        )
    numbers |= {"edge homophily": homophily, "adjusted homophily": adjusted}
    is_homophilic = adjusted >= HOMOPHILIC
    text += f" Edge homophily is {number(homophily)}, adjusted for chance {number(adjusted)}: "
    text += f"{'a homophilic graph' if is_homophilic else 'not a homophilic graph'}."
    verdict = HOLDS if (along_graph > 0.5) == is_homophilic else FAILS
    return Claim("types", graph, title, rule, verdict, text, numbers)


def _choice(tables: Tables) -> Claim:
    title = "An estimator's scores choose edges that the wide network attends to"
    kept, k = _at_claim_k(tables["mass_kept"])
    narrowest = int(kept.filter(pl.col("width") > 0)["width"].min())
    numbers = {name: _mean(part, "mass") for name, part in _by_sampler(kept, narrowest)}
    attention, uniform, own = (numbers[name] for name in ("attention", "uniform", "own"))
    gain = (attention - uniform) / (own - uniform) if own > uniform else math.nan
    agreement = _mean(tables["agreement"].filter(pl.col("width") == narrowest), "ranks")
    rule = (
        f"holds when the narrowest estimator's scores bring at least {HALF:.0%} of what the wide network's own scores "
        f"bring over uniform sampling; in part when they bring anything; undecided when those bring under "
        f"{LEAST_GAIN:.0%} of the attention, since the wide network then attends almost uniformly"
    )
    text = (
        f"{k} edges a node keep {percent(attention)} of a trained wide network's attention when drawn by the scores of "
        f"width {narrowest}, {percent(numbers['top'])} when they are its {k} largest, {percent(uniform)} when drawn "
        f"uniformly, and {percent(own)} when drawn by the wide network's own scores; mean over layers. Their rank "
        f"agreement with its own scores is {number(agreement)}."
    )
    numbers = {f"mass kept, {name}": value for name, value in numbers.items()}
    numbers |= {"share of the possible gain": gain, "rank agreement": agreement}
    verdict = OPEN if own - uniform < LEAST_GAIN else HOLDS if gain >= HALF else PARTLY if gain > 0 else FAILS
    return Claim("choice", "augmented", title, rule, verdict, text, numbers)


def _error(tables: Tables) -> Claim:
    title = "The layer's error falls as the root of the number of sampled edges"
    errors, k = _at_claim_k(tables["output_error"])
    narrowest = int(errors.filter(pl.col("width") > 0)["width"].min())
    numbers = {f"error at K = {k}, {name}": _mean(part, "error") for name, part in _by_sampler(errors, narrowest)}
    slopes = tables["slopes"]
    measured = slopes.filter(
        (pl.col("against") == "k") & (pl.col("sampler") == "attention") & (pl.col("quantity") == "error")
    )
    slope, predicted = _mean(measured, "slope"), _mean(slopes, "predicted")
    numbers |= {"slope in K": slope, "predicted slope": predicted}
    against_width, projected = (
        _mean(slopes.filter(pl.col("quantity") == quantity), "slope") for quantity in ("replaced", "projected")
    )
    if math.isfinite(against_width):
        numbers["slope in width, scores of estimators"] = against_width
        numbers["slope in width, wide network projected"] = projected
    rule = f"holds when the measured exponent is at most {predicted:g}, that of the theory's bound, within 0.1"
    if not math.isfinite(slope):
        return Claim("error", "augmented", title, rule, OPEN, "Too few values of K below half the degree.", numbers)
    text = (
        f"The error of a layer's output on sampled edges falls as K^{number(slope)} (the theory's estimator: "
        f"K^{number(predicted)}). At K = {k}: {number(numbers[f'error at K = {k}, attention'])} by the scores of width "
        f"{narrowest}, {number(numbers[f'error at K = {k}, uniform'])} uniformly, "
        f"{number(numbers[f'error at K = {k}, own'])} by the wide network's own scores."
        + (
            f" With all edges kept and the scores of estimators instead it goes as width^{number(against_width)}, with "
            f"the wide network's own queries and keys projected at random as width^{number(projected)}."
            if math.isfinite(against_width)
            else ""
        )
    )
    return Claim("error", "augmented", title, rule, HOLDS if slope <= predicted + 0.1 else FAILS, text, numbers)


def _by_sampler(table: pl.DataFrame, width: int) -> Iterator[tuple[str, pl.DataFrame]]:
    for name in ("attention", "top", "uniform", "own"):
        asked = pl.col("width") == (width if name in ("attention", "top") else 0)
        yield name, table.filter((pl.col("sampler") == name) & asked)


def _at_claim_k(table: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    k = CLAIM_K if CLAIM_K in set(table["k"]) else int(table["k"].max())
    return table.filter(pl.col("k") == k), k


def _grade(value: float, good: float, fair: float, strict: bool = True) -> str:
    below: Callable[[float], bool] = (lambda bar: value < bar) if strict else (lambda bar: value <= bar)
    return HOLDS if below(good) else PARTLY if below(fair) else FAILS


def _mean(table: pl.DataFrame, column: str) -> float:
    values = table[column].drop_nulls().drop_nans()
    return float(values.mean()) if values.len() else math.nan


def _upto(depth: int) -> range:
    return range(1, depth + 1)


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{number(value)} for {name.split(' to ')[0]}" for name, value in values.items())


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Of a share, one decimal."""
    return f"{100 * share:.1f}%"
