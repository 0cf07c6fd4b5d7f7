"""The compiled draw against the plain one: the same table, edge for edge."""

import warnings

import pytest
import torch
from daily import every_day
from torch import Tensor

from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.kernels import compiled_rows, cpu_sampling, noise, torch_sampling


def graph_of(num_nodes: int = 300, num_edges: int = 3000) -> AttentionGraph:
    """Rows of many degrees, one of them with an edge from every node, and some with a self-loop alone."""
    stream = torch.Generator().manual_seed(0)
    target = torch.rand(num_edges, generator=stream).square().mul(0.9 * num_nodes).long()
    source = torch.randint(0, num_nodes, (num_edges,), generator=stream)
    hub = torch.stack((torch.arange(num_nodes), torch.full((num_nodes,), 5)))
    expander = build_expander(num_nodes, 1, seed=0)
    graph = augment(torch.cat((torch.stack((source, target)), hub), 1), num_nodes, expander)
    row = graph.rows()
    keep = (row < 0.9 * num_nodes) | (graph.edge_type == 2)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), row[keep].bincount(minlength=num_nodes).cumsum(0)))
    return AttentionGraph(indptr, graph.source[keep], graph.edge_type[keep]).check()


def weights_of(kind: str, num_edges: int) -> Tensor | None:
    flat = torch.rand(num_edges, generator=torch.Generator().manual_seed(1))
    return {"uniform": None, "smooth": flat, "heavy-tailed": flat**40, "mostly zero": flat * (flat > 0.9)}[kind]


KINDS = pytest.mark.parametrize("kind", ["uniform", "smooth", "heavy-tailed", "mostly zero"])


@KINDS
@pytest.mark.parametrize("k", [1, 2, 3, 10, 400])
def test_the_compiled_draw_is_the_plain_one(kind: str, k: int) -> None:
    graph = graph_of()
    assert graph.degrees().min() == 1
    assert graph.degrees().max() > 299
    weights = weights_of(kind, graph.num_edges)
    for seed in (0, 1, 2**63 - 1):
        compiled = cpu_sampling.draw(*graph, weights, k, seed)
        plain = torch_sampling.draw(*graph, weights, k, seed)
        assert all(map(torch.equal, compiled, plain))


@KINDS
@every_day("k", [1, 3, 10, 400], 2)
@pytest.mark.parametrize("first_type", [None, 0])
def test_factors_are_those_of_weights_multiplied_before(kind: str, k: int, first_type: int | None) -> None:
    graph = graph_of()
    weights = weights_of(kind, graph.num_edges)
    if weights is None:
        return
    factors = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(9)) * 3
    product = weights.float() * factors
    for draw in (cpu_sampling.draw, torch_sampling.draw):
        found = draw(*graph, weights, k, 4, first_type=first_type, factors=factors)
        assert all(map(torch.equal, found, draw(*graph, product, k, 4, first_type=first_type)))
    ranked = torch_sampling.draw(*graph, weights, k, 4, False, first_type, factors=factors)
    assert all(map(torch.equal, ranked, torch_sampling.draw(*graph, product, k, 4, False, first_type)))


ROWS = torch.tensor([299, 5, 7, 7, 0, 280, 123])
"""One of them the hub, one twice, and some with a self-loop alone."""


@KINDS
@pytest.mark.parametrize("k", [1, 3, 10, 400])
@pytest.mark.parametrize("first_type", [None, 0])
@every_day("rows", [ROWS, torch.arange(300), torch.empty(0, dtype=torch.int64)], 1, ids=["7", "all", "none"])
def test_some_rows_are_those_of_the_whole_table(kind: str, k: int, first_type: int | None, rows: Tensor) -> None:
    graph = graph_of()
    weights = weights_of(kind, graph.num_edges)
    draws = [lambda **more: cpu_sampling.draw(*graph, weights, k, 4, first_type, **more)]
    draws.append(lambda **more: torch_sampling.draw(*graph, weights, k, 4, first_type=first_type, **more))
    if weights is not None:
        draws.append(lambda **more: torch_sampling.draw(*graph, weights, k, 4, False, first_type, **more))
    for draw in draws:
        assert all(some.equal(whole[rows]) for some, whole in zip(draw(rows=rows), draw(), strict=True))


def test_some_rows_are_the_same_in_chunks_and_by_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, rows = graph_of(), torch.randperm(300, generator=torch.Generator().manual_seed(2))[:200]
    weights = weights_of("smooth", graph.num_edges)
    whole = [tensor[rows] for tensor in cpu_sampling.draw(*graph, weights, 4, 3)]
    for parts in (1, 2, 5):
        monkeypatch.setattr(cpu_sampling, "num_threads", lambda _: parts)  # noqa: B023
        assert all(map(torch.equal, cpu_sampling.draw(*graph, weights, 4, 3, rows=rows), whole))
    for chunk_edges in (1, 37, 400):
        monkeypatch.setattr(torch_sampling, "CHUNK_EDGES", chunk_edges)
        assert all(map(torch.equal, torch_sampling.draw(*graph, weights, 4, 3, rows=rows), whole))


@pytest.mark.parametrize("chunk_edges", [1, 5, 37, 400])
@pytest.mark.parametrize("random", [True, False])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk_edges: int, random: bool) -> None:
    graph = graph_of()
    weights = weights_of("smooth", graph.num_edges)
    whole = torch_sampling.draw(*graph, weights, 4, 3, random)
    monkeypatch.setattr(torch_sampling, "CHUNK_EDGES", chunk_edges)
    assert all(map(torch.equal, torch_sampling.draw(*graph, weights, 4, 3, random), whole))


def test_padding_never_more_than_doubles_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of 3,000 edges among 3,000 short ones must not widen them all."""
    sizes: list[int] = []
    smallest = torch_sampling._smallest

    def record(keys: Tensor, k: int, stable: bool) -> Tensor:
        sizes.append(keys.numel())
        return smallest(keys, k, stable)

    monkeypatch.setattr(torch_sampling, "_smallest", record)
    graph = graph_of(3000, 9000)
    torch_sampling.draw(*graph, None, 2, 0)
    assert graph.num_edges <= sum(sizes) <= 2 * graph.num_edges


def test_broken_weights_still_give_edges_of_the_row() -> None:
    graph = graph_of()
    for value in (torch.nan, torch.inf, -1.0):
        weights = torch.full((graph.num_edges,), value)
        for module in (cpu_sampling, torch_sampling):
            neighbors, _ = module.draw(*graph, weights, 3, 0)
            for node, drawn in enumerate(neighbors.tolist()):
                assert set(drawn) <= set(graph.source[graph.indptr[node] : graph.indptr[node + 1]].tolist())


def test_without_the_compiler_the_draw_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of()
    compiled = sample_neighbors(graph, weights_of("smooth", graph.num_edges), 3, 7)
    monkeypatch.setattr("spx.graph.sampling.can_compile", lambda: False)
    monkeypatch.setattr(cpu_sampling, "draw", None)
    plain = sample_neighbors(graph, weights_of("smooth", graph.num_edges), 3, 7)
    assert all(map(torch.equal, compiled, plain))


def test_the_noise_is_splitmix64() -> None:
    """Its first numbers from seed 0, and from a seed whose counter wraps around, by exact arithmetic."""

    def exact(seed: int, counter: int) -> float:
        mask = 2**64 - 1
        x = (seed + (counter + 1) * noise.GAMMA) & mask
        x = ((x ^ (x >> 30)) * noise.MIX_1) & mask
        x = ((x ^ (x >> 27)) * noise.MIX_2) & mask
        return (((x ^ (x >> 31)) >> 11) + 0.5) / 2**53

    assert exact(0, 0) == ((0xE220A8397B1DCDAF >> 11) + 0.5) / 2**53
    counters = torch.tensor([0, 1, 2, 10**9, 2**40])
    for seed in (0, 1, 2**63 - 1):
        assert noise.uniform(seed, counters).tolist() == [exact(seed, int(counter)) for counter in counters]


@pytest.mark.parametrize("parts", [1, 2, 5, 37, 10_000])
def test_ranges_cover_each_row_once_and_are_even(parts: int) -> None:
    graph = graph_of()
    ranges = compiled_rows.row_ranges(graph.indptr, parts)
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(graph.num_nodes))
    assert len(ranges) <= parts
    longest = int(graph.degrees().max())
    for start, stop in ranges:
        assert graph.indptr[stop] - graph.indptr[start] <= graph.num_edges / parts + longest + parts


def test_a_kernels_error_reaches_the_caller_from_any_thread() -> None:
    def kernel(part: int, start: int, stop: int) -> None:
        if part == 1:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        compiled_rows.run_over(kernel, [(0, 1), (1, 2), (2, 3)])


def test_a_missing_compiler_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str):
        raise ImportError("Numba needs NumPy 2.3 or less")

    monkeypatch.setattr(compiled_rows.importlib, "import_module", broken)
    compiled_rows.can_compile.cache_clear()
    try:
        with pytest.warns(UserWarning, match="numba can't be used .*NumPy 2.3.*pip install numba"):
            assert not compiled_rows.can_compile()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not compiled_rows.can_compile()
    finally:
        compiled_rows.can_compile.cache_clear()
