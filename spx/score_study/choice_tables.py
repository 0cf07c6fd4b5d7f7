"""How well the estimators choose edges for a trained wide network, as tidy tables.

`layer` counts from 1; `width` and `seed` are the estimator's, 0 and -1 where none is asked: by the samplers "uniform"
and "own", which draws by the wide network's own scores, the best that an estimator could give.

| table | a row is |
|---|---|
| agreement | agreement and mean energy distance of an estimator's scores and the wide network's own |
| mass_kept | share of the wide network's attention on K sampled edges a node, mean over nodes and draws |
| output_error | relative error of the layer's output on them; `expected`: of the theory's estimator, as many draws |
| replaced_error | relative error of the layer's output when all edges are kept but weighted by the estimator's scores |
| projected_error | the same by the wide network's own scores from queries and keys projected at random to `width` |
| slopes | exponent of the error's power law in K or in the estimator's width, and the predicted one |
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from torch import Tensor

from spx.analysis import choice
from spx.analysis.distance import distance_to_uniform, likeness
from spx.analysis.row_ranges import uniform_weights
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features
from spx.graph.sampling import draw_seed
from spx.nn.network import GraphTransformer
from spx.score_study.artifacts import Network

Row = dict[str, Any]
NOBODY = {"width": 0, "seed": -1}
PREDICTED_SLOPE = -0.5  # in K by the variance of a mean, in width by Johnson and Lindenstrauss: docs/theory.md
SAMPLERS = ("attention", "top", "uniform", "own")


def choice_tables(
    network: GraphTransformer,
    x: Features,
    graph: AttentionGraph,
    networks: Sequence[Network],
    ks: Sequence[int],
    draws: int,
) -> dict[str, pl.DataFrame]:
    """The tables of the module, over the layers that network and estimators both have.

    Args:
        network: the wide one, trained on `graph`.
        x: [N, F] features.
        graph: the augmented graph of M edges.
        networks: estimators over the same graph.
        ks: numbers of sampled edges.
        draws: random draws that are averaged over.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    widths = sorted({each.width for each in networks})
    num_layers = networks[0].scores_LM.shape[0]
    for layer, view in zip(range(1, num_layers + 1), choice.layer_views(network, x, graph)):  # noqa: B905
        own = view.scores()
        choosers = [("uniform", NOBODY, uniform_weights(graph)), ("own", NOBODY, own)]
        for each in networks:
            scores, whose = each.scores_LM[layer - 1], {"width": each.width, "seed": each.seed}
            choosers += [("attention", whose, scores), ("top", whose, scores)]
            rows["agreement"].append({"layer": layer, **whose, **_agreement(graph, scores, own)})
        for sampler, whose, scores in choosers:
            named = {"layer": layer, "sampler": sampler, **whose}
            expected = [None] * len(ks) if sampler == "top" else choice.expected_error(graph, view, scores, ks)
            for k, by_theory in zip(ks, expected, strict=True):
                kept, error = _sampled(graph, view, own, scores, k, "attention" if sampler == "own" else sampler, draws)
                rows["mass_kept"].append({**named, "k": k, "mass": kept})
                rows["output_error"].append({**named, "k": k, "error": error, "expected": by_theory})
            if sampler in ("attention", "uniform"):
                rows["replaced_error"].append({**named, "error": choice.replaced_error(graph, view, scores)})
        for width, draw in itertools.product(widths, range(draws)):
            error = _projected(graph, view, width, draw)
            rows["projected_error"].append({"layer": layer, "width": width, "draw": draw, "error": error})
    tables = {name: pl.DataFrame(entries, infer_schema_length=None) for name, entries in rows.items()}
    return tables | {"slopes": pl.DataFrame(list(_slopes(tables, float(graph.degrees().double().mean()))))}


def _agreement(graph: AttentionGraph, scores: Tensor, own: Tensor) -> dict[str, float]:
    found = likeness(graph, [scores, own])
    return {
        "agreement": float(found.agreement[0, 1]),
        "distance": float(found.distance[0, 1]),
        "uniform_distance": float(distance_to_uniform(graph, own).nanmean()),
    }


def _projected(graph: AttentionGraph, view: choice.LayerView, width: int, draw: int) -> float:
    head_width = view.out.shape[1] // view.weights.shape[1]
    projection = choice.random_projection(head_width, width, draw_seed(draw, width, 1))
    return choice.replaced_error(graph, view, choice.projected_weights(graph, view, projection))


def _sampled(
    graph: AttentionGraph, view: choice.LayerView, own: Tensor, scores: Tensor, k: int, sampler: str, draws: int
) -> tuple[float, float]:
    """Attention kept and error of the output, the error's mean square over the draws under its root."""
    repeats = 1 if sampler == "top" else draws
    kept, square = 0.0, 0.0
    for draw in range(repeats):
        edges = choice.sampled_edges(graph, scores, k, draw_seed(draw, k, 0), sampler)
        kept += float(choice.mass_kept(graph, own, edges).mean()) / repeats
        square += choice.relative_error(view.sampled(choice.as_table(graph, edges)), view.out) ** 2 / repeats
    return kept, square**0.5


def _slopes(tables: dict[str, pl.DataFrame], mean_degree: float) -> Iterator[Row]:
    """Power laws through the means over estimators: in K below half the mean degree, where no row is whole, and in
    width."""
    errors = tables["output_error"].filter(pl.col("k") <= mean_degree / 2)
    replaced = tables["replaced_error"].filter(sampler="attention").rename({"error": "replaced"})
    projected = tables["projected_error"].select("layer", "width", sampler=pl.lit("attention"), projected="error")
    for table, against, quantities in (
        (errors, "k", ("error", "expected")),
        (replaced, "width", ("replaced",)),
        (projected, "width", ("projected",)),
    ):
        for (layer, sampler), part in table.group_by("layer", "sampler", maintain_order=True):
            means = part.group_by(against, maintain_order=True).agg(pl.col(quantities).mean())
            for quantity in (each for each in quantities if not means[each].null_count()):
                named = {"layer": layer, "against": against, "sampler": sampler, "quantity": quantity}
                slope = choice.log_slope(means[against], means[quantity])
                yield {**named, "slope": slope, "predicted": PREDICTED_SLOPE}
