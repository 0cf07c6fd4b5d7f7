"""Rows split over ranks: as many edges each, together the whole graph, numbered with the rank's own rows first."""

import pytest
import torch
from torch import Tensor

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import ExpanderKind, build_expander
from spx.graph.sharding import edge_bounds, make_shard

NUM_NODES, DEGREE = 500, 3


def edges_of(seed: int = 0, num_nodes: int = NUM_NODES, num_edges: int = 4_000) -> Tensor:
    """In-degrees from 0 to hundreds, some edges twice, some self-loops."""
    stream = torch.Generator().manual_seed(seed)
    target = (torch.rand(num_edges, generator=stream) ** 3 * num_nodes).long()
    return torch.stack((torch.randint(num_nodes, (num_edges,), generator=stream), target))


def rows_of(graph: AttentionGraph, rows: range) -> tuple[Tensor, Tensor, Tensor]:
    edges = slice(int(graph.indptr[rows.start]), int(graph.indptr[rows.stop]))
    indptr = graph.indptr[rows.start : rows.stop + 1]
    return indptr - indptr[0], graph.source[edges], graph.edge_type[edges]


@pytest.mark.parametrize("kind", ["hamiltonian", "permutation"])
@pytest.mark.parametrize("num_nodes", [7, 40, NUM_NODES])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_rows_built_alone_are_the_whole_graphs(ranks: int, num_nodes: int, kind: ExpanderKind) -> None:
    edge_index = edges_of(num_nodes=num_nodes)
    whole = augment(edge_index, num_nodes, build_expander(num_nodes, DEGREE, 0, kind))
    bounds = edge_bounds(edge_index, num_nodes, 2 * DEGREE + 1, ranks)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, num_nodes, ranks + 1)
    for rank in range(ranks):
        rows = range(bounds[rank], bounds[rank + 1])
        table = build_expander(num_nodes, DEGREE, 0, kind, rows=rows)
        built = augment(edge_index, num_nodes, table, rows=rows)
        assert all(a.equal(b) for a, b in zip(built, rows_of(whole, rows), strict=True))
        shard = make_shard(built, bounds, rank)
        assert shard.num_nodes == len(rows)
        assert shard.global_sources().equal(built.source)
        own_first = torch.tensor([*rows, *range(rows.start), *range(rows.stop, num_nodes)])
        assert own_first[shard.graph.source.long()].equal(built.source.long())


def test_a_large_expander_is_drawn_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the size where the spectral gap is checked no rank draws the others' rows."""
    monkeypatch.setattr("spx.graph.expander.SPECTRAL_CHECK_NODES", 100)
    whole = build_expander(NUM_NODES, DEGREE, 1)
    assert build_expander(NUM_NODES, DEGREE, 1, rows=range(123, 321)).equal(whole[123:321])


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_ranks_hold_as_many_edges_within_five_percent(ranks: int) -> None:
    edge_index = edges_of(num_edges=20_000).unique(dim=1)
    bounds = edge_bounds(edge_index, NUM_NODES, 7, ranks)
    graph = augment(edge_index, NUM_NODES, build_expander(NUM_NODES, DEGREE, 0))
    edges = graph.indptr[torch.tensor(bounds)].diff().double()
    assert float((edges / edges.mean() - 1).abs().max()) < 0.05
    nodes = torch.tensor(bounds).diff().double()
    assert float((nodes / nodes.mean() - 1).abs().max()) > 0.2, "balanced by nodes, this graph would tell nothing"


def test_each_rank_has_a_row_even_where_one_row_has_nearly_all_edges() -> None:
    star = torch.stack((torch.arange(1, 6), torch.zeros(5, dtype=torch.int64)))
    for hub in (0, 3, 5):
        edge_index = torch.stack((star[0], torch.full_like(star[1], hub))).repeat(1, 100)
        for ranks in (2, 5, 6):
            assert (torch.tensor(edge_bounds(edge_index, 6, 1, ranks)).diff() > 0).all()
    with pytest.raises(ConfigError, match=r"6 nodes .* 7 devices"):
        edge_bounds(star, 6, 1, 7)
