"""What batches of core nodes are expected to reach, against what they do."""

import pytest
import torch

from benchmarks.common import power_law_edges
from spx.graph.blocks import build_blocks
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.reach import EDGES_A_ROW, count_degrees, expected_work, lazy_layers
from spx.graph.sampling import LazyTable

NUM_NODES, DEGREES = 20_000, [4, 3, 5]


@pytest.fixture(scope="module")
def graph() -> AttentionGraph:
    """Rows of a power law, the largest of a thousand edges and more."""
    return augment(power_law_edges(NUM_NODES, 200_000), NUM_NODES, build_expander(NUM_NODES, 2, seed=0))


@pytest.mark.parametrize("core_nodes", [1, 30, 1000, NUM_NODES])
def test_the_expected_work_is_that_of_the_rows_that_are_drawn(
    graph: AttentionGraph, core_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [LazyTable(graph, None, k, seed, "uniform") for seed, k in enumerate(DEGREES)]
    drawn: list[int] = []
    rows = LazyTable.rows

    def count(table: LazyTable, nodes: torch.Tensor) -> object:
        drawn.append(int(graph.degrees()[nodes].sum()) + EDGES_A_ROW * nodes.numel())
        return rows(table, nodes)

    monkeypatch.setattr(LazyTable, "rows", count)
    order, repeats = (
        torch.randperm(NUM_NODES, generator=torch.Generator().manual_seed(1)),
        100 if core_nodes < 50 else 1,
    )
    for start in range(repeats):
        build_blocks(tables, order[start * core_nodes : (start + 1) * core_nodes])
    expected = expected_work(count_degrees(graph), DEGREES, core_nodes)
    for layer, work in enumerate(expected):
        happened = sum(drawn[len(DEGREES) - 1 - layer :: len(DEGREES)]) / repeats
        assert 0.6 < work / happened < 1.6, layer


def test_few_core_nodes_are_drawn_lazily_and_many_are_not(graph: AttentionGraph) -> None:
    rows = count_degrees(graph)
    assert lazy_layers(rows, DEGREES, [1]) == [True] * 3
    assert lazy_layers(rows, DEGREES, [NUM_NODES]) == [False] * 3
    assert lazy_layers(rows, DEGREES, [1000] * 20) == [False] * 3, "all nodes in batches"
    assert lazy_layers(rows, DEGREES, [1500]) == [False, True, True], "the first layer needs most of the graph"
    assert lazy_layers(rows, DEGREES, [1], times=float("inf")) == [False] * 3
    assert lazy_layers(rows, DEGREES, [1] * 3, 10_000) == [False] * 3
    assert lazy_layers(rows, DEGREES, []) == [False] * 3, "the whole graph at once"


def test_a_graph_with_an_empty_row_is_left_to_the_whole_draw() -> None:
    bare = augment(torch.tensor([[1, 2], [0, 1]]), 4, self_loops=False)
    assert lazy_layers(count_degrees(bare), [2], [1]) == [False]
