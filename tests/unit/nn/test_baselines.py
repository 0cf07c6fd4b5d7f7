import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from spx.errors import ConfigError
from spx.graph.csr import augment
from spx.nn.baselines import BaselineNetwork
from spx.nn.settings import BaselineSettings

EDGES = torch.tensor([[0, 1, 2, 2, 5, 4, 0], [1, 2, 0, 4, 1, 5, 4]])  # directed, node 3 isolated
NUM_NODES = 6


def network(num_layers: int = 3, dropout: float = 0.0, **settings: object) -> BaselineNetwork:
    torch.manual_seed(0)
    made_by = BaselineSettings(**{"width": 6, "num_layers": num_layers, "dropout": dropout} | settings)
    net = BaselineNetwork(4, 3, made_by)
    net = net if made_by.kind == "sgformer" else net.double()  # PyG's is for float32 alone
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def features(net: BaselineNetwork | None = None) -> Tensor:
    """In the type of the network's weights."""
    x = torch.randn(NUM_NODES, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x if net is None else x.to(next(net.parameters()).dtype)


def neighborhoods() -> tuple:
    return (augment(EDGES, NUM_NODES, self_loops=False),)


def dense_gcn(net: BaselineNetwork, x: Tensor, residual: bool, skip: bool) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 X W + b, plain, with skips or as residual blocks; batch norm by the running statistics."""
    adjacency = torch.eye(NUM_NODES, dtype=torch.float64)
    for source, target in EDGES.t().tolist():
        adjacency[target, source] += 1
    root = adjacency.sum(1).rsqrt()
    propagate = root[:, None] * adjacency * root
    h = x @ net.encoder.weight.t() + net.encoder.bias if residual else x
    for layer, convolution in enumerate(net.layers):
        update = propagate @ h @ convolution.lin.weight.t() + convolution.bias
        if skip:
            update = update + h @ net.skips[layer].weight.t() + net.skips[layer].bias
        if residual or skip or layer < len(net.layers) - 1:
            norm = net.between[layer][0]
            update = batch_norm(update, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        h = h + update if residual else update
    return h @ net.head.weight.t() + net.head.bias if residual or skip else h


@pytest.mark.parametrize(("residual", "skip"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_it_is_the_published_propagation(num_layers: int, residual: bool, skip: bool) -> None:
    net = network(num_layers, residual=residual, skip=skip)
    for _ in range(3):
        net(features(), neighborhoods())  # moves the running statistics
    net.eval()
    expected = dense_gcn(net, features(), residual, skip)
    assert expected.shape == (NUM_NODES, 3)
    torch.testing.assert_close(net(features(), neighborhoods()), expected, rtol=0, atol=1e-10)


def test_it_is_a_stack_of_pygs_convolutions_over_the_edges_of_the_dataset() -> None:
    from torch_geometric.nn import GCNConv

    net = network().eval()
    x = features()
    for layer, own in enumerate(net.layers):
        reference = GCNConv(own.in_channels, own.out_channels).double()
        reference.load_state_dict(own.state_dict())
        x = reference(x, EDGES)
        x = net.between[layer](x) if layer < 2 else x
    torch.testing.assert_close(net(features(), neighborhoods()), x, rtol=0, atol=1e-10)


def test_the_first_neighbourhood_serves_all_layers() -> None:
    net = network().eval()
    empty = augment(EDGES[:, :0], NUM_NODES, self_loops=False)
    assert torch.equal(net(features(), (*neighborhoods(), empty)), net(features(), neighborhoods()))


@pytest.mark.parametrize("residual", [False, True])
def test_dropout_acts_in_training_only(residual: bool) -> None:
    net = network(num_layers=2, dropout=0.6, residual=residual)
    first, second = (net(features(), neighborhoods()) for _ in range(2))
    assert not torch.allclose(first, second)
    net.eval()
    assert torch.equal(net(features(), neighborhoods()), net(features(), neighborhoods()))


def pygs_sage(net: BaselineNetwork, x: Tensor) -> Tensor:
    """GraphSAGE written out: W1 mean of the neighbours + W2 own state."""
    for layer, own in enumerate(net.layers):
        seen = [EDGES[0, EDGES[1] == node] for node in range(NUM_NODES)]
        mean = torch.stack([x[each].sum(0) / max(1, len(each)) for each in seen])
        update = mean @ own.lin_l.weight.t() + own.lin_l.bias + x @ own.lin_r.weight.t()
        x = net.between[layer](update) if layer < len(net.between) else update
    return x


def test_graphsage_adds_a_node_s_own_state_to_its_neighbours_mean() -> None:
    net = network(2, kind="sage").eval()
    torch.testing.assert_close(net(features(), neighborhoods()), pygs_sage(net, features()), rtol=0, atol=1e-10)


def test_gat_is_pygs_over_the_same_edges() -> None:
    net = network(2, kind="gat", num_heads=2).eval()
    first, last = net.layers
    assert (first.heads, first.concat, last.heads, last.concat) == (2, True, 2, False)
    wanted = last(net.between[0](first(features(), EDGES)), EDGES)
    torch.testing.assert_close(net(features(), neighborhoods()), wanted, rtol=0, atol=1e-10)


def test_an_mlp_sees_features_alone() -> None:
    net = network(2, kind="mlp").eval()
    out, x = net(features(), neighborhoods()), features()
    assert torch.equal(out, net(x, (augment(EDGES[:, :0], NUM_NODES, self_loops=False),)))
    x[0] += 1
    assert torch.equal(net(x, neighborhoods())[1:], out[1:]), "no node sees another"


PEERS = ("polynormer", "sgformer")


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("num_heads", [1, 2])
def test_a_peer_is_pygs_model_with_its_softmax_taken_out(kind: str, num_heads: int) -> None:
    net = network(2, kind=kind, num_heads=num_heads, global_layers=2).eval()
    one_graph = torch.zeros(NUM_NODES, dtype=torch.int64)
    with torch.no_grad():
        for begun in (False, True) if kind == "polynormer" else (False,):
            if kind == "polynormer":
                net.attends_globally.fill_(begun)
                net.peer._global = begun
            logits, logp = net(features(net), neighborhoods()), net.peer(features(net), EDGES, one_graph)
            torch.testing.assert_close(logits, logp[:, :3] - logp[:, 3:], rtol=0, atol=1e-5)
            assert logits.shape == (NUM_NODES, 3)
            assert (logits.exp().sum(1) - 1).abs().min() > 1e-3, "several labels need logits, no distribution"


def test_a_polynormer_attends_to_all_nodes_once_it_is_told_to() -> None:
    net, x = network(1, kind="polynormer").eval(), features()
    before, moved = net(x, neighborhoods()), x.clone()
    moved[3] += 1  # an isolated node
    others = [0, 1, 2, 4, 5]
    torch.testing.assert_close(net(moved, neighborhoods())[others], before[others])
    net.attends_globally.fill_(True)
    assert (net(moved, neighborhoods()) - net(x, neighborhoods()))[others].abs().min() > 1e-9


@pytest.mark.parametrize("kind", ["gcn", "gat", "sage", "mlp", *PEERS])
def test_features_of_one_sum_are_alike(kind: str) -> None:
    net = network(2, kind=kind, num_heads=2, unit_sums=True).eval()
    x = features(net)
    scaled = x * torch.arange(1, NUM_NODES + 1)[:, None]
    torch.testing.assert_close(net(scaled, neighborhoods()), net(x, neighborhoods()))
    plain = network(2, kind=kind, num_heads=2).eval()
    assert not torch.allclose(plain(scaled, neighborhoods()), plain(x, neighborhoods()))


@pytest.mark.parametrize("kind", ["gcn", "gat", "sage", "mlp", *PEERS])
def test_features_are_dropped_in_training_alone(kind: str) -> None:
    net = network(2, kind=kind, feature_dropout=0.9)
    x = features(net)
    first, second = (net(x, neighborhoods()) for _ in range(2))
    assert not torch.allclose(first, second)
    net.eval()
    assert torch.equal(net(x, neighborhoods()), net(x, neighborhoods()))


@pytest.mark.parametrize("kind", ["gcn", "gat", "sage", "mlp", *PEERS])
def test_autocast_changes_nothing(kind: str) -> None:
    """A sparse product knows no half precision."""
    net, x = network(2, kind=kind).eval().float(), features().float()
    wanted = net(x, neighborhoods())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x, neighborhoods()), wanted)
    assert torch.equal(net(x.half(), neighborhoods()), net(x.half().float(), neighborhoods()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 4}, "num_heads is 4; it must divide the width, 6"),
        ({"num_heads": 0}, "num_heads is 0"),
        ({"kind": "gin"}, "kind is 'gin'. Choose one of gcn, gat, sage, mlp, polynormer, sgformer"),
        ({"dropout": 1.0}, "dropout is 1.0; it is a probability"),
        ({"feature_dropout": -0.1}, "feature_dropout is -0.1"),
        ({"global_layers": 0}, "global_layers is 0"),
        ({"residual": True, "skip": True}, "residual and skip are two ways around"),
        ({"norm": "instance"}, "norm is 'instance'. Choose one of"),
    ],
)
def test_settings_that_fit_no_network_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network(**settings)


def test_sgformer_in_float64_is_refused() -> None:
    net = network(kind="sgformer").double()
    with pytest.raises(ConfigError, match=r"SGFormer computes in float32 alone, not in torch\.float64"):
        net(features(), neighborhoods())


@pytest.mark.parametrize("settings", [{"width": 7, "num_layers": 0}, {"width": 0, "num_layers": 2}])
def test_counts_below_one_are_refused(settings: dict[str, int]) -> None:
    message = f"num_layers is {settings['num_layers']} and width {settings['width']}; both must be at least 1"
    with pytest.raises(ConfigError, match=message):
        BaselineNetwork(4, 3, BaselineSettings(**settings, dropout=0.5))


def test_the_gcn_takes_weights_as_pygs_does_and_equal_ones_change_nothing() -> None:
    from torch_geometric.nn import GCNConv

    from spx.graph.weights import WeightedGraph, graph_weights

    net, x = network(1).eval(), features()
    (graph,) = neighborhoods()
    given = torch.arange(1.0, EDGES.size(1) + 1)
    reference = GCNConv(4, 3).double()
    reference.load_state_dict(net.layers[0].state_dict())
    wanted = reference(x, EDGES, (given / given.mean()).double())
    weighted = WeightedGraph(graph, graph_weights(graph, EDGES, given))
    torch.testing.assert_close(net(x, (weighted,)), wanted, rtol=0, atol=1e-6)
    assert not torch.allclose(net(x, (weighted,)), net(x, (graph,)))
    equal = WeightedGraph(graph, graph_weights(graph, EDGES, torch.full((EDGES.size(1),), 0.7)))
    assert net(x, (equal,)).equal(net(x, (graph,)))


def test_a_gcn_normalises_a_graph_once_and_learns_after_it_was_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_geometric.nn.conv import gcn_conv

    net, x, graphs, calls = network(), features(), neighborhoods(), []
    usual = gcn_conv.gcn_norm
    monkeypatch.setattr(gcn_conv, "gcn_norm", lambda *given, **named: calls.append(given) or usual(*given, **named))
    with torch.inference_mode():
        evaluated = net.eval()(x, graphs)
    trained = net(x, graphs)
    trained.sum().backward()
    assert trained.equal(evaluated)
    assert net.layers[0].lin.weight.grad is not None
    assert len(calls) == 1
    other = (augment(EDGES[:, 1:], NUM_NODES, self_loops=False),)
    assert not net(x, other).equal(trained)
    assert len(calls) == 2
