"""Every measure of the score files as tidy tables: one row a number, polars DataFrames.

Columns that all have: `graph` (which attention edges), `width` and `seed` of a network, `layer` from 1.

| table | a row is |
|---|---|
| graphs | a graph: nodes, edges, empty rows, homophily |
| runs | a network: validation metric, by chance too, epoch, temperature; if it `failed` it is in no other table |
| distances | mean energy distance and agreement of two networks in one layer |
| baselines | mean energy distance of a network to uniform, random (by their law) and shuffled scores |
| layers | mean energy distance and agreement of two layers of one network |
| entropy, entropy_histogram | normalised entropy over the nodes: mean and quantiles; share of nodes by bin |
| topk | attention that the k largest scores hold, by degree; `covered`: share of nodes where that is 90% |
| shares | share of attention by edge type, for each class and all; `uniform`: under uniform attention |
| same_class | share of attention to nodes of one's own class, by edge type; `uniform` likewise |
| degrees | mean score relative to uniform, by graph degree of the node attended to |
| structure | mean rank agreement of the scores with that degree, and with effective resistance |
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import polars as pl
import torch
from torch import Tensor

from spx.analysis import distance, measures, structure
from spx.analysis.row_ranges import uniform_weights
from spx.graph.csr import AttentionGraph, EdgeType
from spx.score_study.artifacts import Group, Network

Row = dict[str, Any]
Tables = dict[str, pl.DataFrame]

ALL = "all"
COVERED = 0.9
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HISTOGRAM_BINS = 20
RANDOM = get_args(distance.RandomScores)
BASELINES = ("uniform", *RANDOM, "shuffled")
TYPE_NAMES = tuple(edge_type.name.lower() for edge_type in EdgeType)
KINDS_OF_NEIGHBOURS = {ALL: ("graph", "expander"), "graph": ("graph",), "expander": ("expander",)}
MOST_BINS = 64


class Labels(NamedTuple):
    """Classes of the nodes.

    Args:
        y: [N] int64, negative where unknown; None for tasks of several labels a node.
        num_classes: C.
    """

    y: Tensor | None
    num_classes: int


def score_tables(groups: Sequence[Group], labels: Labels, ks: Sequence[int], resistance_nodes: int) -> Tables:
    """All tables but those of the wide network's sampled edges; see the module.

    Args:
        groups: networks by graph.
        labels: of the nodes.
        ks: of the top-k mass.
        resistance_nodes: effective resistances are estimated up to so many nodes.
    """
    rows: dict[str, list[Row]] = {}

    def add(table: str, entries: Iterable[Row], **named: Any) -> None:
        rows.setdefault(table, []).extend({**named, **entry} for entry in entries)

    for group in groups:
        known = _Known(group, labels, ks, resistance_nodes)
        add("graphs", [known.facts()], graph=group.name)
        add("distances", network_pairs(group), graph=group.name)
        for failed in (each for each in group.failed if each not in group.networks):
            add("runs", [_run(group, failed)], graph=group.name, width=failed.width, seed=failed.seed)
        for network in group.networks:
            named = {"graph": group.name, "width": network.width, "seed": network.seed}
            add("runs", [_run(group, network)], **named)
            add("layers", layer_pairs(group.graph, network), **named)
            for layer, scores in enumerate(network.scores_LM, start=1):
                for measure in MEASURES:
                    add(measure.__name__.removeprefix("_"), measure(known, scores), **named, layer=layer)
    return tables_of(rows)


def tables_of(rows: Mapping[str, Sequence[Row]]) -> Tables:
    """A table for each name that has rows."""
    return {name: pl.DataFrame(entries, infer_schema_length=None) for name, entries in rows.items() if entries}


class _Known:
    """What depends on a group's graph and labels alone, computed once."""

    def __init__(self, group: Group, labels: Labels, ks: Sequence[int], resistance_nodes: int):
        self.graph, self.ks = (graph := group.graph), ks
        self.labels, self.num_classes = labels.y, labels.num_classes if labels.y is not None else 0
        bins = measures.degree_bins(graph.degrees())
        self.lows = torch.where(bins < 0, 0, 1 << bins.clamp(min=0))
        uniform = uniform_weights(graph)
        self.uniform_types = measures.edge_type_shares(graph, uniform)
        self.random = {name: distance.random_scores(graph, name, seed) for seed, name in enumerate(RANDOM)}
        kinds = itertools.product(map(str, range(self.num_classes)), (False, True), TYPE_NAMES)
        schema = {"class": pl.String, "same": pl.Boolean, "edge_type": pl.String}
        self.kinds = pl.DataFrame(list(kinds), schema, orient="row")
        self.kinds = self.mass(uniform, "uniform")
        heard = structure.graph_degrees(graph)
        self.heard_bins = measures.degree_bins(heard)[graph.source.long()]
        self.properties = {"degree": heard[graph.source.long()].double()}
        if graph.num_nodes <= resistance_nodes:
            self.properties["effective resistance"] = structure.effective_resistances(graph)

    def mass(self, weights: Tensor, name: str) -> pl.DataFrame:
        """Rows by class, whether to the same class, and edge type, with the mass of the weights as another column; no
        rows without classes."""
        if self.labels is None:
            return self.kinds.with_columns(pl.lit(0.0).alias(name))
        mass = measures.class_mass(self.graph, weights, self.labels, self.num_classes)
        return self.kinds.with_columns(pl.Series(name, mass.flatten().numpy()))

    def facts(self) -> Row:
        graph, labels = self.graph, self.labels
        edges_of_type = torch.bincount(graph.edge_type, minlength=len(TYPE_NAMES)).tolist()
        facts = {"nodes": graph.num_nodes, "edges": graph.num_edges, "empty_rows": int((self.lows == 0).sum())}
        facts |= {f"edges_{name}": number for name, number in zip(TYPE_NAMES, edges_of_type, strict=True)}
        facts |= {"edge_homophily": None, "adjusted_homophily": None}
        if labels is not None:
            counts = measures.class_mass(graph, torch.ones(graph.num_edges), labels, self.num_classes)
            facts["edge_homophily"] = float(measures.same_class_share(counts.sum(0), (EdgeType.GRAPH,)))
            facts["adjusted_homophily"] = float(measures.adjusted_homophily(graph, labels, self.num_classes))
        return facts


def network_pairs(group: Group) -> Iterator[Row]:
    """Each two networks once, the narrower first, in each layer."""
    for layer in range(group.num_layers if len(group.networks) > 1 else 0):
        found = distance.likeness(group.graph, [network.scores_LM[layer] for network in group.networks])
        distances, agreements = (each.tolist() for each in found)
        for (a, one), (b, other) in itertools.combinations(enumerate(group.networks), 2):
            ends = {"width": one.width, "seed": one.seed, "other_width": other.width, "other_seed": other.seed}
            yield {"layer": layer + 1, **ends, "value": distances[a][b], "agreement": agreements[a][b]}


def _run(group: Group, network: Network) -> Row:
    named = {name: getattr(network.header, name) for name in ("metric", "val_metric", "epoch", "temperature")}
    return {**named, "chance": group.chance, "failed": network in group.failed, "file": str(network.path)}


def layer_pairs(graph: AttentionGraph, network: Network) -> Iterator[Row]:
    """Each two layers of a network, both ways round."""
    distances, agreements = (each.tolist() for each in distance.likeness(graph, list(network.scores_LM)))
    for a, b in itertools.product(range(len(distances)), repeat=2):
        yield {"layer": a + 1, "other_layer": b + 1, "value": distances[a][b], "agreement": agreements[a][b]}


def _baselines(known: _Known, scores: Tensor) -> Iterator[Row]:
    graph = known.graph
    distances = {"uniform": distance.distance_to_uniform(graph, scores)}
    distances |= {name: distance.energy_distance(graph, scores, random) for name, random in known.random.items()}
    distances |= {"shuffled": distance.distance_to_shuffled(graph, scores)}
    yield from ({"baseline": name, "value": float(value.nanmean())} for name, value in distances.items())


def _entropy(known: _Known, scores: Tensor) -> Iterator[Row]:
    values = pl.Series(measures.normalized_entropy(known.graph, scores).double().numpy()).drop_nans()
    named = {f"q{100 * q:02.0f}": values.quantile(q, "linear") for q in QUANTILES}
    yield {"nodes": len(values), "mean": values.mean(), **named}


def _entropy_histogram(known: _Known, scores: Tensor) -> Iterator[Row]:
    entropy = measures.normalized_entropy(known.graph, scores)
    entropy = entropy[~entropy.isnan()].clamp(0, 1)
    counts = torch.histc(entropy, HISTOGRAM_BINS, 0, 1) / entropy.numel()
    for place, share in enumerate(counts.tolist()):
        yield {"low": place / HISTOGRAM_BINS, "high": (place + 1) / HISTOGRAM_BINS, "share": share}


def _topk(known: _Known, scores: Tensor) -> Iterator[Row]:
    mean, covered = pl.col("mass").mean(), (pl.col("mass") >= COVERED).mean().alias("covered")
    for k, mass in zip(known.ks, measures.top_k_mass(known.graph, scores, known.ks).unbind(1), strict=True):
        nodes = pl.DataFrame({"degree_low": known.lows.numpy(), "mass": mass.numpy()}).filter(pl.col("degree_low") > 0)
        for each in (nodes.with_columns(degree_low=pl.lit(0, pl.Int64)), nodes):
            means = each.group_by("degree_low").agg(pl.len().cast(pl.Int64).alias("nodes"), mean, covered)
            for row in means.sort("degree_low").iter_rows(named=True):
                yield {"k": k, "degrees": degree_span(row["degree_low"]), **row}


def _shares(known: _Known, scores: Tensor) -> Iterator[Row]:
    shares = measures.edge_type_shares(known.graph, scores).tolist()
    for name, share, uniform in zip(TYPE_NAMES, shares, known.uniform_types.tolist(), strict=True):
        yield {"class": ALL, "edge_type": name, "share": share, "uniform": uniform}
    both = pl.col("share", "uniform")
    by_type = known.mass(scores, "share").group_by("class", "edge_type", maintain_order=True).agg(both.sum())
    yield from by_type.with_columns(both / both.sum().over("class")).drop_nans("share").iter_rows(named=True)


def _same_class(known: _Known, scores: Tensor) -> Iterator[Row]:
    both = pl.col("share", "uniform")
    for name, types in KINDS_OF_NEIGHBOURS.items():
        mass = known.mass(scores, "share").filter(pl.col("edge_type").is_in(types)).with_columns(edge_type=pl.lit(name))
        for each in (mass.with_columns(pl.lit(ALL).alias("class")), mass):
            shares = each.group_by("class", "edge_type", maintain_order=True).agg(
                both.filter(pl.col("same")).sum() / both.sum()
            )
            yield from shares.drop_nans("uniform").iter_rows(named=True)


def _degrees(known: _Known, scores: Tensor) -> Iterator[Row]:
    relative = structure.relative_scores(known.graph, scores)
    bins = torch.where(known.graph.edge_type != EdgeType.SELF_LOOP, known.heard_bins, -1)
    means, edges = (each.tolist() for each in measures.bin_means(relative, bins, MOST_BINS))
    for place, (mean, number) in enumerate(zip(means, edges, strict=True)):
        if number:
            low = 1 << place
            yield {"degrees": degree_span(low), "degree_low": low, "edges": number, "relative_score": mean}


def _structure(known: _Known, scores: Tensor) -> Iterator[Row]:
    for name, values in known.properties.items():
        agreement = distance.rank_agreement(known.graph, scores, values)
        if nodes := int((~agreement.isnan()).sum()):
            yield {"property": name, "nodes": nodes, "agreement": float(agreement.nanmean())}


MEASURES = (_baselines, _entropy, _entropy_histogram, _topk, _shares, _same_class, _degrees, _structure)
"""Each gives the rows of the table of its name, of one network's scores in one layer."""


def degree_span(low: int) -> str:
    """The degrees of a bin by its begin, 0 for all."""
    return ALL if low == 0 else "1" if low == 1 else f"{low}-{2 * low - 1}"
