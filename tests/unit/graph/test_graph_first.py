"""Graph edges before all others: exactly, at the ends of all weights, by both implementations of the draw."""

import itertools

import pytest
import torch
from daily import every_day

from spx.graph.csr import AttentionGraph, EdgeType, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import NeighborTable, SamplerName, sample_neighbors
from spx.kernels import noise

SAMPLERS: list[SamplerName] = ["attention", "uniform", "top"]
EXTREMES = [0.0, 1e-45, 1e-38, 1e-30, 1e-15, 1.0, 3.4e38]
SEEDS = [0, 7, 2**63 - 1]


def extreme_graph(num_rows: int = 4000) -> AttentionGraph:
    """Rows of 1 to 12 edges of all types in any order, with 0 to 12 graph edges."""
    stream = torch.Generator().manual_seed(2)
    degrees = torch.randint(1, 13, (num_rows,), generator=stream)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)))
    number = int(indptr[-1])
    share = torch.repeat_interleave(torch.rand(num_rows, generator=stream), degrees)
    other = torch.randint(1, 3, (number,), generator=stream)
    edge_type = torch.where(torch.rand(number, generator=stream) < share, 0, other)
    return AttentionGraph(indptr, torch.arange(number).int(), edge_type.byte())


@pytest.fixture(params=["compiled", "plain"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations of the draw."""
    if request.param == "plain":
        monkeypatch.setattr("spx.graph.sampling.can_compile", lambda: False)


def graph_edges_come_first(graph: AttentionGraph, table: NeighborTable, k: int, sampler: SamplerName) -> None:
    """Every row has all graph edges that there is a slot for, and each of its edges once where it has as many as slots.
    Repeats are of graph edges alone, of "top" in ranked order. The source of an edge is its place among all."""
    is_graph, degrees = graph.edge_type == EdgeType.GRAPH, graph.degrees()
    graph_degrees = torch.bincount(graph.rows()[is_graph], minlength=graph.num_nodes)
    drawn = table.neighbors.long()
    assert is_graph[drawn].equal(table.edge_type == EdgeType.GRAPH)
    assert (graph.rows()[drawn] == torch.arange(graph.num_nodes)[:, None]).all()
    distinct = torch.zeros(graph.num_edges, dtype=torch.bool)
    distinct[drawn] = True
    of_rows = torch.bincount(graph.rows()[distinct], minlength=graph.num_nodes)
    assert of_rows.equal(degrees.clamp(max=k))
    repeats = (graph_degrees > 0) * (k - degrees)
    if sampler == "top":
        repeats = (k // degrees - 1) * graph_degrees + torch.minimum(k % degrees, graph_degrees)
    expected = torch.where(degrees <= k, graph_degrees + repeats, graph_degrees.clamp(max=k))
    assert is_graph[drawn].sum(1).equal(expected)


@pytest.mark.usefixtures("either")
@every_day("of_graph", EXTREMES, EXTREMES[:1])
@every_day("of_others", EXTREMES, (EXTREMES[0], EXTREMES[-1]))
def test_graph_edges_first_is_exact_at_the_ends_of_all_weights(of_graph: float, of_others: float) -> None:
    graph = extreme_graph()
    weights = torch.where(graph.edge_type == EdgeType.GRAPH, of_graph, of_others)
    for k, seed in itertools.product((1, 4, 20), SEEDS):
        for sampler in SAMPLERS:
            given = None if sampler == "uniform" else weights
            graph_edges_come_first(graph, sample_neighbors(graph, given, k, seed, sampler, True), k, sampler)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_graph_edges_first_is_exact_for_mixed_and_for_broken_weights(sampler: SamplerName) -> None:
    graph = extreme_graph()
    extremes = torch.tensor([*EXTREMES, torch.inf, -torch.inf, torch.nan, -1.0])
    for seed in range(5):
        places = torch.randint(len(extremes), (graph.num_edges,), generator=torch.Generator().manual_seed(seed))
        for k in (1, 4, 20):
            table = sample_neighbors(graph, extremes[places], k, seed, sampler, True)
            graph_edges_come_first(graph, table, k, sampler)


@pytest.mark.parametrize("sampler", ["attention", "uniform"])
@pytest.mark.parametrize("k", [1, 4, 20])
def test_both_draws_of_graph_edges_first_are_one(sampler: SamplerName, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = extreme_graph()
    for seed in SEEDS:
        weights = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(seed % 100)) ** 40
        compiled = sample_neighbors(graph, weights, k, seed, sampler, graph_first=True)
        with monkeypatch.context() as patch:
            patch.setattr("spx.graph.sampling.can_compile", lambda: False)
            plain = sample_neighbors(graph, weights, k, seed, sampler, graph_first=True)
        assert all(map(torch.equal, compiled, plain))


@pytest.mark.usefixtures("either")
@every_day("sampler", SAMPLERS, 1)
def test_graph_edges_first_draws_among_them_as_from_them_alone(sampler: SamplerName) -> None:
    """Of rows of graph edges alone, or of none, nothing changes: not a bit of any draw."""
    for edge_type in EdgeType:
        graph = extreme_graph()
        graph = graph._replace(edge_type=torch.full_like(graph.edge_type, edge_type))
        weights = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(3)) ** 40
        for k, seed in itertools.product((1, 4, 20), SEEDS):
            tables = [sample_neighbors(graph, weights, k, seed, sampler, first) for first in (False, True)]
            assert all(map(torch.equal, *tables))


@pytest.mark.usefixtures("either")
def test_the_largest_random_number_is_no_way_around_the_order() -> None:
    """An expander edge whose u rounds to 1 would have key 0, before every graph edge."""
    graph = AttentionGraph(torch.tensor([0, 2]), torch.tensor([0, 1]).int(), torch.tensor([0, 1]).byte())
    for counter, k, expected in ((1, 1, [0]), (4, 3, [0, 1, 0])):  # of the second edge, and of the third slot
        seed = (seed_of_number(2**64 - 1) - counter * noise.GAMMA) % 2**64
        assert float(noise.uniform(seed, torch.tensor([counter]))) == 1 - 2.0**-53
        drawn = sample_neighbors(graph, torch.tensor([0.0, 3e38]), k, seed, "attention", graph_first=True)
        assert drawn.neighbors.tolist() == [expected]


def seed_of_number(number: int) -> int:
    """The seed by which SplitMix64's first 64 bits are the given ones: its steps, each undone."""

    def undone(x: int, shift: int) -> int:
        result = x
        for _ in range(64 // shift):
            result = x ^ (result >> shift)
        return result

    x = undone(number, 31) * pow(noise.MIX_2, -1, 2**64) % 2**64
    x = undone(x, 27) * pow(noise.MIX_1, -1, 2**64) % 2**64
    return (undone(x, 30) - noise.GAMMA) % 2**64


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("graph_first", [True, False])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_row_gives_a_table_of_none(sampler: SamplerName, graph_first: bool) -> None:
    graph = AttentionGraph(torch.zeros(1).long(), torch.zeros(0).int(), torch.zeros(0).byte())
    table = sample_neighbors(graph, torch.zeros(0), 3, 0, sampler, graph_first)
    assert table.neighbors.shape == table.edge_type.shape == (0, 3)
    assert (table.neighbors.dtype, table.edge_type.dtype) == (torch.int32, torch.uint8)


@pytest.mark.parametrize("sampler", ["attention", "uniform", "top"])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_graph_edges_first(sampler: SamplerName, k: int) -> None:
    """Whatever the scores are: all graph edges where there are slots for them, nothing else where there aren't."""
    stream = torch.Generator().manual_seed(0)
    edge_index = torch.randint(500, (2, 1500), generator=stream)
    graph = augment(edge_index, 500, build_expander(500, 4, 0))
    is_graph = graph.edge_type == EdgeType.GRAPH
    weights = torch.where(is_graph, 1e-9, 1.0) * torch.rand(graph.num_edges, generator=stream) ** 8
    graph_degrees = torch.bincount(graph.rows()[is_graph], minlength=500)
    assert graph_degrees.min() < 3 < graph_degrees.max()
    table = sample_neighbors(graph, weights, k, 5, sampler, graph_first=True)
    assert (table.edge_type == EdgeType.GRAPH).sum(1).equal(graph_degrees.clamp(max=k))
    for row in table.neighbors.tolist():
        assert len(set(row)) >= min(k, 2), "without replacement"


def test_graph_edges_first_keeps_the_law_within_a_kind() -> None:
    """One slot, two graph edges of weights 3 and 1, among others that are a million times heavier."""
    indptr = torch.arange(0, 4 * 20_001, 4)
    graph = AttentionGraph(
        indptr, torch.arange(4).repeat(20_000).int(), torch.tensor([0, 0, 1, 2], dtype=torch.uint8).repeat(20_000)
    )
    weights = torch.tensor([3e-6, 1e-6, 1.0, 1.0]).repeat(20_000)
    drawn = sample_neighbors(graph, weights, 1, 7, graph_first=True).neighbors
    assert drawn.max() == 1
    assert abs(drawn.float().mean() - 0.25) < 4 * (0.25 * 0.75 / 20_000) ** 0.5
