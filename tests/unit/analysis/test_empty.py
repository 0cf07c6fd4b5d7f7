"""Measures of a graph without a row, and of rows without an edge: shapes as ever, and no means."""

import pytest
import torch

from spx.analysis import choice, distance, measures, row_ranges, structure
from spx.graph.csr import AttentionGraph
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings


def graph_of(num_nodes: int) -> AttentionGraph:
    return AttentionGraph(torch.zeros(num_nodes + 1).long(), torch.zeros(0).int(), torch.zeros(0).byte())


NOTHING = torch.zeros(0)


@pytest.mark.parametrize("num_nodes", [0, 4])
def test_a_number_for_each_row_and_each_edge(num_nodes: int) -> None:
    graph = graph_of(num_nodes)
    for measure in (measures.normalized_entropy, distance.distance_to_uniform, distance.distance_to_shuffled):
        assert measure(graph, NOTHING).shape == (num_nodes,)
        assert measure(graph, NOTHING).isnan().all()
    for measure in (distance.energy_distance, distance.rank_agreement):
        assert measure(graph, NOTHING, NOTHING).shape == (num_nodes,)
    assert measures.top_k_mass(graph, NOTHING, (1, 2, 4)).shape == (num_nodes, 3)
    assert row_ranges.row_sums(graph, torch.zeros(0, 2)).shape == (num_nodes, 2)
    assert structure.graph_degrees(graph).tolist() == [0] * num_nodes
    for of_edges in (
        distance.row_ranks(graph, NOTHING),
        distance.random_scores(graph, "dirichlet", 0),
        row_ranges.uniform_weights(graph),
        structure.relative_scores(graph, NOTHING),
        structure.effective_resistances(graph),
    ):
        assert of_edges.shape == (0,)


@pytest.mark.parametrize("num_nodes", [0, 4])
def test_sums_are_zero_and_means_are_none(num_nodes: int) -> None:
    graph, labels = graph_of(num_nodes), torch.zeros(num_nodes).long()
    assert measures.edge_type_mass(graph, NOTHING).tolist() == [0, 0, 0]
    assert measures.edge_type_shares(graph, NOTHING).isnan().all()
    assert not measures.class_mass(graph, NOTHING, labels, 3).any()
    assert torch.tensor(measures.adjusted_homophily(graph, labels, 3)).isnan()
    assert all(means.isnan().all() for means in distance.likeness(graph, [NOTHING, NOTHING]))
    chosen, edges = row_ranges.select_rows(graph, 2)
    assert chosen.num_nodes == min(num_nodes, 2)
    assert edges.shape == (0,)


def test_what_a_layer_outputs_over_no_row() -> None:
    graph = graph_of(0)
    view = next(
        choice.layer_views(
            GraphTransformer(6, 3, TransformerSettings(width=8, num_layers=1, num_heads=2)), torch.zeros(0, 6), graph
        )
    )
    edges = choice.sampled_edges(graph, NOTHING, 3, seed=0)
    assert edges.shape == (0, 3)
    assert view.sampled(choice.as_table(graph, edges)).shape == (0, 8)
    assert choice.mass_kept(graph, NOTHING, edges).shape == (0,)
    assert choice.projected_weights(graph, view, choice.random_projection(4, 2, 0)).shape == (0, 2)
    for error in (choice.replaced_error(graph, view, NOTHING), *choice.expected_error(graph, view, NOTHING, (1, 2))):
        assert torch.tensor(error).isnan()
