import pytest
import torch

from spx.kernels.cpu_dropout import dropout, seed_of_rest
from spx.nn.layers import Dropout


def seed(number: int = 3) -> torch.Tensor:
    return torch.tensor(number)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_each_element_is_dropped_with_probability_p(p: float) -> None:
    """Within 5 standard deviations, in every second element too: two share one random number."""
    x = torch.ones(200_001)
    out = dropout(x, p, seed())
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    for part in (out, out[::2], out[1::2]):
        dropped = float((part == 0).double().mean())
        assert abs(dropped - p) < 5 * (p * (1 - p) / part.numel()) ** 0.5
    both = (out[:-1:2] == 0) & (out[1::2] == 0)
    assert abs(float(both.double().mean()) - p * p) < 5 * (p * p / both.numel()) ** 0.5, (
        "the two halves are independent"
    )


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_the_gradients_mask(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(shape, dtype=dtype).requires_grad_()
    out = dropout(x, 0.5, seed())
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient * x, out)


def test_the_seed_decides_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1001)
    one = dropout(x, 0.5, seed())
    monkeypatch.setattr("spx.kernels.cpu_dropout.num_threads", lambda nanoseconds: 3)
    assert torch.equal(dropout(x, 0.5, seed()), one)
    assert not torch.equal(dropout(x, 0.5, seed(4)), one)


@pytest.mark.parametrize("number", [0, 3, 2**62 - 1])
def test_a_rest_is_dropped_alone_as_with_the_whole(number: int) -> None:
    x = torch.randn(1001)
    for start in (0, 2, 500, 1000):
        rest = dropout(x[start:], 0.5, seed_of_rest(seed(number), start))
        assert torch.equal(rest, dropout(x, 0.5, seed(number))[start:])


def test_other_dtypes_are_dropped_by_torch() -> None:
    x = torch.ones(10_000, dtype=torch.bfloat16)
    out = dropout(x, 0.25, seed())
    assert out.unique().tolist() == [0.0, pytest.approx(4 / 3, rel=0.01)]
    assert torch.equal(out, dropout(x, 0.25, seed()))
    assert 0.2 < float((out == 0).double().mean()) < 0.3


def test_strided_input_is_dropped_element_by_element() -> None:
    x = torch.randn(8, 6).t()
    assert torch.equal(dropout(x, 0.5, seed()), dropout(x.contiguous(), 0.5, seed()))


def test_the_operator_keeps_the_rules_of_torch() -> None:
    torch.library.opcheck(dropout, (torch.randn(4, 3, requires_grad=True), 0.5, seed()))


def test_the_module_follows_the_global_seed_and_training_alone() -> None:
    module, x = Dropout(0.5), torch.randn(100)
    torch.manual_seed(0)
    first, second = module(x), module(x)
    torch.manual_seed(0)
    assert torch.equal(module(x), first)
    assert not torch.equal(first, second)
    assert torch.equal(module.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spx.kernels.cpu_dropout.can_compile", lambda: False)


@pytest.mark.usefixtures("no_compiler")
def test_no_element_without_a_compiler() -> None:
    x = torch.zeros(0, 4, requires_grad=True)
    out = dropout(x, 0.5, seed())
    assert torch.autograd.grad(out.sum(), x)[0].shape == out.shape == (0, 4)


@pytest.mark.usefixtures("no_compiler")
def test_the_law_and_the_gradients_mask_without_a_compiler() -> None:
    x = torch.ones(200_001, requires_grad=True)
    out = dropout(x, 0.3, seed())
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert abs(float((out == 0).double().mean()) - 0.3) < 5 * (0.21 / x.numel()) ** 0.5
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], out)
    assert torch.equal(dropout(x, 0.3, seed()), out)
    assert not torch.equal(dropout(x, 0.3, seed(4)), out)


def test_torchs_own_serves_half_precision() -> None:
    x = torch.ones(1000, dtype=torch.bfloat16)
    torch.manual_seed(0)
    out = Dropout(0.5)(x)
    torch.manual_seed(0)
    assert torch.equal(out, torch.nn.functional.dropout(x, 0.5))
