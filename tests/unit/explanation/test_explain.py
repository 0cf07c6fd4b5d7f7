"""How many nodes are explained at once."""

import pytest

from spx.explanation import explain
from spx.explanation.explain import OF_A_STATE, batch_size_of
from spx.graph.sampling import sample_neighbors

from .conftest import NUM_NODES, make_graph, make_network


def test_large_neighbourhoods_are_explained_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, network = make_graph(), make_network(num_layers=2)
    tables = [sample_neighbors(graph, None, k, k, "uniform") for k in (1, 3)]
    assert batch_size_of(network, tables, 16) == 16
    of_a_node = 8 * 2 * OF_A_STATE  # width and layers
    monkeypatch.setattr(explain, "HELD", 5 * 8 * of_a_node)  # of five neighbourhoods of (1 + 1) (3 + 1) nodes
    assert batch_size_of(network, tables, 16) == 5
    assert batch_size_of(network, tables, 3) == 3
    assert batch_size_of(network, [graph], 16) == 5 * 8 // NUM_NODES == 1
    monkeypatch.setattr(explain, "HELD", 1)
    assert batch_size_of(network, tables, 16) == 1
    monkeypatch.undo()
    assert batch_size_of(make_network(norm="graph"), tables, 16) == 1
