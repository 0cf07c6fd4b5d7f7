"""Relative scores, degrees and effective resistances: by hand and against the dense pseudo-inverse."""

import pytest
import torch
from torch import Tensor

from spx.analysis.row_ranges import uniform_weights
from spx.analysis.structure import effective_resistances, graph_degrees, relative_scores
from spx.graph.csr import AttentionGraph, augment


def test_relative_scores_by_hand(graph: AttentionGraph, scores: Tensor) -> None:
    assert relative_scores(graph, scores)[2:6].tolist() == pytest.approx([0.4, 0.8, 1.2, 1.6])
    assert relative_scores(graph, uniform_weights(graph)).tolist() == pytest.approx([1] * 10)


def test_graph_degrees_count_graph_edges_alone(graph: AttentionGraph) -> None:
    assert graph_degrees(graph).tolist() == [1, 3, 0, 0, 1]


def test_resistances_of_a_path_and_a_triangle() -> None:
    # 0 - 1 - 2 - 0 is a triangle, 2 - 3 a bridge; node 4 stands alone.
    pairs = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
    graph = augment(torch.cat((pairs, pairs.flip(0)), 1), 5)
    resistances = effective_resistances(graph, probes=1000)
    ends = list(zip(graph.rows().tolist(), graph.source.tolist(), strict=True))
    for (i, j), resistance in zip(ends, resistances.tolist(), strict=True):
        exact = 0 if i == j else 1 if {i, j} == {2, 3} else 2 / 3
        assert resistance == pytest.approx(exact, abs=0.05)


def test_resistances_against_the_dense_pseudo_inverse() -> None:
    edges = torch.randint(30, (2, 90), generator=torch.Generator().manual_seed(0))
    graph = augment(edges, 30, self_loops=False)
    laplacian = torch.zeros(30, 30, dtype=torch.float64)
    rows, source = graph.rows(), graph.source.long()
    laplacian[rows, source] = -1
    laplacian = torch.minimum(laplacian, laplacian.T)
    laplacian -= torch.diag(laplacian.sum(1))
    inverse = torch.linalg.pinv(laplacian)
    exact = inverse.diagonal()[rows] + inverse.diagonal()[source] - 2 * inverse[rows, source]
    found = effective_resistances(graph, probes=1000)
    torch.testing.assert_close(found, exact, rtol=0.2, atol=0)
    assert float((found / exact).mean()) == pytest.approx(1, abs=0.02)


def test_a_graph_without_edges_has_no_resistance() -> None:
    graph = augment(torch.zeros(2, 0, dtype=torch.int64), 3)
    assert effective_resistances(graph).tolist() == [0, 0, 0]
