"""The tables hold what the measures say, once for each network and layer."""

import math

import polars as pl
import pytest
import torch

from spx.analysis import distance, measures
from spx.analysis.row_ranges import row_sums, uniform_weights
from spx.graph.csr import AttentionGraph
from spx.score_study.artifacts import Group
from spx.score_study.tables import Labels, Tables, score_tables

from .conftest import KS, LAYERS, SEEDS, WIDTHS

NETWORKS = len(WIDTHS) * len(SEEDS)


def only(table: pl.DataFrame, **values: object) -> dict:
    """The one row of these values."""
    found = table.filter(*(pl.col(name) == value for name, value in values.items()))
    assert found.height == 1, found
    return found.row(0, named=True)


def test_every_pair_of_networks_stands_once(tables: Tables, groups: list[Group]) -> None:
    pairs = NETWORKS * (NETWORKS - 1) // 2
    table = tables["distances"]
    assert table.height == 2 * LAYERS * pairs
    assert (table["width"] <= table["other_width"]).all()
    graph, one, other = groups[0].graph, *(groups[0].networks[place].scores_LM[1] for place in (1, 4))
    row = only(table, graph="graph", layer=2, width=4, seed=1, other_width=16, other_seed=0)
    assert row["value"] == pytest.approx(float(distance.energy_distance(graph, one, other).nanmean()), abs=1e-9)
    uniform = uniform_weights(graph)
    agreement = torch.corrcoef(torch.stack([one - uniform, other - uniform]).double())[0, 1]
    assert row["agreement"] == pytest.approx(float(agreement), abs=1e-6)


def test_entropy_and_its_distribution(tables: Tables, groups: list[Group]) -> None:
    entropy = measures.normalized_entropy(groups[0].graph, groups[0].networks[0].scores_LM[0])
    row = only(tables["entropy"], graph="graph", width=4, seed=0, layer=1)
    assert row["mean"] == pytest.approx(float(entropy.nanmean()))
    assert row["q50"] == pytest.approx(float(entropy.double().nanquantile(0.5)))
    assert row["nodes"] == int((~entropy.isnan()).sum()) < 90, "nodes without a choice don't count"
    histogram = tables["entropy_histogram"].group_by("graph", "width", "seed", "layer").agg(pl.col("share").sum())
    assert histogram["share"].to_list() == pytest.approx([1] * histogram.height)


def test_top_k_mass_by_degree_averages_to_that_of_all(tables: Tables, groups: list[Group]) -> None:
    mass = measures.top_k_mass(groups[1].graph, groups[1].networks[0].scores_LM[2], KS)
    here = {"graph": "augmented", "width": 4, "seed": 0, "layer": 3, "k": 2}
    row = only(tables["topk"], **here, degrees="all")
    assert row["mass"] == pytest.approx(float(mass[:, 1].mean()))
    assert row["covered"] == pytest.approx(float((mass[:, 1] >= 0.9).double().mean()))
    bins = tables["topk"].filter(*(pl.col(name) == value for name, value in here.items()), pl.col("degree_low") > 0)
    assert bins["nodes"].sum() == 90
    assert float((bins["mass"] * bins["nodes"]).sum() / 90) == pytest.approx(row["mass"])


def test_shares_sum_to_one_and_stand_beside_uniform_attention(tables: Tables, groups: list[Group]) -> None:
    sums = tables["shares"].group_by("graph", "width", "seed", "layer", "class").agg(pl.col("share", "uniform").sum())
    assert sums["share"].to_list() == pytest.approx([1] * sums.height)
    assert sums["uniform"].to_list() == pytest.approx([1] * sums.height)
    graph = groups[1].graph
    row = only(
        tables["shares"],
        **{"graph": "augmented", "width": 8, "seed": 1, "layer": 1, "class": "all"},
        edge_type="expander",
    )
    expected = measures.edge_type_shares(graph, groups[1].networks[3].scores_LM[0])
    assert row["share"] == pytest.approx(float(expected[1]))
    assert row["uniform"] == pytest.approx(float(measures.edge_type_shares(graph, uniform_weights(graph))[1]))


def test_shares_to_the_same_class(tables: Tables, groups: list[Group], labels: Labels) -> None:
    graph, scores = groups[1].graph, groups[1].networks[0].scores_LM[1]
    same = labels.y[graph.source.long()] == labels.y[graph.rows()]
    of_graph = graph.edge_type == 0
    here = {"graph": "augmented", "width": 4, "seed": 0, "layer": 2, "edge_type": "graph"}
    row = only(tables["same_class"], **here, **{"class": "all"})
    assert row["share"] == pytest.approx(float(scores[of_graph & same].sum() / scores[of_graph].sum()), rel=1e-5)
    of_class = labels.y[graph.rows()] == 2
    row = only(tables["same_class"], **here, **{"class": "2"})
    expected = scores[of_graph & same & of_class].sum() / scores[of_graph & of_class].sum()
    assert row["share"] == pytest.approx(float(expected), rel=1e-5)


def test_facts_of_the_graphs(tables: Tables, groups: list[Group], labels: Labels) -> None:
    row = only(tables["graphs"], graph="graph")
    graph = groups[0].graph
    assert (row["nodes"], row["edges"], row["edges_expander"]) == (90, graph.num_edges, 0)
    assert row["empty_rows"] == int((graph.degrees() == 0).sum()) > 0
    same = labels.y[graph.source.long()] == labels.y[graph.rows()]
    assert row["edge_homophily"] == pytest.approx(float(same.double().mean()))
    assert only(tables["graphs"], graph="augmented")["edges_self_loop"] == 90


def test_baselines_and_layers(tables: Tables, groups: list[Group]) -> None:
    network = groups[0].networks[5]
    row = only(tables["baselines"], graph="graph", width=16, seed=1, layer=2, baseline="uniform")
    expected = distance.distance_to_uniform(groups[0].graph, network.scores_LM[1]).nanmean()
    assert row["value"] == pytest.approx(float(expected))
    baselines = tables["baselines"].filter(graph="graph", width=16, seed=1, layer=2)
    assert baselines["baseline"].to_list() == ["uniform", "normal logits", "uniform logits", "dirichlet", "shuffled"]
    drawn = baselines.filter(baseline="dirichlet")["value"].item()
    assert drawn == pytest.approx(float(dirichlet_in_the_mean(groups[0].graph, network.scores_LM[1])), rel=0.1)
    row = only(tables["layers"], graph="graph", width=16, seed=1, layer=1, other_layer=3)
    expected = distance.energy_distance(groups[0].graph, network.scores_LM[0], network.scores_LM[2]).nanmean()
    assert row["value"] == pytest.approx(float(expected), abs=1e-9)


def dirichlet_in_the_mean(graph: AttentionGraph, p: torch.Tensor) -> torch.Tensor:
    """E sum_j (p_j - q_j)^2 = sum_j p_j^2 - 2 / d + 2 / (d + 1), since E q_j = 1 / d and E q_j^2 = 2 / (d (d + 1))."""
    degrees = graph.degrees().double()
    return (row_sums(graph, p.square()) - 2 / degrees + 2 / (degrees + 1))[degrees > 1].mean()


@pytest.mark.full
def test_tasks_of_several_labels_have_no_classes(groups: list[Group]) -> None:
    tables = score_tables(groups, Labels(None, 4), KS, resistance_nodes=0)
    assert "same_class" not in tables
    assert set(tables["shares"]["class"]) == {"all"}
    assert tables["graphs"]["edge_homophily"].to_list() == [None, None]
    assert set(tables["structure"]["property"]) == {"degree"}, "resistances were switched off"


def test_sampled_edges_of_the_wide_network(tables: Tables) -> None:
    kept = tables["mass_kept"]
    assert set(kept["layer"]) == {1, 2}, "the layers that both have"
    assert set(kept["sampler"]) == {"attention", "top", "uniform", "own"}
    means = kept.filter(pl.col("sampler") == "own").sort("layer", "k")
    assert means["mass"].is_between(0, 1).all()
    by_k = means.group_by("k", maintain_order=True).agg(pl.col("mass").mean())["mass"].to_list()
    assert by_k == sorted(by_k)
    errors = tables["output_error"]
    assert (
        errors.filter(pl.col("sampler") == "top")["expected"].null_count()
        == errors.filter(pl.col("sampler") == "top").height
    )
    assert tables["replaced_error"].height == 2 * (NETWORKS + 1)
    slopes = tables["slopes"].filter((pl.col("quantity") == "expected") & (pl.col("sampler") == "own"))
    assert slopes["slope"].to_list() == pytest.approx([-0.5, -0.5])
    assert not any(math.isnan(slope) for slope in tables["slopes"]["slope"])


def test_agreement_with_the_wide_networks_own_scores(tables: Tables) -> None:
    agreement = tables["agreement"]
    assert agreement.height == 2 * NETWORKS
    assert agreement["agreement"].is_between(-1, 1).all()
    assert (agreement["distance"] > 0).all()
    assert agreement.group_by("layer").agg(pl.col("uniform_distance").n_unique())["uniform_distance"].to_list() == [
        1,
        1,
    ]


def test_one_network_has_no_pairs(groups: list[Group], labels: Labels) -> None:
    group = groups[1]
    alone = Group(group.name, group.graph, group.fingerprint, group.networks[:1])
    tables = score_tables([alone], labels, [1], resistance_nodes=0)
    assert "distances" not in tables
    assert tables["entropy"].height == LAYERS
    assert torch.tensor(tables["baselines"]["value"].to_list()).isfinite().all()
