import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from spx.errors import ConfigError, DatasetError
from spx.graph.csr import AttentionGraph, EdgeType, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import NeighborTable, SamplerName, draw_seed, sample_neighbors
from spx.kernels import noise

SAMPLERS: list[SamplerName] = ["attention", "uniform", "top"]


def graph_of(num_nodes: int = 80, num_edges: int = 500, seed: int = 0) -> AttentionGraph:
    """Rows of many degrees, one of them with an edge from every node."""
    stream = torch.Generator().manual_seed(seed)
    target = torch.randint(0, num_nodes, (num_edges,), generator=stream).float().square().div(num_nodes).long()
    source = torch.randint(0, num_nodes, (num_edges,), generator=stream)
    hub = torch.stack((torch.arange(num_nodes), torch.full((num_nodes,), 5)))
    edge_index = torch.cat((torch.stack((source, target)), hub), 1)
    return augment(edge_index, num_nodes, build_expander(num_nodes, 1, seed))


def weights_of(graph: AttentionGraph, seed: int = 0) -> Tensor:
    return torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(seed)) ** 4


def row_pairs(graph: AttentionGraph) -> list[Counter]:
    """How often each (source, type) stands in each row."""
    pairs = list(zip(graph.source.tolist(), graph.edge_type.tolist(), strict=True))
    bounds = graph.indptr.tolist()
    return [Counter(pairs[start:stop]) for start, stop in itertools.pairwise(bounds)]


def drawn_pairs(table: NeighborTable) -> Iterator[Counter]:
    for sources, types in zip(table.neighbors.tolist(), table.edge_type.tolist(), strict=True):
        yield Counter(zip(sources, types, strict=True))


def assert_valid(graph: AttentionGraph, table: NeighborTable, k: int) -> None:
    """K distinct edges of the row, or all of a shorter row and repeats of it."""
    for row, drawn in zip(row_pairs(graph), drawn_pairs(table), strict=True):
        assert drawn.total() == k
        if row.total() >= k:
            assert drawn <= row, "an edge was drawn twice or comes from another row"
        else:
            assert row <= drawn, "a short row keeps all of its edges"
            assert drawn.keys() == row.keys()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 40, 120])
def test_distinct_edges_or_the_whole_row(sampler: SamplerName, k: int) -> None:
    graph = graph_of()
    degrees = graph.degrees()
    assert degrees.min() == 3, "the case has a row of the least degree"
    table = sample_neighbors(graph, weights_of(graph), k, 1, sampler)
    assert table.neighbors.shape == table.edge_type.shape == (80, k)
    assert table.neighbors.dtype == torch.int32
    assert table.edge_type.dtype == torch.uint8
    assert (table.num_nodes, table.num_edges) == (80, 80 * k)
    assert_valid(graph, table, k)


def test_one_node() -> None:
    graph = augment(torch.zeros(2, 0, dtype=torch.int64), 1)
    assert sample_neighbors(graph, torch.ones(1), 4, 0).neighbors.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("sampler", ["attention", "uniform"])
def test_the_seed_decides_and_nothing_else(sampler: SamplerName) -> None:
    graph = graph_of()
    weights = weights_of(graph)
    first = sample_neighbors(graph, weights, 3, 9, sampler)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = sample_neighbors(graph, weights, 3, 9, sampler)
    assert all(map(torch.equal, first, again))
    assert torch.equal(torch.get_rng_state(), state), "the global stream is left alone"
    assert not torch.equal(sample_neighbors(graph, weights, 3, 10, sampler).neighbors, first.neighbors)


def test_the_number_of_threads_changes_nothing() -> None:
    graph = graph_of(20_000, 100_000)
    weights = weights_of(graph)
    threads = torch.get_num_threads()
    try:
        drawn = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            drawn.append(sample_neighbors(graph, weights, 3, 9))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(table.neighbors, drawn[0].neighbors) for table in drawn)


def test_a_row_is_drawn_anew_in_each_draw() -> None:
    """Every edge of every row comes up within 200 draws of a flat law."""
    graph = graph_of(30, 60)
    seen: list[set] = [set() for _ in range(30)]
    for draw in range(200):
        for row, pairs in zip(seen, drawn_pairs(sample_neighbors(graph, None, 3, draw, "uniform")), strict=True):
            row.update(pairs)
    assert [len(row) for row in seen] == [len(row) for row in row_pairs(graph)]


def test_uniform_ignores_weights() -> None:
    graph = graph_of()
    without = sample_neighbors(graph, None, 3, 9, "uniform")
    for weights in (weights_of(graph), torch.zeros(graph.num_edges), torch.ones(3)):
        assert all(map(torch.equal, sample_neighbors(graph, weights, 3, 9, "uniform"), without))


@pytest.mark.parametrize("k", [1, 3, 6, 30])
def test_top_takes_the_largest_and_of_equal_ones_the_first(k: int) -> None:
    graph = graph_of()
    weights = (weights_of(graph) * 4).round()  # many ties, among zeros too
    bounds = graph.indptr.tolist()
    drawn = drawn_pairs(sample_neighbors(graph, weights, k, 0, "top"))
    for start, stop, pairs in zip(bounds, bounds[1:], drawn, strict=False):
        ranked = sorted(range(start, stop), key=lambda edge: (-float(weights[edge]), edge))
        expected = [ranked[slot % len(ranked)] for slot in range(k)]
        assert pairs == Counter((int(graph.source[edge]), int(graph.edge_type[edge])) for edge in expected)


def test_top_draws_nothing() -> None:
    graph = graph_of()
    first, second = (sample_neighbors(graph, weights_of(graph), 6, seed, "top") for seed in (0, 1))
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("tiny", [1.0, 1e-6, 1e-20])
def test_zero_weights_come_after_every_positive_one(tiny: float) -> None:
    num_nodes = 2000
    complete = torch.arange(6).repeat(num_nodes, 1).to(torch.int32)
    graph = augment(torch.zeros(2, 0, dtype=torch.int64), num_nodes, complete, self_loops=False)
    weights = torch.tensor([0, tiny, 0, 1, 0, tiny]).repeat(num_nodes)
    for sampler in ("attention", "top"):
        three = sample_neighbors(graph, weights, 3, 0, sampler).neighbors.sort(1).values
        assert torch.equal(three, torch.tensor([1, 3, 5], dtype=torch.int32).expand(num_nodes, 3))
    four = sample_neighbors(graph, weights, 4, 0).neighbors
    counts = four.flatten().long().bincount(minlength=6)
    assert counts[[1, 3, 5]].tolist() == [num_nodes] * 3
    assert (counts[[0, 2, 4]] > num_nodes / 4).all(), "of zeros each has the same chance"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_any_precision_are_left_alone(dtype: torch.dtype) -> None:
    graph = graph_of()
    weights = weights_of(graph).to(dtype)
    before = weights.clone()
    assert_valid(graph, sample_neighbors(graph, weights, 3, 0), 3)
    assert torch.equal(weights, before)


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


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("graph_first", [True, False])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_row_gives_a_table_of_none(sampler: SamplerName, graph_first: bool) -> None:
    graph = AttentionGraph(torch.zeros(1).long(), torch.zeros(0).int(), torch.zeros(0).byte())
    table = sample_neighbors(graph, torch.zeros(0), 3, 0, sampler, graph_first)
    assert table.neighbors.shape == table.edge_type.shape == (0, 3)
    assert (table.neighbors.dtype, table.edge_type.dtype) == (torch.int32, torch.uint8)


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
@pytest.mark.parametrize("of_graph", EXTREMES)
@pytest.mark.parametrize("of_others", EXTREMES)
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
@pytest.mark.parametrize("sampler", SAMPLERS)
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


def test_draw_seeds_are_all_different() -> None:
    seeds = {draw_seed(seed, draw, layer) for seed in range(15) for draw in range(-3, 120) for layer in range(-1, 12)}
    assert len(seeds) == 15 * 123 * 13
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert max(seeds) > 2**62


def test_a_draw_seed_never_changes() -> None:
    """A resumed run must repeat its draws, so this value may not depend on version or platform."""
    assert draw_seed(0, 0, 0) == 728_534_652_295_568_042
    assert draw_seed(3, -1, 2) == 8_332_373_838_513_925_810


@pytest.mark.parametrize("k", [0, -2])
def test_a_degree_below_one_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=f"k is {k}; each layer samples at least 1"):
        sample_neighbors(graph_of(), None, k, 0, "uniform")


@pytest.mark.parametrize("sampler", ["attention", "top"])
def test_missing_weights_are_refused(sampler: SamplerName) -> None:
    with pytest.raises(ConfigError, match=f"The sampler '{sampler}' needs attention scores"):
        sample_neighbors(graph_of(), None, 3, 0, sampler)


@pytest.mark.parametrize("sampler", ["attention", "top"])
def test_weights_of_another_length_are_refused(sampler: SamplerName) -> None:
    graph = graph_of()
    with pytest.raises(ConfigError, match=f"There are 3 scores for {graph.num_edges} attention edges"):
        sample_neighbors(graph, torch.ones(3), 3, 0, sampler)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_row_without_an_edge_is_named(sampler: SamplerName) -> None:
    graph = augment(torch.tensor([[1, 2], [0, 1]]), 4, self_loops=False)
    with pytest.raises(DatasetError, match="Node 2 has no attention edge to sample from"):
        sample_neighbors(graph, torch.ones(2), 3, 0, sampler)
