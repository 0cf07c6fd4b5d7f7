"""Every measure of the score files as tidy tables: one row a number, polars DataFrames.

Columns that all have: `graph` (which attention edges), `width` and `seed` of a network, `layer` from 1.

| table | a row is |
|---|---|
| graphs | a graph: nodes, edges, empty rows, homophily |
| runs | a network: validation metric, epoch and temperature of its scores |
| distances | mean energy distance of two networks in one layer |
| baselines | mean energy distance of a network to uniform, random and shuffled scores |
| ranks | mean rank agreement of two networks in one layer |
| layers | mean energy distance of two layers of one network |
| entropy, entropy_histogram | normalised entropy over the nodes: mean and quantiles; share of nodes by bin |
| topk | attention that the k largest scores hold, by degree; `covered`: share of nodes where that is 90% |
| shares | share of attention by edge type, for each class and all; `uniform`: under uniform attention |
| same_class | share of attention to nodes of one's own class, by edge type; `uniform` likewise |
| degrees | mean score relative to uniform, by graph degree of the node attended to |
| structure | mean rank agreement of the scores with that degree, and with effective resistance |
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
BASELINES = ("uniform", "random", "shuffled")
TYPE_NAMES = tuple(edge_type.name.lower() for edge_type in EdgeType)
KINDS_OF_NEIGHBOURS = {ALL: (EdgeType.GRAPH, EdgeType.EXPANDER), "graph": (0,), "expander": (1,)}


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

    def add(table: str, group: Group, entries: Iterator[Row] | list[Row], **of_all: Any) -> None:
        rows.setdefault(table, []).extend({"graph": group.name, **of_all, **entry} for entry in entries)

    for group in groups:
        known = _Known(group, labels, resistance_nodes)
        add("graphs", group, [known.facts()])
        for table, function in (
            ("distances", distance.mean_energy_distances),
            ("ranks", distance.mean_rank_agreements),
        ):
            add(table, group, _pairs(group, function))
        for network in group.networks:
            of_network = {"width": network.width, "seed": network.seed}
            add("runs", group, [_run(network)], **of_network)
            add("layers", group, _layers(group.graph, network), **of_network)
            for layer, scores in enumerate(network.scores_LM, start=1):
                of_layer = {**of_network, "layer": layer}
                add("baselines", group, _baselines(group.graph, scores), **of_layer)
                entropy = measures.normalized_entropy(group.graph, scores)
                add("entropy", group, [_quantiles(entropy)], **of_layer)
                add("entropy_histogram", group, _histogram(entropy), **of_layer)
                add("topk", group, _topk(known, scores, ks), **of_layer)
                add("shares", group, _shares(known, scores), **of_layer)
                add("same_class", group, _same_class(known, scores), **of_layer)
                add("degrees", group, _degrees(known, scores), **of_layer)
                add("structure", group, _structure(known, scores), **of_layer)
    return {name: pl.DataFrame(entries, infer_schema_length=None) for name, entries in rows.items() if entries}


class _Known:
    """What depends on a group's graph and labels alone, computed once."""

    def __init__(self, group: Group, labels: Labels, resistance_nodes: int):
        self.graph: AttentionGraph = group.graph
        graph, y = group.graph, labels.y
        self.labels, self.num_classes = (y, labels.num_classes) if y is not None else (None, 0)
        self.degrees = graph.degrees()
        self.bins = measures.degree_bins(self.degrees)
        uniform = uniform_weights(graph)
        self.uniform_types = measures.edge_type_shares(graph, uniform)
        self.uniform_mass = self.mass(uniform)
        self.heard = structure.graph_degrees(graph)
        self.heard_bins = measures.degree_bins(self.heard)[graph.source.long()]
        self.properties = {"degree": self.heard[graph.source.long()].double()}
        if graph.num_nodes <= resistance_nodes:
            self.properties["effective resistance"] = structure.effective_resistances(graph)

    def mass(self, weights: Tensor) -> Tensor | None:
        """[C, 2, 3], or None without classes."""
        return None if self.labels is None else measures.class_mass(self.graph, weights, self.labels, self.num_classes)

    def facts(self) -> Row:
        graph, edges_of_type = self.graph, torch.bincount(self.graph.edge_type, minlength=len(TYPE_NAMES))
        facts = {"nodes": graph.num_nodes, "edges": graph.num_edges, "empty_rows": int((self.degrees == 0).sum())}
        facts |= {f"edges_{name}": int(number) for name, number in zip(TYPE_NAMES, edges_of_type, strict=True)}
        facts |= {"edge_homophily": None, "adjusted_homophily": None}
        counts = self.mass(torch.ones(graph.num_edges))
        if counts is not None:
            facts["edge_homophily"] = float(measures.same_class_share(counts.sum(0), (EdgeType.GRAPH,)))
            facts["adjusted_homophily"] = float(measures.adjusted_homophily(graph, self.labels, self.num_classes))
        return facts


def _pairs(group: Group, function) -> Iterator[Row]:
    """Each two networks once, the narrower first, and what `function` says of them in each layer."""
    networks = group.networks
    for layer in range(group.num_layers):
        values = function(group.graph, [network.scores_LM[layer] for network in networks]).tolist()
        for a, b in itertools.combinations(range(len(networks)), 2):
            one, other = networks[a], networks[b]
            ends = {"width": one.width, "seed": one.seed, "other_width": other.width, "other_seed": other.seed}
            yield {"layer": layer + 1, **ends, "value": values[a][b]}


def _run(network: Network) -> Row:
    header = network.header
    return {
        "metric": header.metric,
        "val_metric": header.val_metric,
        "epoch": header.epoch,
        "temperature": header.temperature,
        "file": str(network.path),
    }


def _layers(graph: AttentionGraph, network: Network) -> Iterator[Row]:
    distances = distance.mean_energy_distances(graph, list(network.scores_LM)).tolist()
    for a, b in itertools.product(range(len(distances)), repeat=2):
        yield {"layer": a + 1, "other_layer": b + 1, "value": distances[a][b]}


def _baselines(graph: AttentionGraph, scores: Tensor) -> Iterator[Row]:
    for name in BASELINES:
        value = getattr(distance, f"distance_to_{name}")(graph, scores).nanmean()
        yield {"baseline": name, "value": float(value)}


def _quantiles(entropy: Tensor) -> Row:
    entropy = entropy[~entropy.isnan()].double()
    values = entropy.quantile(torch.tensor(QUANTILES).double()).tolist() if entropy.numel() < 1 << 24 else None
    values = values or [float(entropy.kthvalue(1 + int(q * (entropy.numel() - 1))).values) for q in QUANTILES]
    named = {f"q{100 * q:02.0f}": value for q, value in zip(QUANTILES, values, strict=True)}
    return {"nodes": entropy.numel(), "mean": float(entropy.mean()), **named}


def _histogram(entropy: Tensor) -> Iterator[Row]:
    entropy = entropy[~entropy.isnan()].clamp(0, 1)
    counts = torch.histc(entropy, HISTOGRAM_BINS, 0, 1) / entropy.numel()
    for place, share in enumerate(counts.tolist()):
        yield {"low": place / HISTOGRAM_BINS, "high": (place + 1) / HISTOGRAM_BINS, "share": share}


def _topk(known: _Known, scores: Tensor, ks: Sequence[int]) -> Iterator[Row]:
    mass_NK = measures.top_k_mass(known.graph, scores, ks)
    number_of_bins = int(known.bins.max()) + 1
    every_node = torch.where(known.bins >= 0, 0, -1)
    for k, mass in zip(ks, mass_NK.unbind(1), strict=True):
        covered = torch.where(mass.isnan(), torch.nan, (mass >= COVERED).double())
        for bins, number, name in ((every_node, 1, ALL), (known.bins, number_of_bins, None)):
            means, nodes = measures.bin_means(mass, bins, number)
            shares, _ = measures.bin_means(covered, bins, number)
            for place, count in enumerate(nodes.tolist()):
                if count:
                    low, high = _ends(place)
                    bounds = {"degrees": name or _span(low, high), "degree_low": low if name is None else 0}
                    yield {
                        "k": k,
                        **bounds,
                        "nodes": count,
                        "mass": float(means[place]),
                        "covered": float(shares[place]),
                    }


def _shares(known: _Known, scores: Tensor) -> Iterator[Row]:
    shares = measures.edge_type_shares(known.graph, scores)
    yield from _by_type(ALL, shares, known.uniform_types)
    mass = known.mass(scores)
    if mass is None:
        return
    for number, (of_class, uniform) in enumerate(zip(mass, known.uniform_mass, strict=True)):
        if of_class.sum() > 0:
            yield from _by_type(str(number), of_class.sum(0) / of_class.sum(), uniform.sum(0) / uniform.sum())


def _by_type(of_class: str, shares: Tensor, uniform: Tensor) -> Iterator[Row]:
    for name, share, even in zip(TYPE_NAMES, shares.tolist(), uniform.tolist(), strict=True):
        yield {"class": of_class, "edge_type": name, "share": share, "uniform": even}


def _same_class(known: _Known, scores: Tensor) -> Iterator[Row]:
    mass = known.mass(scores)
    if mass is None:
        return
    for name, types in KINDS_OF_NEIGHBOURS.items():
        shares, uniform = (measures.same_class_share(each, types) for each in (mass, known.uniform_mass))
        everywhere = [float(measures.same_class_share(each.sum(0), types)) for each in (mass, known.uniform_mass)]
        values = zip(
            (ALL, *map(str, range(known.num_classes))), [everywhere, *zip(shares, uniform, strict=True)], strict=True
        )
        for of_class, (share, even) in values:
            if float(even) == float(even):
                yield {"class": of_class, "edge_type": name, "share": float(share), "uniform": float(even)}


def _degrees(known: _Known, scores: Tensor) -> Iterator[Row]:
    relative = structure.relative_scores(known.graph, scores)
    is_neighbour = known.graph.edge_type != EdgeType.SELF_LOOP
    bins = torch.where(is_neighbour, known.heard_bins, -1)
    means, edges = measures.bin_means(relative, bins, max(1, int(bins.max()) + 1) if bins.numel() else 1)
    for place, count in enumerate(edges.tolist()):
        if count:
            low, high = _ends(place)
            span = {"degrees": _span(low, high), "degree_low": low}
            yield {**span, "edges": count, "relative_score": float(means[place])}


def _structure(known: _Known, scores: Tensor) -> Iterator[Row]:
    for name, values in known.properties.items():
        agreement = distance.rank_agreement(known.graph, scores, values)
        nodes = int((~agreement.isnan()).sum())
        if nodes:
            yield {"property": name, "nodes": nodes, "agreement": float(agreement.nanmean())}


def _ends(place: int) -> tuple[int, int]:
    return 1 << place, (2 << place) - 1


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
