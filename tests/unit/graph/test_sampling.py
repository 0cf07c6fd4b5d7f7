import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from spx.errors import ConfigError, DatasetError
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import LazyTable, NeighborTable, SamplerName, draw_seed, sample_neighbors

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


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("graph_first", [False, True])
@pytest.mark.parametrize("compiled", [True, False])
def test_rows_asked_for_are_those_of_the_whole_table(
    monkeypatch: pytest.MonkeyPatch, sampler: SamplerName, graph_first: bool, compiled: bool
) -> None:
    graph = graph_of()
    arguments = (graph, weights_of(graph), 4, 7, sampler, graph_first)
    whole, nodes = sample_neighbors(*arguments), torch.tensor([5, 79, 0, 33])
    if not compiled:
        monkeypatch.setattr("spx.graph.sampling.can_compile", lambda: False)
    for rows in (sample_neighbors(*arguments, nodes), LazyTable(*arguments).rows(nodes), whole.rows(nodes)):
        assert rows.neighbors.equal(whole.neighbors[nodes])
        assert rows.edge_type.equal(whole.edge_type[nodes])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("part_edges", [10, 100, 10_000])
def test_a_table_that_is_drawn_in_parts_is_the_same(
    monkeypatch: pytest.MonkeyPatch, sampler: SamplerName, part_edges: int
) -> None:
    monkeypatch.setattr("spx.graph.sampling.PART_EDGES", part_edges)
    graph, parts = graph_of(), []
    arguments = (graph, weights_of(graph), 4, 7, sampler)
    table = LazyTable(*arguments, after_part=lambda: parts.append(1)).whole()
    whole = sample_neighbors(*arguments)
    assert table.neighbors.equal(whole.neighbors)
    assert table.edge_type.equal(whole.edge_type)
    few, most = {10: (30, 80), 100: (5, 8), 10_000: (1, 1)}[part_edges]  # of 660 edges in 80 rows, one of 80 edges
    assert few <= len(parts) <= most


def test_of_rows_asked_for_an_empty_one_is_named_and_others_are_drawn() -> None:
    graph = augment(torch.tensor([[1, 2], [0, 1]]), 4, self_loops=False)
    with pytest.raises(DatasetError, match="Node 3 has no attention edge to sample from"):
        sample_neighbors(graph, None, 3, 0, "uniform", rows=torch.tensor([1, 3]))
    assert sample_neighbors(graph, None, 2, 0, "uniform", rows=torch.tensor([1, 0])).neighbors.tolist() == [
        [2, 2],
        [1, 1],
    ]


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
