import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph, augment
from spx.graph.sampling import NeighborTable
from spx.graph.segments import segment_sum
from spx.nn.attention import INITIAL_VALUE_SCALE, SparseAttention
from spx.nn.functional import Neighborhood
from spx.nn.network import GraphTransformer
from spx.nn.norms import BatchNorm, GraphNorm, make_norm
from spx.nn.settings import TransformerSettings

from .small import NUM_FEATURES, NUM_NODES, NUM_OUTPUTS, features, graph, neighborhood_of, network, table


def renumber(neighborhood: Neighborhood, order: Tensor) -> Neighborhood:
    """The same neighbourhood when node order[i] is called i."""
    name = order.argsort().to(torch.int32)
    if isinstance(neighborhood, NeighborTable):
        return NeighborTable(name[neighborhood.neighbors[order].long()], neighborhood.edge_type[order])
    places = [torch.arange(*neighborhood.indptr[node : node + 2].tolist()) for node in order.tolist()]
    indptr = torch.tensor([0, *(len(place) for place in places)]).cumsum(0)
    edges = torch.cat(places)
    return AttentionGraph(indptr, name[neighborhood.source[edges].long()], neighborhood.edge_type[edges]).check()


LAYOUTS = pytest.mark.parametrize("layout", ["ragged", "regular"])


@LAYOUTS
@pytest.mark.parametrize("norm", ["batch", "graph", "none"])
@pytest.mark.parametrize("training", [True, False])
def test_permuting_the_nodes_permutes_the_output(layout: str, norm: str, training: bool) -> None:
    net = network(norm=norm, normalize_values=norm == "graph", num_post_layers=2).train(training)
    order = torch.randperm(NUM_NODES, generator=torch.Generator().manual_seed(2))
    neighborhood = neighborhood_of(layout)
    expected = net(features(), (neighborhood,))[order]
    actual = net(features()[order], (renumber(neighborhood, order),))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)
    assert expected.std(0).min() > 1e-2, "the case must tell nodes apart"


def plain_forward(net: GraphTransformer, x: Tensor, neighborhood: NeighborTable, values_scaled: bool) -> Tensor:
    """The formulas of section 2 of the method, for norm "none" and every table alike, from the parameters alone."""
    p = dict(net.named_parameters())

    def lin(name: str, h: Tensor) -> Tensor:
        return linear(h, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def unit(h: Tensor) -> Tensor:
        return h / h.norm(dim=-1, keepdim=True).clamp_min(1e-12)

    neighbors, types = neighborhood.neighbors.long(), neighborhood.edge_type.long()
    h = unit(lin("pre.0.linear", lin("encoder", x)).relu())
    for layer in range(len(net.layers)):
        block = f"layers.{layer}.attention"
        scale, bias = lin(f"{block}.edge_scale", net.edge_embedding.weight), p["edge_embedding.weight"]
        bias = lin(f"{block}.edge_bias", bias)
        query, key, value = (lin(f"{block}.{name}", h) for name in ("query", "key", "value"))
        width = h.shape[1] // net.layers[layer].attention.num_heads
        heads = []
        for head in range(net.layers[layer].attention.num_heads):
            part = slice(head * width, (head + 1) * width)
            v = p[f"{block}.value_scale"] * unit(value[:, part]) if values_scaled else value[:, part]
            s = (scale[:, part][types] * key[:, part][neighbors] * query[:, None, part]).sum(-1) / math.sqrt(width)
            weights = ((s + bias[:, head][types]) / net.temperature).clamp(-8, 8).softmax(1)
            heads.append((weights[..., None] * v[neighbors]).sum(1))
        h = h + torch.cat(heads, 1)
        h = h + lin(f"layers.{layer}.ffn.3", lin(f"layers.{layer}.ffn.0", h).relu())
    return lin("head.1", unit(lin("head.0.linear", h).relu()))


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("normalize_values", [True, False])
def test_the_network_is_its_formula_written_plainly(heads: int, normalize_values: bool) -> None:
    net = network(norm="none", num_heads=heads, num_post_layers=2, normalize_values=normalize_values)
    net.temperature.fill_(0.6)
    expected = plain_forward(net, features(), table(), normalize_values)
    torch.testing.assert_close(net(features(), (table(),)), expected, rtol=0, atol=1e-10)


@LAYOUTS
def test_a_node_is_moved_only_by_those_that_its_row_lists(layout: str) -> None:
    net = network(norm="none", num_layers=1).eval()
    neighborhood, x = neighborhood_of(layout), features()
    changed = x.clone()
    changed[7] += 1
    moved = (net(changed, (neighborhood,)) != net(x, (neighborhood,))).any(1).nonzero().flatten().tolist()
    sources = neighborhood.neighbors if layout == "regular" else neighborhood.source
    rows = torch.arange(NUM_NODES).repeat_interleave(4) if layout == "regular" else neighborhood.rows()
    assert moved == sorted({7, *rows[sources.flatten() == 7].tolist()})
    assert 1 < len(moved) < NUM_NODES


@LAYOUTS
def test_one_neighbourhood_stands_for_all_layers(layout: str) -> None:
    net, shared = network(num_layers=3).eval(), neighborhood_of(layout)
    one, three = net(features(), (shared,)), net(features(), [shared] * 3)
    assert torch.equal(one, three)


def test_each_layer_gets_its_own_neighbourhood_in_order() -> None:
    net = network(norm="none").eval()
    first, second = table(3), table(5, seed=1)
    weights = list(net.attention_weights(features(), (first, second)))
    assert [w.shape for w in weights] == [(NUM_NODES, 3, 2), (NUM_NODES, 5, 2)]
    assert not torch.allclose(net(features(), (first, second)), net(features(), (second, first)))


def test_another_number_of_neighbourhoods_is_refused() -> None:
    with pytest.raises(ConfigError, match="There are 2 neighbourhoods for 3 layers"):
        network(num_layers=3)(features(), (table(), table()))


def test_ragged_and_regular_networks_are_one() -> None:
    """The same module, parameters and edges: outputs and gradients of every parameter."""
    net = network(norm="graph", normalize_values=True)
    regular = table()
    ragged = AttentionGraph(torch.arange(NUM_NODES + 1) * 4, regular.neighbors.flatten(), regular.edge_type.flatten())
    outputs = [net(features(), (neighborhood,)) for neighborhood in (ragged, regular)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-10)
    gradients = [torch.autograd.grad(out.square().sum(), list(net.parameters())) for out in outputs]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@LAYOUTS
def test_every_parameter_learns_in_both_layouts(layout: str) -> None:
    net = network(norm="graph", normalize_values=True)
    net(features(), (neighborhood_of(layout),)).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_the_number_of_parameters() -> None:
    """Encoder, one hidden layer, type embedding, head, and 8 d^2 + ... for each layer, by hand."""
    width, heads, hidden = 8, 2, NUM_FEATURES * 8 + 8
    per_layer = 4 * width**2 + heads * width + (4 * width**2 + 3 * width) + 2 * 2 * width
    expected = hidden + (width**2 + 2 * width) + 3 * width + 2 * per_layer + width * NUM_OUTPUTS + NUM_OUTPUTS
    assert sum(p.numel() for p in network().parameters()) == expected
    assert sum(p.numel() for p in network(normalize_values=True).parameters()) == expected + 2


@pytest.mark.parametrize("num_nodes", [1, 2, 50])
def test_graph_norm_equals_that_of_pyg(num_nodes: int) -> None:
    from torch_geometric.nn import GraphNorm as Reference

    torch.manual_seed(0)
    norm, reference = GraphNorm(5).double(), Reference(5).double()
    for parameter in reference.parameters():
        nn.init.normal_(parameter)
    norm.load_state_dict(reference.state_dict())
    x = (3 * torch.randn(num_nodes, 5) + 7).double().requires_grad_()
    torch.testing.assert_close(norm(x), reference(x), rtol=0, atol=1e-10)
    gradients = [torch.autograd.grad(module(x).pow(3).sum(), x)[0] for module in (norm, reference)]
    torch.testing.assert_close(*gradients)


def test_graph_norm_starts_as_standardisation() -> None:
    x = 3 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) + 7
    out = GraphNorm(4)(x)
    torch.testing.assert_close(out.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(4), rtol=0, atol=1e-5)


def test_make_norm() -> None:
    kinds = {"batch": BatchNorm, "graph": GraphNorm, "layer": nn.LayerNorm, "none": nn.Identity}
    assert all(type(make_norm(name, 4)) is kind for name, kind in kinds.items())
    with pytest.raises(ConfigError, match=r"norm is 'instance'\. Choose one of batch, graph, layer, none"):
        make_norm("instance", 4)


@pytest.mark.parametrize("heads", [1, 4])
def test_normalised_values_all_have_the_learned_length(heads: int) -> None:
    """Nodes that attend to themselves alone return their value."""
    torch.manual_seed(0)
    alone = augment(torch.zeros(2, 0, dtype=torch.int64), NUM_NODES)
    x, embedding = 5 * torch.randn(NUM_NODES, 8), torch.randn(3, 8)
    plain = SparseAttention(8, heads, 8)
    scaled = SparseAttention(8, heads, 8, normalize_values=True)
    scaled.load_state_dict(plain.state_dict() | {"value_scale": torch.tensor(0.7)})
    values, unit_values = (block(x, alone, embedding)[0].unflatten(1, (heads, -1)) for block in (plain, scaled))
    lengths = values.norm(dim=-1)
    assert lengths.std() > 0.1
    torch.testing.assert_close(unit_values.norm(dim=-1), torch.full((NUM_NODES, heads), 0.7))
    torch.testing.assert_close(unit_values, 0.7 * values / lengths[..., None])


def test_the_value_scale_starts_at_a_quarter_and_is_learned() -> None:
    block = SparseAttention(8, 2, 8, normalize_values=True)
    assert INITIAL_VALUE_SCALE == 0.25
    assert block.value_scale.item() == 0.25
    assert isinstance(block.value_scale, nn.Parameter)
    assert SparseAttention(8, 2, 8).value_scale is None


@LAYOUTS
def test_the_temperature_divides_the_scores(layout: str) -> None:
    """Log-ratios of the weights of a row grow by 1/T."""
    net, neighborhood = network(num_layers=1).eval(), neighborhood_of(layout)

    def log_weights() -> Tensor:
        (weights,) = net.attention_weights(features(), (neighborhood,))
        log_weights = weights.log()
        if layout == "regular":
            return log_weights - log_weights.mean(1, keepdim=True)
        mean = segment_sum(log_weights, neighborhood.indptr) / neighborhood.degrees()[:, None]
        return log_weights - mean[neighborhood.rows()]

    warm = log_weights()
    net.temperature.fill_(0.5)
    torch.testing.assert_close(log_weights(), 2 * warm)
    assert warm.abs().max() > 0.1


def test_the_temperature_travels_with_the_state() -> None:
    net, other = network().eval(), network(num_layers=2).eval()
    net.temperature.fill_(0.2)
    assert "temperature" in net.state_dict()
    assert "temperature" not in dict(net.named_parameters())
    before = other(features(), (graph(),))
    other.load_state_dict(net.state_dict())
    assert float(other.temperature) == pytest.approx(0.2)
    assert torch.equal(other(features(), (graph(),)), net(features(), (graph(),)))
    assert not torch.allclose(before, net(features(), (graph(),)))
    assert float(network().temperature) == 1


@LAYOUTS
def test_the_type_of_an_edge_matters_through_both_embeddings(layout: str) -> None:
    net, neighborhood = network(num_layers=1).eval(), neighborhood_of(layout)
    other = neighborhood._replace(edge_type=2 - neighborhood.edge_type)
    for silent in ("edge_scale", "edge_bias"):
        with torch.no_grad():
            saved = getattr(net.layers[0].attention, silent).weight.clone()
            getattr(net.layers[0].attention, silent).weight.fill_(1 if silent == "edge_scale" else 0)
            net.edge_embedding.weight.copy_(torch.eye(3, 8))  # rows of one sum: E1 of ones is the same for all
            weights = [next(net.attention_weights(features(), (n,))) for n in (neighborhood, other)]
            getattr(net.layers[0].attention, silent).weight.copy_(saved)
        assert not torch.allclose(*weights)


def test_settings_reach_the_layers() -> None:
    net = network(num_pre_layers=3, num_post_layers=2, num_layers=4, unit_rows=False, norm="graph", dropout=0.25)
    hidden = [*net.pre, net.head[0]]
    assert len(net.pre) == 3
    assert len(net.layers) == 4
    assert len(net.head) == 2
    assert not any(layer.unit_rows for layer in hidden)
    assert all(type(layer.norm) is GraphNorm for layer in hidden)
    assert {m.p for m in net.layers.modules() if isinstance(m, nn.Dropout)} == {0.25}
    assert len(network(num_pre_layers=0, num_post_layers=1).pre) == 0


def test_dropout_acts_in_training_only() -> None:
    net, regular = network(norm="graph", dropout=0.5), table()
    first, second = (net(features(), (regular,)) for _ in range(2))
    assert not torch.allclose(first, second)
    net.eval()
    still = network(norm="graph", dropout=0.0).eval()
    assert torch.equal(net(features(), (regular,)), net(features(), (regular,)))
    torch.testing.assert_close(net(features(), (regular,)), still(features(), (regular,)))


def test_dropout_acts_on_attention_and_on_the_feed_forward() -> None:
    layer = network(norm="none", dropout=0.5).layers[0]
    x, embedding = torch.randn(NUM_NODES, 8).double(), torch.randn(3, 8).double()
    dropped: list[Tensor] = []
    for module in layer.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda _m, args, out: dropped.append((out == 0) & (args[0] != 0)))
    layer(x, table(), embedding, torch.tensor(1.0))
    assert [mask.shape[1] for mask in dropped] == [8, 16, 8]
    assert all(mask.float().mean() > 0.2 for mask in dropped)


@LAYOUTS
def test_it_is_deterministic(layout: str) -> None:
    results = []
    for _ in range(2):
        net = network()
        out = net(features(), (neighborhood_of(layout),))
        results.append((out, *torch.autograd.grad(out.square().sum(), list(net.parameters()))))
    assert all(map(torch.equal, *results))


@pytest.mark.parametrize(("width", "heads"), [(8, 3), (8, 0), (8, -2), (4, 8)])
def test_heads_that_do_not_divide_the_width_are_refused(width: int, heads: int) -> None:
    with pytest.raises(ConfigError, match=f"num_heads is {heads}, which doesn't divide width {width}"):
        GraphTransformer(3, 2, TransformerSettings(width=width, num_layers=1, num_heads=heads))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, math.nan])
def test_a_dropout_that_is_no_probability_is_refused(dropout: float) -> None:
    with pytest.raises(ConfigError, match=r"dropout is .*; it is a probability"):
        GraphTransformer(3, 2, TransformerSettings(width=8, num_layers=1, dropout=dropout))


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="norm is 'nope'"):
        GraphTransformer(3, 2, TransformerSettings(width=8, num_layers=1, norm="nope"))


@pytest.mark.parametrize(
    ("name", "number", "least"),
    [("width", 0, 1), ("num_layers", 0, 1), ("num_pre_layers", -1, 0), ("num_post_layers", 0, 1)],
)
def test_a_count_below_its_least_is_refused(name: str, number: int, least: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {number}; it must be at least {least}"):
        GraphTransformer(3, 2, TransformerSettings(**{"width": 8, "num_layers": 1} | {name: number}))
