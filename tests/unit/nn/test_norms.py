"""Norms over few nodes and over none, in one process; several ranks' are in `tests/distributed`."""

import pytest
import torch
from torch import Tensor, nn

from spx.errors import ConfigError
from spx.nn.norms import BatchNorm, make_norm

NORMS = ["batch", "graph", "layer", "none"]


def norm_of(name: str) -> nn.Module:
    norm = make_norm(name, 4)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(4))
    return norm


def outcome(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of its weighed sum: the input's and the parameters'."""
    x = x.clone().requires_grad_()
    out = norm(x)
    (out * torch.arange(out.numel()).view_as(out)).sum().backward()
    return [out, x.grad, *(parameter.grad for parameter in norm.parameters())]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_no_node_is_no_output_and_no_gradient(name: str, training: bool) -> None:
    norm = norm_of(name).train(training)
    before = [buffer.clone() for buffer in norm.buffers()]
    out, grad_x, *gradients = outcome(norm, torch.randn(0, 4))
    assert out.shape == grad_x.shape == (0, 4)
    for gradient in gradients:
        assert gradient.tolist() == [0, 0, 0, 0], "there, and a number: parameters of other ranks wait for it"
    assert all(map(torch.equal, before, norm.buffers())), "no node is no statistic"


@pytest.mark.parametrize("name", ["batch", "graph"])
def test_a_single_node_is_its_own_mean(name: str) -> None:
    """torch's batch norm refuses it, which would end a training with a single node."""
    norm = norm_of(name)
    before = [buffer.clone() for buffer in norm.buffers()]
    with torch.no_grad():
        for scale in [norm.mean_scale] if name == "graph" else []:
            scale.fill_(1)
    out, *gradients = outcome(norm, torch.tensor([[3.0, -2.0, 1e4, 0.0]]))
    torch.testing.assert_close(out[0], norm.bias)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(map(torch.equal, before, norm.buffers())), "one node tells no variance"


@pytest.mark.parametrize("number", [2, 3, 50])
def test_batch_norm_of_more_nodes_is_torchs_own(number: int) -> None:
    own, torchs = norm_of("batch"), nn.BatchNorm1d(4)
    torchs.load_state_dict(own.state_dict())
    x = torch.randn(number, 4)
    for a, b in zip(outcome(own, x), outcome(torchs, x), strict=True):
        assert torch.equal(a, b)
    assert all(map(torch.equal, own.buffers(), torchs.buffers()))
    assert isinstance(own, BatchNorm)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="norm is 'instance'"):
        make_norm("instance", 4)
