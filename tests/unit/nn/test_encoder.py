import pytest
import torch
from torch.nn.functional import linear

from spx.graph.features import SparseFeatures
from spx.kernels import cpu_dropout
from spx.kernels import linear as kernel
from spx.kernels.cpu_dropout import dropout
from spx.kernels.linear import linear_by_rows
from spx.nn.baselines import BaselineNetwork
from spx.nn.encoder import FeatureEncoder
from spx.nn.settings import BaselineSettings

SEED = torch.tensor(2**62 - 5)


def inputs(num_rows: int = 7) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 5), torch.randn(4)
    return torch.randn(num_rows, 5).half(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("rows_a_chunk", [1, 3, 4, 100])
@pytest.mark.parametrize("p", [0.0, 0.6])
def test_linear_by_rows_equals_linear_with_all_gradients(
    monkeypatch: pytest.MonkeyPatch, rows_a_chunk: int, p: float
) -> None:
    monkeypatch.setattr(kernel, "CHUNK_ELEMENTS", 5 * rows_a_chunk)
    x, weight, bias = inputs()
    x.requires_grad_()
    upstream = torch.randn(7, 4)
    found = linear_by_rows(x, weight, bias, p, SEED)
    wanted = linear(dropout(x.float(), p, SEED), weight, bias)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(
        torch.autograd.grad(found, (x, weight, bias), upstream),
        torch.autograd.grad(wanted, (x, weight, bias), upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_gradient_has_the_mask_of_the_output_where_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK_ELEMENTS", 20)
    monkeypatch.setattr(cpu_dropout, "can_compile", lambda: False)
    x, weight = torch.randn(7, 5).requires_grad_(), torch.eye(5).requires_grad_()
    dropped = linear_by_rows(x, weight, torch.zeros(5), 0.5, SEED)
    grad_x, grad_weight = torch.autograd.grad(dropped.sum(), (x, weight))
    torch.testing.assert_close(grad_x * x, dropped)
    torch.testing.assert_close(grad_weight, dropped.sum(0).expand(5, 5))
    assert 0 < int((dropped == 0).sum()) < 35


def test_no_rows() -> None:
    x, weight, bias = inputs(0)
    out = linear_by_rows(x, weight, bias, 0.5, SEED)
    assert out.shape == (0, 4)
    assert torch.equal(torch.autograd.grad(out.sum(), weight)[0], torch.zeros(4, 5))


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_the_operator_keeps_the_rules_of_torch(p: float) -> None:
    torch.library.opcheck(linear_by_rows, (*inputs(), p, SEED))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_are_dropped_in_training_alone_by_a_mask_of_the_global_seed(dtype: torch.dtype) -> None:
    encoder, x = FeatureEncoder(200, 3, dropout=0.5), torch.randn(30, 200).to(dtype)
    torch.manual_seed(4)
    trained, again = encoder(x), encoder(x)
    torch.manual_seed(4)
    wanted = linear(dropout(x.float(), 0.5, torch.randint(2**62, ())), encoder.weight, encoder.bias)
    torch.testing.assert_close(trained, wanted)
    assert not torch.equal(trained, again)
    torch.testing.assert_close(encoder.eval()(x), linear(x.float(), encoder.weight, encoder.bias))


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
    network = BaselineNetwork(2, 2, BaselineSettings(width=4, num_layers=2, dropout=0.0, residual=residual)).eval()
    x = torch.randn(3, 2).half()
    torch.testing.assert_close(network(x, (graph,)), network(x.float(), (graph,)))


def both_forms(num_rows: int = 60, num_columns: int = 37) -> tuple[torch.Tensor, SparseFeatures]:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, num_columns, generator=stream)
    x = x * (torch.rand(x.shape, generator=stream) < 0.2)
    return x, SparseFeatures.from_dense(x)


@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
@pytest.mark.parametrize("features", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_sparse_features_give_what_dense_ones_do(
    p: float, features: torch.dtype, weights: torch.dtype, device: torch.device
) -> None:
    """Outputs and gradients; on the CPU by the same dropout, and with as many random numbers drawn."""
    encoder = FeatureEncoder(37, 5, dropout=p).to(device, weights)
    upstream = torch.randn(60, 5, dtype=weights, device=device)
    found = []
    for x in both_forms():
        torch.manual_seed(4)
        out = encoder(x.to(features).to(device))
        gradients = torch.autograd.grad(out, (encoder.weight, encoder.bias), upstream)
        found.append((out, *gradients, torch.rand(1)))
    if p == 0 or device.type == "cpu":
        for one, other in zip(*found, strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_half_of_the_entries_are_dropped_in_training_alone() -> None:
    encoder, x = FeatureEncoder(1, 1, dropout=0.5), SparseFeatures.from_dense(torch.ones(20_000, 1))
    torch.nn.init.ones_(encoder.weight)
    torch.nn.init.zeros_(encoder.bias)
    out = encoder(x)
    assert out.unique().tolist() == [0, 2]
    assert abs(float(out.detach().mean()) - 1) < 5 / 20_000**0.5
    assert encoder.eval()(x).unique().tolist() == [1]


def test_sparse_features_without_a_row_or_a_column() -> None:
    for shape in ((0, 4), (3, 0)):
        encoder = FeatureEncoder(shape[1], 2) if shape[1] else FeatureEncoder(1, 2)
        encoder.weight = torch.nn.Parameter(encoder.weight[:, : shape[1]])
        out = encoder(SparseFeatures.from_dense(torch.zeros(shape)))
        assert out.equal(encoder.bias.expand(shape[0], 2))
        out.sum().backward()
        assert encoder.weight.grad.equal(torch.zeros(2, shape[1]))


def test_sparse_features_under_autocast_stay_exact() -> None:
    x, sparse = both_forms()
    encoder = FeatureEncoder(37, 5)
    with torch.autocast("cpu", torch.bfloat16):
        out = encoder(sparse)
        out.sum().backward()
    assert out.dtype == encoder.weight.grad.dtype == torch.float32
    torch.testing.assert_close(out, linear(x, encoder.weight, encoder.bias))
