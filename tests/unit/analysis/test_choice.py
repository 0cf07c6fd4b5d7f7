"""What sampled edges keep of a wide network's attention, and the error of its layers' outputs."""

import math

import pytest
import torch
from torch import Tensor

from spx.analysis import choice
from spx.analysis.row_ranges import uniform_weights
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

from .conftest import random_scores


@pytest.fixture
def augmented() -> AttentionGraph:
    edges = torch.randint(40, (2, 150), generator=torch.Generator().manual_seed(0))
    return augment(edges, 40, build_expander(40, 3, seed=1))


@pytest.fixture
def view(augmented: AttentionGraph) -> choice.LayerView:
    """The second of two layers, two heads."""
    torch.manual_seed(0)
    network = GraphTransformer(5, 3, TransformerSettings(width=8, num_layers=2, num_heads=2))
    with torch.no_grad():
        for layer in network.layers:
            layer.attention.query.weight *= 8  # sharp enough to tell samplers apart
    return list(choice.layer_views(network, torch.randn(40, 5), augmented))[1]


def test_a_view_is_what_the_network_computes(augmented: AttentionGraph) -> None:
    torch.manual_seed(0)
    network, x = (
        GraphTransformer(5, 3, TransformerSettings(width=8, num_layers=3, num_heads=2, dropout=0.5)),
        torch.randn(40, 5),
    )
    views = list(choice.layer_views(network, x, augmented))
    for view, weights in zip(views, network.attention_weights(x, (augmented,)), strict=True):
        torch.testing.assert_close(view.weights, weights)
        assert view.out.shape == (40, 8)
        torch.testing.assert_close(view.scores(), weights.mean(1))


@pytest.mark.parametrize("sampler", ["attention", "uniform", "top"])
def test_places_are_those_of_the_drawn_neighbours(augmented: AttentionGraph, sampler: str) -> None:
    weights = None if sampler == "uniform" else random_scores(augmented, 3)
    edges = choice.sampled_edges(augmented, weights, 4, seed=9, sampler=sampler)
    drawn, table = sample_neighbors(augmented, weights, 4, 9, sampler), choice.as_table(augmented, edges)
    assert table.neighbors.equal(drawn.neighbors)
    assert table.edge_type.equal(drawn.edge_type)
    rows = augmented.rows()[edges]
    assert rows.equal(torch.arange(40)[:, None].expand(-1, 4))


def test_mass_kept_by_hand(graph: AttentionGraph, scores: Tensor) -> None:
    whole = AttentionGraph(graph.indptr[[0, 1, 3, 4, 5]], graph.source, graph.edge_type)  # without the empty row
    edges = torch.tensor([[0, 1], [5, 2], [6, 6], [7, 9]])
    assert choice.mass_kept(whole, scores, edges).tolist() == pytest.approx([1, 0.5, 1, 0.8])


def test_top_keeps_most_and_uniform_least(augmented: AttentionGraph) -> None:
    scores = random_scores(augmented, 4) ** 6
    scores /= torch.zeros(40).index_add_(0, augmented.rows(), scores)[augmented.rows()]
    kept = {
        sampler: float(
            choice.mass_kept(augmented, scores, choice.sampled_edges(augmented, scores, 3, 1, sampler)).mean()
        )
        for sampler in ("top", "attention", "uniform")
    }
    assert kept["top"] > kept["attention"] > kept["uniform"]


def test_sampling_everything_gives_the_exact_output(augmented: AttentionGraph, view: choice.LayerView) -> None:
    most = int(augmented.degrees().max())
    places = choice.sampled_edges(augmented, None, most, seed=0, sampler="uniform")
    rows = augmented.degrees() == most  # the others hold repeats
    out = view.sampled(choice.as_table(augmented, places))
    torch.testing.assert_close(out[rows], view.out[rows], atol=1e-5, rtol=1e-4)


def test_relative_error_by_hand() -> None:
    exact = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert choice.relative_error(exact, exact) == 0
    assert choice.relative_error(torch.zeros(2, 2), exact) == 1
    assert choice.relative_error(exact + torch.tensor([[1.0, 0], [0, 0]]), exact) == pytest.approx(1 / 5)
    assert math.isnan(choice.relative_error(torch.zeros(1), torch.zeros(1)))


def test_scores_replaced_by_the_layers_own_change_nothing(augmented: AttentionGraph) -> None:
    torch.manual_seed(0)
    network = GraphTransformer(5, 3, TransformerSettings(width=8, num_layers=1, num_heads=1, normalize_values=True))
    (view,) = choice.layer_views(network, torch.randn(40, 5), augmented)
    assert choice.replaced_error(augmented, view, view.scores()) < 1e-6
    values = view.attention.values(view.x)[:, 0].detach()
    uniform = torch.zeros(40, 40).index_put_(
        (augmented.rows(), augmented.source.long()), uniform_weights(augmented), accumulate=True
    )
    expected = choice.relative_error(uniform @ values, view.out)
    assert choice.replaced_error(augmented, view, uniform_weights(augmented)) == pytest.approx(expected, rel=1e-5)


def test_scores_without_a_projection_are_the_layers_own(augmented: AttentionGraph, view: choice.LayerView) -> None:
    torch.testing.assert_close(choice.projected_weights(augmented, view, torch.eye(4)), view.weights)


def test_a_projection_keeps_inner_products_in_the_mean_and_errs_as_the_root_of_its_width() -> None:
    torch.manual_seed(2)
    x, y = torch.randn(16), torch.randn(16)
    errors = []
    for width in (16, 256):
        kept = torch.stack(
            [(x @ g) @ (y @ g) for g in (choice.random_projection(16, width, seed) for seed in range(2000))]
        )
        assert float(kept.mean()) == pytest.approx(float(x @ y), abs=0.3)
        errors.append(float(kept.std()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_expected_error_equals_the_mean_over_draws(augmented: AttentionGraph, view: choice.LayerView) -> None:
    proposal = random_scores(augmented, 6)
    values = view.attention.values(view.x)[augmented.source.long()]
    terms = (view.weights[:, :, None] * values / proposal[:, None, None]).detach().flatten(1).double()
    torch.manual_seed(1)
    errors = []
    upper = proposal.double().cumsum(0)
    ends = torch.cat((torch.zeros(1).double(), upper))[augmented.indptr]
    for _ in range(4000):
        u = torch.rand(40, 5, dtype=torch.float64)
        place = torch.searchsorted(upper, ends[:-1, None] + u * ends.diff()[:, None]).clamp(max=upper.numel() - 1)
        out = terms[place].mean(1)
        errors.append((out - view.out).square().sum())
    measured = math.sqrt(float(torch.stack(errors).mean() / view.out.double().square().sum()))
    (expected,) = choice.expected_error(augmented, view, proposal, [5])
    assert measured == pytest.approx(expected, rel=0.02)


def test_expected_error_falls_as_the_root_of_k(augmented: AttentionGraph, view: choice.LayerView) -> None:
    ks = [1, 2, 4, 8, 16]
    errors = choice.expected_error(augmented, view, view.scores(), ks)
    assert choice.log_slope(ks, errors) == pytest.approx(-0.5)
    uniform = choice.expected_error(augmented, view, uniform_weights(augmented), ks)
    assert uniform[0] > errors[0]


def test_log_slope_by_hand() -> None:
    assert choice.log_slope([1, 2, 4], [8, 4, 2]) == pytest.approx(-1)
    assert choice.log_slope([1, 2, 4], [8, 0, 2]) == pytest.approx(-1), "an error of zero has no logarithm"
    assert math.isnan(choice.log_slope([2], [1]))
    assert math.isnan(choice.log_slope([2, 2], [1, 3]))
