import pytest
import torch
from torch.nn.functional import linear

from spx.kernels import linear as kernel
from spx.kernels.linear import linear_by_rows
from spx.nn.encoder import FeatureEncoder
from spx.nn.gcn import GCN


def inputs(num_rows: int = 7) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 5), torch.randn(4)
    return torch.randn(num_rows, 5).half(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("rows_a_chunk", [1, 3, 100])
def test_linear_by_rows_equals_linear_with_all_gradients(monkeypatch: pytest.MonkeyPatch, rows_a_chunk: int) -> None:
    monkeypatch.setattr(kernel, "CHUNK_ELEMENTS", 5 * rows_a_chunk)
    x, weight, bias = inputs()
    x.requires_grad_()
    upstream = torch.randn(7, 4)
    found, wanted = linear_by_rows(x, weight, bias), linear(x.float(), weight, bias)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(
        torch.autograd.grad(found, (x, weight, bias), upstream),
        torch.autograd.grad(wanted, (x, weight, bias), upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_no_rows() -> None:
    x, weight, bias = inputs(0)
    out = linear_by_rows(x, weight, bias)
    assert out.shape == (0, 4)
    assert torch.equal(torch.autograd.grad(out.sum(), weight)[0], torch.zeros(4, 5))


def test_the_operator_keeps_the_rules_of_torch() -> None:
    torch.library.opcheck(linear_by_rows, inputs())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_encoder_computes_in_its_weights_precision_under_autocast(dtype: torch.dtype) -> None:
    """70,000 is infinite in float16, and 2,049 is 2,048 in bfloat16."""
    encoder = FeatureEncoder(1, 1)
    x = torch.tensor([[2_049.0], [70_000.0]], dtype=dtype)[: 2 if dtype == torch.float32 else 1]
    wanted = x.double() * encoder.weight.double() + encoder.bias.double()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("residual", [True, False])
def test_a_gcn_takes_half_precision(residual: bool) -> None:
    from spx.graph.csr import augment

    graph = augment(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3)
    network = GCN(2, 2, 4, 2, 0.0, residual).eval()
    x = torch.randn(3, 2).half()
    torch.testing.assert_close(network(x, (graph,)), network(x.float(), (graph,)))
