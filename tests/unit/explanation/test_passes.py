"""A pass that is looked into gives what the network gives, and its gradients are autograd's by the features."""

import pytest
import torch

from spx.explanation import passes
from spx.explanation.passes import blocks_of, encoded, feature_effects, log_odds, look
from spx.kernels.formula import EdgeType

from .conftest import NUM_FEATURES, features, make_draw, make_graph, make_network


@pytest.mark.parametrize("settings", [{}, {"layer": "residual", "num_pre_layers": 0}, {"layer": "concat"}])
@torch.no_grad()
def test_logits_and_weights_are_the_network_s(settings: dict) -> None:
    network, x, targets = make_network(**settings), features(), torch.tensor([5, 17])
    for draw in (make_draw(), [make_graph()]):
        blocks = blocks_of(network, draw, targets)
        seen = look(network, encoded(network, x, blocks), blocks)
        torch.testing.assert_close(seen.logits, network(x, draw)[targets])
        whole = [weight.mean(1).float() for weight in network.attention_weights(x, draw)]
        for layer, rows in enumerate(blocks.layers):
            full = draw[layer % len(draw)]
            for place, target in enumerate(targets.tolist()):
                own = slice(*rows.indptr[place : place + 2].tolist())
                wanted = whole[layer][full.indptr[target] : full.indptr[target + 1]]
                torch.testing.assert_close(seen.weights[layer][own], wanted)


@torch.no_grad()
def test_weights_of_one_layer_by_hand() -> None:
    """With a query of zero a score is the bias of the edge's type: ln 2 for graph edges, 0 for the others."""
    network, graph = make_network(num_layers=1, num_heads=1), make_graph()
    attention = network.layers[0].attention
    attention.query.weight.zero_()
    network.edge_embedding.weight.zero_()
    network.edge_embedding.weight[EdgeType.GRAPH, 0] = 1
    attention.edge_bias.weight.zero_()
    attention.edge_bias.weight[0, 0] = torch.tensor(2.0).log()
    blocks = blocks_of(network, [graph], torch.tensor([5]))
    seen = look(network, encoded(network, features(), blocks), blocks)
    kinds = blocks.layers[0].edge_type[: int(blocks.layers[0].indptr[1])]
    masses = torch.where(kinds == EdgeType.GRAPH, 2.0, 1.0)
    torch.testing.assert_close(seen.weights[0][: kinds.numel()], masses / masses.sum())


@pytest.mark.parametrize("settings", [{}, {"layer": "residual"}, {"norm": "graph"}])
@pytest.mark.parametrize("chunk", [1, 1 << 24])
def test_gradient_times_input_is_autograd_s(settings: dict, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "CHUNK", chunk)
    network, draw = make_network(**settings), make_draw()
    targets, classes = (
        (torch.tensor([5]), torch.tensor([2]))
        if settings.get("norm")
        else (
            torch.tensor([5, 17]),
            torch.tensor([2, 0]),
        )
    )
    blocks = blocks_of(network, draw, targets)
    h = encoded(network, features(), blocks).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(log_odds(look(network, h, blocks).logits, classes, "multiclass").sum(), h)
    own, others = feature_effects(network, features(), blocks, gradient)
    for place, (target, chosen) in enumerate(zip(targets, classes, strict=True)):
        x = features().requires_grad_()
        p = network(x, draw)[target].softmax(0)[chosen]
        (by_x,) = torch.autograd.grad((p / (1 - p)).log(), x)
        effects = (by_x * x).detach().float()
        torch.testing.assert_close(own[place], effects[target], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(others[place], effects.sum(0) - effects[target], rtol=1e-4, atol=1e-6)
    assert own.shape == (len(targets), NUM_FEATURES)


def test_log_odds_of_classes_and_labels() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    p = logits.softmax(1)
    expected = torch.stack((p[0, 1], p[1, 2])).logit()
    torch.testing.assert_close(log_odds(logits, torch.tensor([1, 2]), "multiclass"), expected)
    torch.testing.assert_close(log_odds(logits + 7, torch.tensor([1, 2]), "multiclass"), expected)
    assert log_odds(logits, torch.tensor([1, 2]), "multilabel").tolist() == [2.0, 0.0]
    sure = torch.tensor([[200.0, 0.0]])
    assert log_odds(sure, torch.tensor([0]), "multiclass").tolist() == [200.0]
