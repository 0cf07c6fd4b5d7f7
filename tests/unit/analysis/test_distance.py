"""Agreement, energy distances, their baselines and ranks against sums by hand and against drawing."""

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
    found = distance.likeness(graph, scores)
    torch.testing.assert_close(found.distance, expected.double(), atol=1e-7, rtol=1e-6)
    assert found.distance.diagonal().tolist() == [0, 0, 0, 0]
    uniform = row_ranges.uniform_weights(graph)
    correlation = torch.corrcoef(torch.stack([p.double() - uniform for p in scores]))
    torch.testing.assert_close(found.agreement, correlation, atol=1e-6, rtol=0)
    monkeypatch.setattr(distance, "ranges_of", lambda graph, chunk_edges: row_ranges.ranges_of(graph, 50))
    for whole, in_ranges in zip(found, distance.likeness(graph, scores), strict=True):
        torch.testing.assert_close(in_ranges, whole)


def test_agreement_by_hand(graph: AttentionGraph, scores: Tensor, others: Tensor) -> None:
    # p - u and q - u of the rows of two, four and three edges; the row of one edge has no choice.
    p = [0, 0, -0.15, -0.05, 0.05, 0.15, 0.7 - 1 / 3, 0.2 - 1 / 3, 0.1 - 1 / 3]
    q = [-0.25, 0.25, 0.15, 0.05, -0.05, -0.15, 0.2 - 1 / 3, 0.2 - 1 / 3, 0.6 - 1 / 3]
    by_hand = sum(a * b for a, b in zip(p, q, strict=True))
    by_hand /= math.sqrt(sum(a * a for a in p) * sum(b * b for b in q))
    found = distance.likeness(graph, [scores, others]).agreement
    assert found.tolist() == [pytest.approx([1, by_hand], abs=1e-6), pytest.approx([by_hand, 1], abs=1e-6)]


def test_agreement_asks_for_the_edges_and_not_for_the_sharpness(graph: AttentionGraph, others: Tensor) -> None:
    uniform = row_ranges.uniform_weights(graph)
    flat = uniform + 0.1 * (others - uniform)
    found = distance.likeness(graph, [others, flat, 2 * uniform - flat, uniform])
    assert found.agreement[0, :3].tolist() == pytest.approx([1, 1, -1], abs=1e-5)
    assert found.distance[0, 1] == pytest.approx(0.81 * float(found.distance[0, 3]), rel=1e-5)
    assert found.agreement[3].isnan().all(), "uniform scores prefer no edge"


def test_shuffled_scores_do_not_agree_and_are_nearer_than_uniform_ones_only_above_a_half() -> None:
    graph = random_graph(3000, 12, seed=2)
    p, noise = (random_scores(graph, seed) for seed in (1, 2))
    order = row_ranges.sorted_in_rows(graph.indptr, torch.rand(graph.num_edges))
    assert abs(float(distance.likeness(graph, [p, p[order]]).agreement[0, 1])) < 0.03
    uniform = row_ranges.uniform_weights(graph)
    for share, nearer in ((0.45, False), (0.55, True)):
        mixed = share * (p - uniform) + math.sqrt(1 - share**2) * (noise - uniform) + uniform  # as sharp as p
        found = distance.likeness(graph, [p, mixed, uniform])
        assert float(found.agreement[0, 1]) == pytest.approx(share, abs=0.03)
        assert bool(found.distance[0, 1] < found.distance[0, 2]) == nearer


def test_distance_to_uniform_is_the_distance_to_equal_scores(graph: AttentionGraph, scores: Tensor) -> None:
    expected = distance.energy_distance(graph, scores, row_ranges.uniform_weights(graph))
    torch.testing.assert_close(distance.distance_to_uniform(graph, scores), expected, equal_nan=True, atol=1e-7, rtol=0)
    assert float(distance.distance_to_uniform(graph, scores)[2]) == pytest.approx(0.3 - 0.25)


def test_distance_to_shuffled_equals_the_mean_over_draws() -> None:
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    graph = AttentionGraph(torch.tensor([0, 4]), torch.zeros(4, dtype=torch.int32), torch.zeros(4, dtype=torch.uint8))
    draws = p[torch.rand(200_000, 4, generator=torch.Generator().manual_seed(0)).argsort(1)]
    expected = distance.distance_to_shuffled(graph, p)
    assert float((draws - p).square().sum(1).mean()) == pytest.approx(float(expected), rel=0.01)


@pytest.mark.parametrize(
    ("kind", "log_ratio", "squares"),
    [
        ("normal logits", 2, None),  # of two normal variables
        ("uniform logits", 1 / 6, None),
        ("dirichlet", math.pi**2 / 3, 2 / 5),  # logistic; 2 / (d + 1)
    ],
)
def test_random_scores_are_of_the_law_that_names_them(kind: str, log_ratio: float, squares: float | None) -> None:
    rows = 100_000
    edges = torch.zeros(4 * rows)
    graph = AttentionGraph(torch.arange(rows + 1) * 4, edges.int(), edges.byte())
    scores = distance.random_scores(graph, kind, seed=3).double().view(rows, 4)
    torch.testing.assert_close(scores.sum(1), torch.ones_like(scores[:, 0]), rtol=0, atol=1e-6)
    assert float((scores[:, 0] / scores[:, 1]).log().var()) == pytest.approx(log_ratio, rel=0.03)
    if squares is not None:
        assert float(scores.square().sum(1).mean()) == pytest.approx(squares, rel=0.01)
    assert torch.equal(distance.random_scores(graph, kind, 3), scores.float().flatten())
    assert not torch.equal(distance.random_scores(graph, kind, 4), scores.float().flatten())


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


def test_scores_of_another_graph_are_refused(graph: AttentionGraph, scores: Tensor) -> None:
    for call in (
        lambda: distance.energy_distance(graph, scores, scores[:4]),
        lambda: distance.likeness(graph, [scores, scores[:4]]),
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
    for found in distance.likeness(graph, [scores, scores]):
        assert found.isnan().all()
    assert distance.distance_to_uniform(graph, scores).isnan().all()
