"""What the kernels of attention promise beyond the formula, which `tests/numerics` holds."""

import warnings
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from spx.kernels import cpu_attention, row_attention, torch_attention
from spx.kernels.formula import NUM_EDGE_TYPES, Rows, Scoring

Inputs = tuple[Tensor, Tensor, Tensor, Rows, Scoring]


def inputs(num_nodes: int = 400, num_in: int = 500, k: int = 7, heads: int = 2, width: int = 4) -> Inputs:
    stream = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(n, heads, width, generator=stream) for n in (num_nodes, num_in, num_in))
    source = torch.randint(0, max(1, num_in), (num_nodes * k,), generator=stream, dtype=torch.int32)
    edge_type = torch.randint(0, NUM_EDGE_TYPES, (num_nodes * k,), generator=stream, dtype=torch.uint8)
    scale = torch.randn(NUM_EDGE_TYPES, heads, width, generator=stream)
    bias = torch.randn(NUM_EDGE_TYPES, heads, generator=stream)
    rows = Rows(torch.arange(num_nodes + 1) * k, source, edge_type)
    return query, key, value, rows, Scoring(scale, bias, torch.tensor(0.7))


def all_results(module, arguments: Inputs) -> list[Tensor]:
    out, mass = module.forward(*arguments)
    query, key, _, *rest = arguments
    return [out, mass, *module.backward(out, out, mass, *arguments), module.weights(mass, query, key, *rest)]


@pytest.mark.parametrize("width", [1, 3, 4, 8, 16, 17, 40])
@pytest.mark.parametrize("heads", [1, 3])
def test_the_kernel_equals_the_tensor_operations_in_float32(heads: int, width: int) -> None:
    arguments = inputs(heads=heads, width=width)
    for compiled, plain in zip(*(all_results(m, arguments) for m in (cpu_attention, torch_attention)), strict=True):
        torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))


def test_the_number_of_threads_changes_only_the_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = inputs()
    one = all_results(cpu_attention, arguments)
    monkeypatch.setattr(cpu_attention, "num_threads", lambda nanoseconds: 3)
    three = all_results(cpu_attention, arguments)
    again = all_results(cpu_attention, arguments)
    for a, b, c in zip(one, three, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert torch.equal(b, c), "the same number of threads gives the same bits"


@pytest.mark.parametrize(("num_nodes", "num_in"), [(0, 0), (0, 5), (3, 3)])
@pytest.mark.parametrize("module", [cpu_attention, torch_attention])
def test_no_rows_and_no_edges(module, num_nodes: int, num_in: int) -> None:
    for result in all_results(module, inputs(num_nodes, num_in, k=0 if num_nodes else 2)):
        assert not result.any()


def test_large_sums_of_type_gradients_keep_their_digits() -> None:
    """200,000 equal contributions: a plain float32 sum would be off in the third digit."""
    num_nodes = 200_000
    arguments = inputs(num_nodes, 5, k=1, heads=1, width=1)
    query, _, _, rows, scoring = arguments
    ones = torch.ones(5, 1, 1)
    half = torch.zeros(num_nodes, 1, 1), torch.full((num_nodes, 1), 2.0)  # out and mass as if p were exp(1) / 2
    rows = rows._replace(edge_type=rows.edge_type * 0)
    scoring = Scoring(torch.ones_like(scoring.edge_scale), torch.zeros_like(scoring.edge_bias), torch.tensor(1.0))
    query, grad_out = torch.ones_like(query), torch.full_like(query, 1e-3)
    grads = cpu_attention.backward(grad_out, *half, query, ones, ones, rows, scoring)
    expected = num_nodes * 1e-3 * torch.tensor(1.0).exp() / 2
    torch.testing.assert_close(grads[4][0, 0], expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(grads[3][0, 0, 0], expected, rtol=1e-5, atol=0)


NEUTRAL = Scoring(torch.ones(NUM_EDGE_TYPES, 2, 4), torch.zeros(NUM_EDGE_TYPES, 2), torch.tensor(1.0))


def ten_thousand_neighbours(dtype: torch.dtype) -> Inputs:
    """A row that attends to 10,000 nodes alike; their values are 1."""
    number = 10_000
    query, key, value = torch.zeros(1, 2, 4), torch.zeros(number, 2, 4), torch.ones(number, 2, 4)
    rows = Rows(
        torch.tensor([0, number]), torch.arange(number, dtype=torch.int32), torch.zeros(number, dtype=torch.uint8)
    )
    return *(tensor.to(dtype) for tensor in (query, key, value)), rows, NEUTRAL


def ten_thousand_rows(dtype: torch.dtype) -> Inputs:
    """10,000 rows that attend to one node alone."""
    number = 10_000
    query, key, value = torch.zeros(number, 2, 4), torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    rows = Rows(
        torch.arange(number + 1), torch.zeros(number, dtype=torch.int32), torch.zeros(number, dtype=torch.uint8)
    )
    return *(tensor.to(dtype) for tensor in (query, key, value)), rows, NEUTRAL


EACH_IN_ITS_PRECISIONS = [
    (cpu_attention, torch.float32),
    (torch_attention, torch.float32),
    (torch_attention, torch.bfloat16),
    (torch_attention, torch.float16),
]


@pytest.mark.parametrize(("module", "dtype"), EACH_IN_ITS_PRECISIONS)
def test_ten_thousand_ones_sum_to_ten_thousand(module, dtype: torch.dtype) -> None:
    """In bfloat16 they would sum to 256. Triton's are in `tests/numerics`."""
    arguments = ten_thousand_neighbours(dtype)
    out, mass = module.forward(*arguments)
    assert out.dtype == mass.dtype == torch.float32
    assert torch.equal(mass, torch.full((1, 2), 10_000.0))
    assert torch.equal(out, torch.ones(1, 2, 4))
    query, key, _, *rest = arguments
    weights = module.weights(mass, query, key, *rest)
    torch.testing.assert_close(weights, torch.full((10_000, 2), 1e-4), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("module", "dtype"), EACH_IN_ITS_PRECISIONS)
def test_ten_thousand_gradients_sum_to_ten_thousand(module, dtype: torch.dtype) -> None:
    arguments = ten_thousand_rows(dtype)
    out, mass = module.forward(*arguments)
    _, _, grad_value, *_ = module.backward(torch.ones_like(out), out, mass, *arguments)
    assert torch.equal(grad_value, torch.full((1, 2, 4), 10_000.0).to(dtype))


@pytest.mark.full
def test_the_operators_keep_the_rules_of_torch() -> None:
    *states, rows, scoring = inputs(20, 25)
    arguments = *states, *rows, *scoring
    leaves = [
        tensor.requires_grad_() if tensor.dtype == torch.float32 and tensor.dim() else tensor for tensor in arguments
    ]
    torch.library.opcheck(row_attention.row_attention, tuple(leaves))


def test_the_implementation_follows_device_dtype_and_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(device: str, dtype: torch.dtype = torch.float32) -> ModuleType:
        query = SimpleNamespace(device=torch.device(device), dtype=dtype, shape=torch.Size((5, 4, 16)))
        return row_attention.implementation(query)

    tried = []
    monkeypatch.setattr(row_attention, "_triton_works", lambda *shape: tried.append(shape))
    assert chosen("cpu") is cpu_attention
    monkeypatch.setattr(row_attention, "can_compile", lambda: False)
    assert chosen("cpu") is torch_attention
    assert not tried
    assert chosen("cuda:0", torch.bfloat16) is torch_attention
    assert tried == [(torch.device("cuda", 0), torch.bfloat16, 4, 16)]
    assert chosen("cuda:0", torch.float64) is torch_attention
    assert chosen("meta") is torch_attention
    assert len(tried) == 1


def test_a_triton_that_fails_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(row_attention.importlib, "import_module", broken)
    row_attention._triton_works.cache_clear()
    try:
        with pytest.warns(
            UserWarning, match="Triton can't be used for 4 heads of width 16 .*no compiler.*tensor operations"
        ):
            assert not row_attention._triton_works(torch.device("cpu"), torch.float32, 4, 16)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not row_attention._triton_works(torch.device("cpu"), torch.float32, 4, 16)
    finally:
        row_attention._triton_works.cache_clear()
