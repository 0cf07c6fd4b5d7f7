"""Top-k mass, class shares, homophily, degree bins: by hand."""

import math

import pytest
import torch
from torch import Tensor

from spx.analysis.measures import (
    adjusted_homophily,
    bin_means,
    class_mass,
    degree_bins,
    edge_type_shares,
    normalized_entropy,
    same_class_share,
    top_k_mass,
)
from spx.analysis.row_ranges import uniform_weights
from spx.errors import ArtifactError
from spx.graph.csr import AttentionGraph, EdgeType

from .conftest import random_graph, random_scores

LABELS = torch.tensor([0, 1, 0, 1, 0])


def test_top_k_mass_by_hand(graph: AttentionGraph, scores: Tensor) -> None:
    mass = top_k_mass(graph, scores, [1, 2, 3, 8])
    assert mass[0].tolist() == pytest.approx([0.5, 1, 1, 1])
    assert mass[2].tolist() == pytest.approx([0.4, 0.7, 0.9, 1])
    assert mass[3].tolist() == [1, 1, 1, 1]
    assert mass[4].tolist() == pytest.approx([0.7, 0.9, 1, 1])
    assert mass[1].isnan().all(), "an empty row attends to nothing"


def test_top_k_mass_of_uniform_attention_is_k_over_the_degree() -> None:
    graph = random_graph(300, 20)
    mass = top_k_mass(graph, uniform_weights(graph), [4])[:, 0]
    degrees = graph.degrees()
    expected = torch.where(degrees > 0, (4 / degrees).clamp(max=1), torch.nan)
    torch.testing.assert_close(mass, expected.double(), equal_nan=True, atol=1e-6, rtol=0)


def test_class_mass_by_hand(graph: AttentionGraph, scores: Tensor) -> None:
    mass = class_mass(graph, scores, LABELS, 2)
    # Class 0 are the nodes 0, 2 and 4, class 1 the nodes 1 (no edge) and 3.
    expected_0 = [[0.5 + 0.2 + 0.2, 0.4, 0], [0.1, 0.7, 0.5 + 0.3 + 0.1]]
    torch.testing.assert_close(mass[0], torch.tensor(expected_0).double())
    torch.testing.assert_close(mass[1], torch.tensor([[1.0, 0, 0], [0, 0, 0]]).double())
    assert float(mass.sum()) == pytest.approx(4), "one for each node that has an edge"
    shares = edge_type_shares(graph, scores)
    torch.testing.assert_close(mass.sum((0, 1)) / mass.sum(), shares)


def test_share_from_the_same_class_by_hand(graph: AttentionGraph, scores: Tensor) -> None:
    mass = class_mass(graph, scores, LABELS, 2)
    assert same_class_share(mass).tolist() == pytest.approx([0.8 / 2.1, 0])
    assert float(same_class_share(mass.sum(0))) == pytest.approx(0.8 / 3.1)
    assert same_class_share(mass, [EdgeType.GRAPH]).tolist() == pytest.approx([0.1 / 1.0, 0])
    assert same_class_share(mass, [EdgeType.EXPANDER])[1].isnan(), "class 1 has no expander edge"


def test_nodes_without_a_class_are_left_out_and_count_as_others(graph: AttentionGraph, scores: Tensor) -> None:
    mass = class_mass(graph, scores, torch.tensor([-1, 1, 0, 1, 0]), 2)
    assert float(mass.sum()) == pytest.approx(3), "the rows of nodes 2, 3 and 4"
    assert float(mass[0, 0].sum()) == pytest.approx(0.1 + 0.2 + 0.4 + 0.7 + 0.2)


def test_homophily_by_hand(graph: AttentionGraph) -> None:
    # Graph edges, attending to source: 0-1, 2-0, 2-1, 3-4, 4-1; of one class: 2-0.
    ones = torch.ones(graph.num_edges)
    edge_homophily = float(same_class_share(class_mass(graph, ones, LABELS, 2).sum(0), [EdgeType.GRAPH]))
    assert edge_homophily == pytest.approx(1 / 5)
    by_chance = 0.8 * 0.4 + 0.2 * 0.6
    assert adjusted_homophily(graph, LABELS, 2) == pytest.approx((0.2 - by_chance) / (1 - by_chance))


def test_homophily_of_two_cliques_is_one_and_of_one_class_undefined() -> None:
    source = torch.tensor([1, 0, 3, 2], dtype=torch.int32)
    graph = AttentionGraph(torch.arange(5), source, torch.zeros(4, dtype=torch.uint8))
    assert adjusted_homophily(graph, torch.tensor([0, 0, 1, 1]), 2) == pytest.approx(1)
    assert math.isnan(adjusted_homophily(graph, torch.zeros(4, dtype=torch.int64), 1))
    assert math.isnan(adjusted_homophily(graph._replace(edge_type=graph.edge_type + 1), torch.zeros(4).long(), 1))


def test_degree_bins_are_powers_of_two() -> None:
    assert degree_bins(torch.tensor([0, 1, 2, 3, 4, 7, 8, 1024, 1025])).tolist() == [-1, 0, 1, 1, 2, 2, 3, 10, 10]


def test_bin_means_count_what_is_finite() -> None:
    values = torch.tensor([1.0, 3.0, torch.nan, 5.0, 100.0])
    means, number = bin_means(values, torch.tensor([0, 0, 0, 2, -1]), 3)
    assert means[[0, 2]].tolist() == [2, 5]
    assert means[1].isnan()
    assert number.tolist() == [2, 0, 1]


def test_scores_of_another_graph_are_refused(graph: AttentionGraph) -> None:
    short = torch.ones(3)
    for call in (
        lambda: normalized_entropy(graph, short),
        lambda: top_k_mass(graph, short, [1]),
        lambda: edge_type_shares(graph, short),
        lambda: class_mass(graph, short, LABELS, 2),
    ):
        with pytest.raises(ArtifactError, match="3 scores for 10 attention edges"):
            call()


def test_measures_go_through_long_graphs_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(500, 15, seed=4)
    scores, labels = random_scores(graph, 5), torch.arange(500) % 3
    whole = (top_k_mass(graph, scores, [2]), class_mass(graph, scores, labels, 3), normalized_entropy(graph, scores))
    monkeypatch.setattr("spx.analysis.row_ranges.ranges_of.__defaults__", (64,))
    parts = (top_k_mass(graph, scores, [2]), class_mass(graph, scores, labels, 3), normalized_entropy(graph, scores))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)
