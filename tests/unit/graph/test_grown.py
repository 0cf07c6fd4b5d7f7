"""The expander of a graph that changed: near the old one, and an expander still."""

import pytest
import torch

from spx.errors import ConfigError
from spx.graph.expander import build_expander, required_gap, spectral_gap
from spx.graph.grown import grown_expander

KINDS = ("hamiltonian", "permutation")


def is_symmetric(table: torch.Tensor) -> bool:
    """Column 2c + 1 undoes column 2c."""
    nodes = torch.arange(table.shape[0])
    return all(
        torch.equal(table[table[:, column].long(), column + 1].long(), nodes) for column in range(0, table.shape[1], 2)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_change_it_is_the_old_one(kind: str) -> None:
    assert torch.equal(grown_expander(torch.arange(50), 50, 3, 7, kind), build_expander(50, 3, 7, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_renumbered_nodes_keep_their_neighbours(kind: str) -> None:
    places = torch.randperm(50)
    before, after = build_expander(50, 3, 7, kind), grown_expander(places, 50, 3, 7, kind)
    assert torch.equal(after[places].long(), places[before.long()])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("gone", "new"), [(0, 1), (1, 0), (30, 0), (0, 60), (25, 40), (99, 0), (150, 100)])
def test_each_node_that_comes_or_goes_changes_two_edges_a_cycle(kind: str, gone: int, new: int) -> None:
    old, degree = 200, 4
    stream = torch.Generator().manual_seed(gone + new)
    places = torch.full((old,), -1)
    kept = torch.randperm(old, generator=stream)[gone:]
    places[kept] = torch.randperm(old - gone + new, generator=stream)[: old - gone]
    after = grown_expander(places, old - gone + new, degree, 3, kind)
    assert after.shape == (old - gone + new, 2 * degree)
    assert is_symmetric(after)
    before = build_expander(old, degree, 3, kind)
    moved = places[before.long()]  # what each old entry would be now; -1: gone
    changed = int((after[places[kept]].long() != moved[kept]).sum())
    assert changed <= 2 * degree * (gone + new)
    if kind == "hamiltonian":  # still one cycle: the walk comes back after all nodes
        for column in range(0, 2 * degree, 2):
            node, steps = 0, 0
            while steps == 0 or node != 0:
                node, steps = int(after[node, column]), steps + 1
            assert steps == old - gone + new


@pytest.mark.parametrize("kind", KINDS)
def test_a_grown_expander_has_the_gap_of_a_new_one(kind: str) -> None:
    places = torch.cat((torch.full((100,), -1), torch.arange(900)))
    assert spectral_gap(grown_expander(places, 1500, 5, 0, kind)) >= required_gap(10)


def test_tiny_graphs_have_all_pairs() -> None:
    assert torch.equal(grown_expander(torch.arange(8), 9, 3, 0), build_expander(9, 3, 0))
    assert grown_expander(torch.arange(8), 20, 3, 0).shape == (20, 6)
    assert grown_expander(torch.full((50,), -1), 20, 3, 0).shape == (20, 6)


def test_places_must_be_nodes() -> None:
    for places in ([0, 0, *range(1, 20)], [*range(19), 21]):
        with pytest.raises(ConfigError, match="distinct nodes below 21"):
            grown_expander(torch.tensor(places), 21, 3, 0)
