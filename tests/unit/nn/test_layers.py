import pytest
import torch
from torch import Tensor, nn

from spx.errors import ConfigError
from spx.nn.layers import HiddenLayer
from spx.nn.network import GraphTransformer
from spx.nn.norms import BatchNorm
from spx.nn.settings import TransformerSettings

from .small import NUM_FEATURES, NUM_NODES, NUM_OUTPUTS, features, network, table


@pytest.mark.parametrize("norm", ["batch", "graph"])
def test_the_layers_norms_stand_after_attention_and_after_the_feed_forward(norm: str) -> None:
    layer = network(norm=norm).layers[0]
    x, embedding = torch.randn(NUM_NODES, 8).double(), torch.randn(3, 8).double()
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name in ("norm1", "norm2", "ffn"):
        module = getattr(layer, name)
        module.register_forward_hook(lambda _m, args, out, name=name: seen.update({name: (args[0], out)}))
    out, _ = layer(x, table(), embedding, torch.tensor(1.0))
    attended, _ = layer.attention(x, table(), embedding, torch.tensor(1.0))
    torch.testing.assert_close(seen["norm1"][0], x + attended)
    assert torch.equal(seen["ffn"][0], seen["norm1"][1])
    torch.testing.assert_close(seen["norm2"][0], seen["norm1"][1] + seen["ffn"][1])
    assert torch.equal(out, seen["norm2"][1])


@pytest.mark.parametrize("norm", ["batch", "graph", "layer", "none"])
def test_a_concat_layer_is_its_formula(norm: str) -> None:
    layer = network(norm=norm, layer="concat").layers[1]
    x, embedding = torch.randn(NUM_NODES, 8).double(), torch.randn(3, 8).double()
    out, _ = layer(x, table(), embedding, torch.tensor(1.0))
    attended, _ = layer.attention(x, table(), embedding, torch.tensor(1.0))
    weight, bias = layer.linear.weight, layer.linear.bias
    torch.testing.assert_close(out, layer.norm(x @ weight[:, :8].T + attended @ weight[:, 8:].T + bias).relu())


def test_each_layer_has_its_usual_norm() -> None:
    usual = {"transformer": BatchNorm, "concat": BatchNorm, "residual": nn.LayerNorm}
    for layer, kind in usual.items():
        net = GraphTransformer(NUM_FEATURES, NUM_OUTPUTS, TransformerSettings(width=8, num_layers=1, layer=layer))
        norms = [module for module in net.modules() if isinstance(module, (BatchNorm, nn.LayerNorm))]
        assert {type(norm) for norm in norms} == {kind}


@pytest.mark.parametrize("norm", ["batch", "graph", "layer", "none"])
def test_a_residual_layer_is_its_formula(norm: str) -> None:
    layer = network(norm=norm, layer="residual").layers[1]
    x, embedding = torch.randn(NUM_NODES, 8).double(), torch.randn(3, 8).double()
    out, _ = layer(x, table(), embedding, torch.tensor(1.0))
    u = layer.norm(x)
    attended, _ = layer.attention(u, table(), embedding, torch.tensor(1.0))
    weight, bias = layer.linear.weight, layer.linear.bias
    torch.testing.assert_close(out, x + (u @ weight[:, :8].T + attended @ weight[:, 8:].T + bias).relu())


def test_the_states_that_leave_residual_layers_are_normalised() -> None:
    torch.manual_seed(0)
    net, seen = (
        GraphTransformer(
            NUM_FEATURES,
            NUM_OUTPUTS,
            TransformerSettings(width=8, num_layers=2, num_heads=2, norm="layer", layer="residual"),
        ).double(),
        [],
    )
    net.head[-1].register_forward_hook(lambda _m, args, _out: seen.append(args[0]))
    net(100 * features(), (table(),))
    torch.testing.assert_close(seen[0].square().mean(1), torch.ones(NUM_NODES).double(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["concat", "residual"])
def test_new_layers_start_from_the_mean_over_the_neighbours(name: str) -> None:
    torch.manual_seed(0)
    layer = (
        GraphTransformer(NUM_FEATURES, NUM_OUTPUTS, TransformerSettings(width=8, num_layers=1, num_heads=2, layer=name))
        .double()
        .layers[0]
    )
    layer.attention.edge_bias.weight.data.zero_()
    x = torch.randn(NUM_NODES, 8).double()
    attended, _ = layer.attention(x, table(), torch.randn(3, 8).double())
    torch.testing.assert_close(attended, layer.attention.value(x)[table().neighbors.long()].mean(1))


@pytest.mark.parametrize(("drop_features", "probability"), [(True, 0.5), (False, 0.0)])
def test_features_are_dropped_on_request(drop_features: bool, probability: float) -> None:
    assert network(dropout=0.5, drop_features=drop_features).encoder.dropout == probability


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="layer is 'conv'; choose from transformer, concat, residual"):
        GraphTransformer(NUM_FEATURES, NUM_OUTPUTS, TransformerSettings(width=8, num_layers=1, layer="conv"))


@pytest.mark.parametrize("norm", ["batch", "graph", "none"])
def test_unit_rows_have_unit_length(norm: str) -> None:
    torch.manual_seed(0)
    x = 5 * torch.randn(200, 4)
    unit, plain = HiddenLayer(4, norm, unit_rows=True), HiddenLayer(4, norm, unit_rows=False)
    plain.load_state_dict(unit.state_dict())
    rows, raw = unit(x), plain(x)
    dead = (raw == 0).all(1)
    assert 0 < dead.sum() < 100, "rows that ReLU silences stay zero"
    assert not rows[dead].any()
    torch.testing.assert_close(rows[~dead], raw[~dead] / raw[~dead].norm(dim=1, keepdim=True))
    assert raw[~dead].norm(dim=1).std() > 0.1
    assert (raw >= 0).all()
    assert (unit.linear.bias is None) == (norm != "none"), "a norm brings its own bias"
