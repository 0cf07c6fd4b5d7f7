"""Energy distances, their baselines and rank agreement against sums by hand and against drawing."""

import math

import pytest
import torch
from torch import Tensor

from spx.analysis import distance, row_ranges
from spx.errors import ArtifactError
from spx.graph.csr import AttentionGraph

from .conftest import random_graph, random_scores

CHOICE = [0, 2, 4]  # nodes of at least two edges


def test_energy_distance_by_hand(graph: AttentionGraph, scores: Tensor, others: Tensor) -> None:
    by_hand = [2 * 0.25**2, 0.3**2 + 0.1**2 + 0.1**2 + 0.3**2, 0.5**2 + 0 + 0.5**2]
    distances = distance.energy_distance(graph, scores, others)
    assert distances[CHOICE].tolist() == pytest.approx(by_hand, rel=1e-6)
    assert distances.isnan().tolist() == [False, True, False, True, False]


def test_energy_distance_is_what_its_definition_says(graph: AttentionGraph, scores: Tensor, others: Tensor) -> None:
    """D^2 = 2 P(X != Y) - P(X != X') - P(Y != Y'), over the row of four edges."""
    p, q = scores[2:6].double(), others[2:6].double()
    differ = 1 - torch.eye(4, dtype=torch.float64)
    expected = 2 * p @ differ @ q - p @ differ @ p - q @ differ @ q
    assert float(distance.energy_distance(graph, scores, others)[2]) == pytest.approx(float(expected))


def test_energy_distance_spans_0_to_2() -> None:
    graph = AttentionGraph(torch.tensor([0, 2]), torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.uint8))
    left, right = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert float(distance.energy_distance(graph, left, right)) == 2
    assert float(distance.energy_distance(graph, left, left)) == 0


def test_all_pairs_at_once_equal_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(200, 12)
    scores = [random_scores(graph, seed) for seed in range(4)]
    expected = torch.tensor([[distance.energy_distance(graph, p, q).nanmean() for q in scores] for p in scores])
    found = distance.mean_energy_distances(graph, scores)
    torch.testing.assert_close(found, expected.double(), atol=1e-7, rtol=1e-6)
    assert found.diagonal().tolist() == [0, 0, 0, 0]
    monkeypatch.setattr(distance, "ranges_of", lambda graph, chunk_edges: row_ranges.ranges_of(graph, 50))
    torch.testing.assert_close(distance.mean_energy_distances(graph, scores), found)


def test_distance_to_uniform_is_the_distance_to_equal_scores(graph: AttentionGraph, scores: Tensor) -> None:
    expected = distance.energy_distance(graph, scores, row_ranges.uniform_weights(graph))
    torch.testing.assert_close(distance.distance_to_uniform(graph, scores), expected, equal_nan=True, atol=1e-7, rtol=0)
    assert float(distance.distance_to_uniform(graph, scores)[2]) == pytest.approx(0.3 - 0.25)


@pytest.mark.parametrize("baseline", ["random", "shuffled"])
def test_expected_distances_equal_the_mean_over_draws(baseline: str) -> None:
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    graph = AttentionGraph(torch.tensor([0, 4]), torch.zeros(4, dtype=torch.int32), torch.zeros(4, dtype=torch.uint8))
    torch.manual_seed(0)
    if baseline == "random":
        draws = torch.distributions.Dirichlet(torch.ones(4).double()).sample((200_000,))
        expected = distance.distance_to_random(graph, p)
    else:
        draws = p[torch.rand(200_000, 4).argsort(1)]
        expected = distance.distance_to_shuffled(graph, p)
    assert float((draws - p).square().sum(1).mean()) == pytest.approx(float(expected), rel=0.01)


def test_ranks_share_the_mean_where_values_are_equal(graph: AttentionGraph) -> None:
    values = torch.tensor([3.0, 1.0, 5.0, 5.0, 2.0, 5.0, 9.0, 1.0, 2.0, 3.0])
    assert distance.row_ranks(graph, values).tolist() == [1, 0, 2, 2, 0, 2, 0, 0, 1, 2]


def test_rank_agreement_by_hand(graph: AttentionGraph, scores: Tensor, others: Tensor) -> None:
    agreement = distance.rank_agreement(graph, scores, others)
    # Row 0 has equal scores, row 2 is upside down, row 4 ranks (2, 1, 0) against (0.5, 0.5, 2).
    assert agreement[2] == pytest.approx(-1)
    assert agreement[4] == pytest.approx(-1.5 / math.sqrt(2 * 1.5))
    assert agreement.isnan().tolist() == [True, True, False, True, False]
    assert distance.rank_agreement(graph, others, others)[[0, 2, 4]].tolist() == pytest.approx([1, 1, 1])


def test_rank_agreement_equals_scipys() -> None:
    from scipy.stats import spearmanr

    graph = random_graph(40, 9, seed=3)
    p, q = (random_scores(graph, seed).mul(20).round() for seed in (1, 2))  # with ties
    agreement = distance.rank_agreement(graph, p, q)
    for node in range(graph.num_nodes):
        row = slice(int(graph.indptr[node]), int(graph.indptr[node + 1]))
        if p[row].unique().numel() > 1 and q[row].unique().numel() > 1:
            assert float(agreement[node]) == pytest.approx(spearmanr(p[row], q[row]).statistic, abs=1e-9)
        else:
            assert agreement[node].isnan()
    found = distance.mean_rank_agreements(graph, [p, q])
    assert float(found[0, 1]) == pytest.approx(float(agreement.nanmean()))
    assert found.diagonal().tolist() == pytest.approx([1, 1])


def test_scores_of_another_graph_are_refused(graph: AttentionGraph, scores: Tensor) -> None:
    for call in (
        lambda: distance.energy_distance(graph, scores, scores[:4]),
        lambda: distance.mean_energy_distances(graph, [scores, scores[:4]]),
        lambda: distance.row_ranks(graph, scores[:4]),
    ):
        with pytest.raises(ArtifactError, match=r"4 scores for 10 attention edges.*of one graph"):
            call()


@pytest.mark.parametrize("num_edges", [0, 1])
def test_a_graph_of_one_node_has_no_distance(num_edges: int) -> None:
    graph = AttentionGraph(
        torch.tensor([0, num_edges]),
        torch.zeros(num_edges, dtype=torch.int32),
        torch.full((num_edges,), 2, dtype=torch.uint8),
    )
    scores = torch.ones(num_edges)
    assert distance.energy_distance(graph, scores, scores).isnan().all()
    assert distance.mean_energy_distances(graph, [scores, scores]).isnan().all()
    assert distance.mean_rank_agreements(graph, [scores, scores]).isnan().all()
    assert distance.distance_to_uniform(graph, scores).isnan().all()
