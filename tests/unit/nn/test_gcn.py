import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from spx.errors import ConfigError
from spx.graph.csr import augment
from spx.graph.features import SparseFeatures
from spx.nn.gcn import GCN
from spx.nn.settings import GCNSettings

EDGES = torch.tensor([[0, 1, 2, 2, 5, 4, 0], [1, 2, 0, 4, 1, 5, 4]])  # directed, node 3 isolated
NUM_NODES = 6


def network(num_layers: int = 3, dropout: float = 0.0, residual: bool = False) -> GCN:
    torch.manual_seed(0)
    net = GCN(4, 3, GCNSettings(width=7, num_layers=num_layers, dropout=dropout, residual=residual)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def features() -> Tensor:
    return torch.randn(NUM_NODES, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def neighborhoods() -> tuple:
    return (augment(EDGES, NUM_NODES, self_loops=False),)


def dense_gcn(net: GCN, x: Tensor, residual: bool) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 X W + b, plain or as residual blocks; batch norm by the running statistics."""
    adjacency = torch.eye(NUM_NODES, dtype=torch.float64)
    for source, target in EDGES.t().tolist():
        adjacency[target, source] += 1
    root = adjacency.sum(1).rsqrt()
    propagate = root[:, None] * adjacency * root
    h = x @ net.encoder.weight.t() + net.encoder.bias if residual else x
    for layer, convolution in enumerate(net.layers):
        update = propagate @ h @ convolution.lin.weight.t() + convolution.bias
        if residual or layer < len(net.layers) - 1:
            norm = net.between[layer][0]
            update = batch_norm(update, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        h = h + update if residual else update
    return h @ net.head.weight.t() + net.head.bias if residual else h


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_it_is_the_published_propagation(num_layers: int, residual: bool) -> None:
    net = network(num_layers, residual=residual)
    for _ in range(3):
        net(features(), neighborhoods())  # moves the running statistics
    net.eval()
    expected = dense_gcn(net, features(), residual)
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


@pytest.mark.parametrize("settings", [{"width": 7, "num_layers": 0}, {"width": 0, "num_layers": 2}])
def test_counts_below_one_are_refused(settings: dict[str, int]) -> None:
    message = f"num_layers is {settings['num_layers']} and width {settings['width']}; both must be at least 1"
    with pytest.raises(ConfigError, match=message):
        GCN(4, 3, GCNSettings(**settings, dropout=0.5))


@pytest.mark.parametrize("residual", [False, True])
def test_sparse_features_give_what_dense_ones_do(residual: bool) -> None:
    net, x = network(residual=residual).train(), features() * (features() > 0)
    found = []
    for form in (x, SparseFeatures.from_dense(x)):
        out = net(form, neighborhoods())
        found.append((out, *torch.autograd.grad(out.square().sum(), list(net.parameters()))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
