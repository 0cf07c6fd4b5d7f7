"""Weights of a graph's edges: whatever their unit, and beside expander edges and self-loops."""

import pytest
import torch

from spx.graph.csr import EdgeType, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.graph.weights import graph_weights, row_weights, same_weights

NUM_NODES = 40
GENERATOR = torch.Generator().manual_seed(0)
EDGES = torch.randint(NUM_NODES, (2, 300), generator=GENERATOR)  # duplicates and self-loops among them
WEIGHT = torch.randint(1, 1000, (300,), generator=GENERATOR).float()
GRAPH = augment(EDGES, NUM_NODES, build_expander(NUM_NODES, 2, seed=0))
IS_GRAPH = GRAPH.edge_type == EdgeType.GRAPH


def by_hand() -> dict[tuple[int, int], float]:
    """(attending node, source) -> sum of the weights of the edges between them."""
    sums: dict[tuple[int, int], float] = {}
    for (source, target), weight in zip(EDGES.t().tolist(), WEIGHT.tolist(), strict=True):
        if source != target:
            sums[target, source] = sums.get((target, source), 0.0) + weight
    return sums


def of_graph(weight: torch.Tensor) -> dict[tuple[int, int], float]:
    ends = zip(GRAPH.rows()[IS_GRAPH].tolist(), GRAPH.source[IS_GRAPH].tolist(), strict=True)
    return dict(zip(ends, weight[IS_GRAPH].tolist(), strict=True))


def test_a_row_has_a_mean_of_one_and_parallel_edges_add_up() -> None:
    sums = by_hand()
    assert len(sums) < 290, "some are parallel"
    rows: dict[int, list[float]] = {}
    for (node, _), weight in sums.items():
        rows.setdefault(node, []).append(weight)
    wanted = {(node, source): weight * len(rows[node]) / sum(rows[node]) for (node, source), weight in sums.items()}
    found = row_weights(GRAPH, EDGES, WEIGHT)
    assert found.dtype == torch.float32
    assert of_graph(found) == pytest.approx(wanted)
    assert (found[~IS_GRAPH] == 1).all(), "the expander's edges and self-loops"


def test_the_whole_graph_has_a_mean_of_one_and_stays_symmetric() -> None:
    sums = by_hand()
    mean = sum(sums.values()) / len(sums)
    found = graph_weights(GRAPH, EDGES, WEIGHT)
    assert of_graph(found) == pytest.approx({ends: weight / mean for ends, weight in sums.items()})
    both, twice = torch.cat([EDGES, EDGES.flip(0)], 1), WEIGHT.repeat(2)
    graph = augment(both, NUM_NODES, self_loops=False)
    weight = graph_weights(graph, both, twice)
    dense = torch.zeros(NUM_NODES, NUM_NODES).index_put((graph.rows(), graph.source.long()), weight)
    assert dense.equal(dense.T)


@pytest.mark.parametrize("weight", [1.0, 3.0, 0.1, 1e-30, 1e30, 7e-7])
@pytest.mark.parametrize("make", [row_weights, graph_weights])
def test_equal_weights_are_exactly_one(make, weight: float) -> None:
    edges = EDGES.unique(dim=1)
    graph = augment(edges, NUM_NODES, build_expander(NUM_NODES, 2, seed=0))
    assert (make(graph, edges, torch.full((edges.size(1),), weight)) == 1).all()


@pytest.mark.parametrize("factor", [1000.0, 1e-20, 1e20])
def test_the_unit_does_not_matter(factor: float) -> None:
    found, usual = (row_weights(GRAPH, EDGES, weight) for weight in (WEIGHT * factor, WEIGHT))
    torch.testing.assert_close(found, usual, rtol=1e-6, atol=0)
    scores = torch.rand(GRAPH.num_edges, generator=torch.Generator().manual_seed(1))
    for sampler in ("attention", "uniform", "top"):
        first, second = (
            sample_neighbors(GRAPH, scores, 4, seed=3, sampler=sampler, edge_weight=each) for each in (found, usual)
        )
        assert all(one.equal(other) for one, other in zip(first, second, strict=True))


def test_a_graph_without_edges() -> None:
    none, weight = EDGES[:, :0], WEIGHT[:0]
    graph = augment(none, NUM_NODES, build_expander(NUM_NODES, 2, seed=0))
    assert (row_weights(graph, none, weight) == 1).all()
    assert (graph_weights(graph, none, weight) == 1).all()


def test_the_same_weights_in_another_order() -> None:
    order = torch.randperm(300, generator=GENERATOR)
    given = (EDGES, WEIGHT)
    assert same_weights(given, (EDGES[:, order], WEIGHT[order]), NUM_NODES)
    assert not same_weights(given, (EDGES, WEIGHT.roll(1)), NUM_NODES)
    assert not same_weights(given, (EDGES[:, 1:], WEIGHT[1:]), NUM_NODES)
