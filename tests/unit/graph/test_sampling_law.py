"""The law of the draw: frequencies over many equal rows against probabilities that are computed exactly.

Each test is one call over one graph of equal rows with a fixed seed, judged by a chi-square test. The threshold,
p = 1e-5, would fail a right sampler once in 100,000 seeds.
"""

import functools
import itertools
import math
import operator
from collections import Counter, defaultdict

import pytest
import scipy.stats
import torch
from daily import every_day
from torch import Tensor

from spx.graph.csr import AttentionGraph, augment
from spx.graph.sampling import sample_neighbors

NUM_ROWS = 20_000
LEAST_P = 1e-5

FLAT = [0.2, 0.2, 0.2, 0.2, 0.2]
SKEWED = [0.02, 0.5, 0.13, 0.05, 0.3]
NEAR_ONE_HOT = [1e-4, 3e-4, 0.999, 4e-4, 2e-4]
LAWS = pytest.mark.parametrize("weights", [FLAT, SKEWED, NEAR_ONE_HOT], ids=["flat", "skewed", "near-one-hot"])

Outcome = tuple[int, ...]


def equal_rows(num_rows: int, degree: int) -> AttentionGraph:
    """Every row attends to nodes 0 to degree - 1."""
    sources = torch.arange(degree, dtype=torch.int32).repeat(num_rows, 1)
    return augment(torch.zeros(2, 0, dtype=torch.int64), num_rows, sources, self_loops=False)


def successive_draws(weights: list[float], k: int) -> dict[Outcome, float]:
    """Exact probability of each set of K successive weighted draws without replacement, by enumeration."""
    law: dict[Outcome, float] = defaultdict(float)
    for order in itertools.permutations(range(len(weights)), k):
        probability, left = 1.0, sum(weights)
        for edge in order:
            probability *= weights[edge] / left
            left -= weights[edge]
        law[tuple(sorted(order))] += probability
    return law


def draws_with_replacement(weights: list[float], number: int) -> dict[Outcome, float]:
    """Exact probability of each sorted tuple of weighted draws with replacement."""
    law: dict[Outcome, float] = defaultdict(float)
    for order in itertools.product(range(len(weights)), repeat=number):
        law[tuple(sorted(order))] += math.prod(weights[edge] for edge in order) / sum(weights) ** number
    return law


def assert_follows(counts: Counter, law: dict[Outcome, float]) -> None:
    """Chi-square test; outcomes expected less than 8 times are pooled."""
    assert sum(law.values()) == pytest.approx(1)
    assert counts.keys() <= law.keys(), "an outcome that can't be"
    total = counts.total()
    rare = [outcome for outcome in law if law[outcome] * total < 8]
    bins = [[outcome] for outcome in law if outcome not in rare] + ([rare] if rare else [])
    observed = [sum(counts[outcome] for outcome in members) for members in bins]
    expected = [sum(law[outcome] for outcome in members) * total for members in bins]
    if expected[-1] < 8:  # even the pool is rare: a Poisson bound, and the rest by chi-square
        assert observed[-1] <= scipy.stats.poisson.isf(LEAST_P, expected[-1])
        observed, expected = observed[:-1], [e * sum(observed[:-1]) / sum(expected[:-1]) for e in expected[:-1]]
    p = scipy.stats.chisquare(observed, expected).pvalue if len(observed) > 1 else 1.0
    assert p > LEAST_P, f"p = {p:.1e}: observed {observed}, expected {[round(e, 1) for e in expected]}"


def sorted_rows(table: Tensor) -> Counter:
    return Counter(map(tuple, table.sort(1).values.tolist()))


def test_the_judge_tells_a_wrong_law() -> None:
    """Drawing every set with a chance proportional to its weights' product is close, and not the law."""
    products = {s: math.prod(SKEWED[e] for e in s) for s in itertools.combinations(range(5), 2)}
    wrong = {s: p / sum(products.values()) for s, p in products.items()}
    counts = Counter({s: round(p * NUM_ROWS) for s, p in wrong.items()})
    assert_follows(counts, wrong)
    with pytest.raises(AssertionError, match="p = "):
        assert_follows(counts, successive_draws(SKEWED, 2))


@LAWS
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_sets_follow_successive_weighted_draws(weights: list[float], k: int) -> None:
    graph = equal_rows(NUM_ROWS, len(weights))
    table = sample_neighbors(graph, torch.tensor(weights).repeat(NUM_ROWS), k, seed=11 + k)
    assert_follows(sorted_rows(table.neighbors), successive_draws(weights, k))


@LAWS
def test_inclusion_frequencies_match_the_exact_ones(weights: list[float]) -> None:
    """Per edge, within 5 standard deviations."""
    k, law = 3, successive_draws(weights, 3)
    graph = equal_rows(NUM_ROWS, len(weights))
    table = sample_neighbors(graph, torch.tensor(weights).repeat(NUM_ROWS), k, seed=2)
    counts = table.neighbors.flatten().long().bincount(minlength=len(weights))
    for edge, count in enumerate(counts.tolist()):
        inclusion = sum(p for members, p in law.items() if edge in members)
        spread = math.sqrt(NUM_ROWS * inclusion * (1 - inclusion))
        assert abs(count - NUM_ROWS * inclusion) <= 5 * spread + 1


def test_the_scale_of_the_weights_does_not_matter() -> None:
    graph = equal_rows(NUM_ROWS, 5)
    for scale in (1e-6, 1e6):
        table = sample_neighbors(graph, torch.tensor(SKEWED).repeat(NUM_ROWS) * scale, 2, seed=4)
        assert_follows(sorted_rows(table.neighbors), successive_draws(SKEWED, 2))


def test_uniform_follows_the_flat_law_whatever_the_weights() -> None:
    graph = equal_rows(NUM_ROWS, 5)
    table = sample_neighbors(graph, torch.tensor(NEAR_ONE_HOT).repeat(NUM_ROWS), 2, seed=3, sampler="uniform")
    assert_follows(sorted_rows(table.neighbors), successive_draws(FLAT, 2))


def test_rows_of_other_degrees_in_between_keep_the_law() -> None:
    """Rows of 5, 6, 1, 3 and 8 edges by turns: each kind follows its own weights."""
    kinds = [SKEWED, [*NEAR_ONE_HOT, 0.1], [1.0], [0.6, 0.1, 0.3], [0.3, 0.01, 0.02, 0.2, 0.2, 0.07, 0.1, 0.1]]
    repeats = 10_000
    sources = torch.cat([torch.arange(len(kind)) for kind in kinds]).repeat(repeats).to(torch.int32)
    degrees = torch.tensor([len(kind) for kind in kinds]).repeat(repeats)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)))
    graph = AttentionGraph(indptr, sources, torch.zeros(sources.numel(), dtype=torch.uint8))
    weights = torch.tensor(functools.reduce(operator.iadd, kinds, [])).repeat(repeats)
    table = sample_neighbors(graph, weights, 3, seed=7).neighbors
    for first, kind in enumerate(kinds):
        rows = table[first :: len(kinds)]
        if len(kind) >= 3:
            assert_follows(sorted_rows(rows), successive_draws(kind, 3))
        else:
            assert not rows.any(), "one edge, three times"


def test_rows_are_drawn_independently_of_each_other() -> None:
    """Pairs of following rows, as one outcome."""
    graph = equal_rows(NUM_ROWS, 3)
    weights = [0.5, 0.3, 0.2]
    table = sample_neighbors(graph, torch.tensor(weights).repeat(NUM_ROWS), 1, seed=8).neighbors.view(-1, 2)
    law = {(a, b): weights[a] * weights[b] for a, b in itertools.product(range(3), repeat=2)}
    assert_follows(Counter(map(tuple, table.tolist())), law)


@pytest.mark.parametrize("sampler", ["attention", "uniform"])
@every_day("neighbour_degree", [3, 4, 7], 1)
def test_spare_slots_of_a_short_row_are_drawn_with_replacement(sampler: str, neighbour_degree: int) -> None:
    """Rows of 3 edges for 6 slots, by turns with rows of another degree: what is left after one of each edge."""
    weights, other = [0.7, 0.05, 0.25], [1.0 + i for i in range(neighbour_degree)]
    sources = torch.cat((torch.arange(3), torch.arange(neighbour_degree))).repeat(NUM_ROWS).to(torch.int32)
    degrees = torch.tensor([3, neighbour_degree]).repeat(NUM_ROWS)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)))
    graph = AttentionGraph(indptr, sources, torch.zeros(sources.numel(), dtype=torch.uint8))
    table = sample_neighbors(graph, torch.tensor(weights + other).repeat(NUM_ROWS), 6, seed=9, sampler=sampler)
    repeats: Counter = Counter()
    for row in table.neighbors[::2].tolist():
        rest = Counter(row)
        rest.subtract(range(3))
        assert min(rest.values()) >= 0
        repeats[tuple(sorted(rest.elements()))] += 1
    assert_follows(repeats, draws_with_replacement(weights if sampler == "attention" else [1.0] * 3, 3))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("sampler", ["attention", "uniform"])
def test_edge_weights_multiply_the_scores(sampler: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr("spx.graph.sampling.can_compile", lambda: False)
    graph = equal_rows(NUM_ROWS, len(SKEWED))
    factors = [2.0, 0.1, 1.0, 3.0, 0.5]
    scores, edge_weight = (torch.tensor(row).repeat(NUM_ROWS) for row in (SKEWED, factors))
    table = sample_neighbors(graph, scores, 2, seed=1, sampler=sampler, edge_weight=edge_weight)
    weights = [s * f for s, f in zip(SKEWED, factors, strict=True)] if sampler == "attention" else factors
    counts = Counter(tuple(row) for row in table.neighbors.tolist())
    assert_follows(counts, successive_draws(weights, 2))
