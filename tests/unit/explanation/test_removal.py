"""Removals against passes over the whole graph with the edge taken out."""

import pytest
import torch
from daily import every_day

from spx.explanation import removal
from spx.explanation.passes import blocks_of, encoded, look
from spx.explanation.removal import Removals, logits_without
from spx.graph.csr import AttentionGraph

from .conftest import features, make_draw, make_graph, make_network, without_edge

TARGETS = torch.tensor([5, 17, 0])


def edges_of(layers: list[AttentionGraph], targets: torch.Tensor) -> Removals:
    """Every distinct edge of the targets' rows, in any layer."""
    found = {
        (place, int(rows.source[edge]), int(rows.edge_type[edge]))
        for rows in layers
        for place, target in enumerate(targets.tolist())
        for edge in range(int(rows.indptr[target]), int(rows.indptr[target + 1]))
    }
    return Removals(*torch.tensor(sorted(found)).T)


@every_day("settings", [{}, {"layer": "concat"}, {"layer": "residual"}, {"norm": "none"}], 2)
@pytest.mark.parametrize("whole", [False, True], ids=["sampled", "all edges"])
@torch.no_grad()
def test_a_removal_is_the_pass_with_the_edge_taken_out(
    settings: dict, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = make_network(**settings), features()
    layers = [make_graph()] * 3 if whole else make_draw()
    blocks = blocks_of(network, layers, TARGETS)
    states = look(network, encoded(network, x, blocks), blocks).states
    removals = edges_of(layers, TARGETS)
    assert {0, 1, 2} == set(removals.edge_type.tolist())
    if whole:  # two edges to one node are told apart
        assert torch.stack(removals[:2]).unique(dim=1).shape[1] < removals.target.numel()
    wanted = torch.stack(
        [
            network(x, without_edge(layers, int(TARGETS[b]), source, kind))[TARGETS[b]]
            for b, source, kind in zip(*map(torch.Tensor.tolist, removals), strict=True)
        ]
    )
    unchanged = network(x, layers)[TARGETS]
    assert (wanted - unchanged[removals.target]).abs().amax(1).min() > 1e-9
    for rows in (1, 10**9):  # one removal after the other, and all at once
        monkeypatch.setattr(removal, "ROWS", rows)
        torch.testing.assert_close(logits_without(network, blocks, states, removals), wanted)


@torch.no_grad()
def test_statistics_of_all_nodes_are_made_anew() -> None:
    network, x, layers = make_network(norm="graph"), features(), make_draw()
    target = TARGETS[:1]
    blocks = blocks_of(network, layers, target)
    states = look(network, encoded(network, x, blocks), blocks).states
    removals = edges_of(layers, target)
    given = logits_without(network, blocks, states, removals)
    for p, (_, source, kind) in enumerate(zip(*map(torch.Tensor.tolist, removals), strict=True)):
        torch.testing.assert_close(given[p], network(x, without_edge(layers, 5, source, kind))[5])


@torch.no_grad()
def test_an_edge_that_isn_t_there_changes_nothing_and_the_last_one_leaves_an_empty_row() -> None:
    network, x = make_network(num_layers=1), features()
    graph = make_graph()
    alone = AttentionGraph(torch.arange(41), torch.full((40,), 3, dtype=torch.int32), torch.ones(40, dtype=torch.uint8))
    for rows, removed in ((graph, (5, 39, 2)), (alone, (5, 3, 1))):
        blocks = blocks_of(network, [rows], torch.tensor([5]))
        seen = look(network, encoded(network, x, blocks), blocks)
        given = logits_without(
            network, blocks, seen.states, Removals(*torch.tensor([[0], *[[part] for part in removed[1:]]]))
        )
        torch.testing.assert_close(given[0], network(x, without_edge([rows], *removed))[5])
        assert torch.allclose(given, seen.logits) == (rows is graph)
