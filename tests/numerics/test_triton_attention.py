"""The Triton kernels against a plain formula in float64, and compiled for CUDA; no GPU is needed.

Triton decides when it is imported whether kernels are interpreted, so the checks run in processes of their own: one
with the interpreter, one that compiles.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from typing import NamedTuple
from unittest.mock import patch

import pytest
import torch
from daily import every_day
from torch import Tensor

from spx.kernels.formula import Rows, Scoring

pytest.importorskip("triton", reason="the kernels need Triton")

MODULE = "spx.kernels.triton_attention"
KERNELS = ("_forward_kernel", "_backward_kernel", "_weights_kernel")
TILINGS = {"few rows": {"ENOUGH_PROGRAMS": 1024}, "many rows": {"ENOUGH_PROGRAMS": 0, "MAX_PARTIAL_SUMS": 2}}
NUM_IN = 9
SPREAD = 30.0  # of scores, far beyond the clamp

Run = Callable[..., object]


class Inputs(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor
    edge_scale: Tensor
    edge_bias: Tensor


@contextmanager
def process(**environment: str) -> Iterator[Run]:
    """run(function, *arguments) in one other process that starts with these variables."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            pool.submit(torch.set_num_threads, 1).result()
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


@pytest.fixture(scope="module")
def interpreted() -> Iterator[Run]:
    with process(TRITON_INTERPRET="1") as run:
        if fault := run(fault_of_the_interpreter):
            pytest.skip(fault)
        yield run


@pytest.fixture(scope="module")
def compiling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with process(TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path_factory.mktemp("triton"))) as run:
        yield run


def fault_of_the_interpreter() -> str | None:
    try:
        no_gradient_flows(1000.0)
    except Exception as error:
        if "0-dimensional arrays" in str(error):
            return f"the interpreter of Triton {version('triton')} doesn't work with NumPy {version('numpy')}"
        raise
    return None


def inputs(num_rows: int, heads: int, width: int, spread: float = 2.0) -> Inputs:
    """Normal numbers; scores have a standard deviation of about `spread`."""
    stream = torch.Generator().manual_seed(0)
    shapes = [(num_rows, heads, width), (NUM_IN, heads, width), (NUM_IN, heads, width), (3, heads, width), (3, heads)]
    query, *others = (torch.randn(shape, generator=stream) for shape in shapes)
    return Inputs(query * spread / width**0.5, *others)


def rows_of(degrees: list[int]) -> Rows:
    """Rows with these numbers of edges; neighbours repeat, since there are only a few; types are random."""
    stream = torch.Generator().manual_seed(1)
    num_edges = sum(degrees)
    return Rows(
        torch.tensor([0, *itertools.accumulate(degrees)]),
        torch.randint(NUM_IN, (num_edges,), generator=stream, dtype=torch.int32),
        torch.randint(3, (num_edges,), generator=stream, dtype=torch.uint8),
    )


LAYOUTS = {
    "K=1": [1] * 7,
    "K=2": [2] * 7,
    "K=10": [10] * 4,
    "ragged": [3, 0, 70, 1, 0, 9],
    "ragged, M = 2N": [7, 0, 1, 0],
}


def scores(leaves: Inputs, rows: Rows, temperature: float) -> Tensor:
    """s / T of each edge, [M, H]."""
    node = torch.arange(len(rows.indptr) - 1).repeat_interleave(rows.indptr.diff())
    source, edge_type = rows.source.long(), rows.edge_type.long()
    s = torch.einsum("mhd,mhd,mhd->mh", leaves.edge_scale[edge_type], leaves.key[source], leaves.query[node])
    return (s + leaves.edge_bias[edge_type]) / temperature


def oracle(leaves: Inputs, rows: Rows, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """out, mass and p, a row at a time."""
    num_edges = rows.indptr.diff().tolist()
    clamped = scores(leaves, rows, temperature).clamp(-8, 8).split(num_edges)
    p = [row.softmax(0) for row in clamped]
    values = leaves.value[rows.source.long()].split(num_edges)
    out = torch.stack([torch.einsum("mh,mhd->hd", *pair) for pair in zip(p, values, strict=True)])
    return out, torch.stack([row.exp().sum(0) for row in clamped]), torch.cat(p)


def kernels_agree(leaves: Inputs, rows: Rows, temperature: float, tiling: str, tolerance: float = 2e-5) -> None:
    """Compare all that the module computes; gradients in half precision to 2^-7 more: the
    interpreter cuts bfloat16 off instead of rounding."""
    module = import_module(MODULE)
    exact = Inputs(*(leaf.double().requires_grad_() for leaf in leaves))
    expected_out, expected_mass, expected_p = oracle(exact, rows, temperature)
    grad_out = torch.randn(expected_out.shape, generator=torch.Generator().manual_seed(2))
    expected = torch.autograd.grad((expected_out * grad_out).sum(), exact)
    query, key, value, edge_scale, edge_bias = leaves
    arguments = rows, Scoring(edge_scale, edge_bias, torch.tensor(temperature))
    with patch.multiple(module, **TILINGS[tiling]):
        out, mass = module.forward(query, key, value, *arguments)
        p = module.weights(mass, query, key, *arguments)
        gradients = module.backward(grad_out, out, mass, query, key, value, *arguments)
    assert out.dtype == mass.dtype == p.dtype == torch.float32
    torch.testing.assert_close(out.double(), expected_out, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mass.double(), expected_mass, rtol=tolerance, atol=0)
    torch.testing.assert_close(p.double(), expected_p, rtol=tolerance, atol=1e-7)
    for name, leaf, gradient, wanted in zip(Inputs._fields, leaves, gradients, expected, strict=True):
        assert gradient.dtype == leaf.dtype
        assert gradient.shape == leaf.shape
        rounding = 0.0 if leaf.dtype == torch.float32 else 2**-7
        torch.testing.assert_close(
            gradient.double(),
            wanted,
            rtol=tolerance + rounding,
            atol=tolerance * max(1.0, float(wanted.abs().max())),
            msg=lambda text, name=name: f"gradient of {name}: {text}",
        )


OTHER_SHAPES = [(1, 4, 1.0, "few rows"), (3, 5, 0.3, "few rows"), (2, 1, 1.0, "many rows")]


@pytest.mark.parametrize(
    ("heads", "width", "temperature", "tiling"),
    [
        (4, 8, 0.3, "many rows"),
        *(pytest.param(*case, marks=pytest.mark.full) for case in OTHER_SHAPES),
    ],
)
@every_day("layout", LAYOUTS, ("ragged",))
def test_outputs_and_gradients(
    interpreted: Run, layout: str, heads: int, width: int, temperature: float, tiling: str
) -> None:
    degrees = LAYOUTS[layout]
    leaves, rows = inputs(len(degrees), heads, width), rows_of(degrees)
    interpreted(kernels_agree, leaves, rows, temperature, tiling)


def test_the_tilings_differ() -> None:
    tile = import_module(MODULE)._tile
    assert tile(10**6, 10**7, 1, 64, 8)["LANES"] == 1, "equal rows: one lane each"
    assert tile(10**6, 10**7 + 1, 1, 64, 8)["LANES"] == 8, "a hub is shared"
    assert tile(100, 1000, 1, 64, 8)["LANES"] == 16, "few rows are shared"
    for heads, width in itertools.product((1, 3, 8, 64), (1, 5, 48, 256)):
        one = tile(10**6, 10**7, heads, width, 4)
        assert one["ROWS"] * one["LANES"] >= 1
        assert one["num_warps"] in (4, 8, 16)


@every_day("tiling", TILINGS, ("few rows",))
def test_scores_beyond_the_clamp(interpreted: Run, tiling: str) -> None:
    leaves, rows = inputs(len(LAYOUTS["ragged"]), 2, 4, spread=SPREAD), rows_of(LAYOUTS["ragged"])
    scaled = scores(leaves, rows, 1.0)
    assert (scaled > 8).sum() > 20
    assert (scaled < -8).sum() > 20
    assert (scaled.abs() < 8).sum() > 20
    interpreted(kernels_agree, leaves, rows, 1.0, tiling)


def no_gradient_flows(bias: float) -> None:
    module = import_module(MODULE)
    leaves, rows = inputs(4, 2, 3), rows_of([2, 3, 0, 5])
    query, key, value, edge_scale, edge_bias = leaves._replace(edge_bias=torch.full((3, 2), bias))
    arguments = query, key, value, rows, Scoring(edge_scale, edge_bias, torch.tensor(1.0))
    out, mass = module.forward(*arguments)
    gradients = Inputs(*module.backward(torch.ones_like(out), out, mass, *arguments))
    assert gradients.value.any()
    for name in ("query", "key", "edge_scale", "edge_bias"):
        assert not getattr(gradients, name).any(), name


@pytest.mark.parametrize("bias", [1000.0, -1000.0])
def test_no_gradient_flows_beyond_the_clamp(interpreted: Run, bias: float) -> None:
    interpreted(no_gradient_flows, bias)


def the_result_is_zero(num_rows: int, num_in: int) -> None:
    module = import_module(MODULE)
    leaves, rows = inputs(num_rows, 2, 3), rows_of([0] * num_rows)
    query, key, value, edge_scale, edge_bias = leaves._replace(key=leaves.key[:num_in], value=leaves.value[:num_in])
    arguments = rows, Scoring(edge_scale, edge_bias, torch.tensor(1.0))
    out, mass = module.forward(query, key, value, *arguments)
    assert out.shape == (num_rows, 2, 3)
    assert mass.shape == (num_rows, 2)
    assert module.weights(mass, query, key, *arguments).shape == (0, 2)
    gradients = module.backward(torch.ones_like(out), out, mass, query, key, value, *arguments)
    shapes = [tensor.shape for tensor in (query, key, value, edge_scale, edge_bias)]
    assert [gradient.shape for gradient in gradients] == shapes
    assert not any(tensor.any() for tensor in (out, mass, *gradients))


@pytest.mark.parametrize(("num_rows", "num_in"), [(0, NUM_IN), (4, NUM_IN), (0, 0)])
def test_without_rows_or_edges_the_result_is_zero(interpreted: Run, num_rows: int, num_in: int) -> None:
    interpreted(the_result_is_zero, num_rows, num_in)


def empty_rows_are_zero() -> None:
    module = import_module(MODULE)
    rows = rows_of(LAYOUTS["ragged"])
    query, key, value, edge_scale, edge_bias = inputs(len(LAYOUTS["ragged"]), 3, 5)
    arguments = query, key, value, rows, Scoring(edge_scale, edge_bias, torch.tensor(1.0))
    out, mass = module.forward(*arguments)
    gradients = module.backward(torch.ones_like(out), out, mass, *arguments)
    empty = rows.indptr.diff() == 0
    assert not any(tensor[empty].any() for tensor in (out, mass, gradients[0]))
    assert (mass[~empty] > 0).all()
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.full
def test_empty_rows_are_zero(interpreted: Run) -> None:
    interpreted(empty_rows_are_zero)


def nan_stays_in_its_rows() -> None:
    rows = rows_of([2] * 11)
    query, key, value, edge_scale, edge_bias = inputs(11, 2, 3)
    key[4] = torch.nan
    scoring = Scoring(edge_scale, edge_bias, torch.tensor(1.0))
    out, _ = import_module(MODULE).forward(query, key, value, rows, scoring)
    seen = (rows.source.view(11, 2) == 4).any(1)
    assert seen.any()
    assert not seen.all()
    assert out.isnan().flatten(1).all(1).equal(seen)
    assert out[~seen].isfinite().all()


def test_a_nan_is_not_clamped_away(interpreted: Run) -> None:
    interpreted(nan_stays_in_its_rows)


@every_day("layout", ("K=10", "ragged"), ("K=10",))
@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.full)])
def test_half_precision_inputs(interpreted: Run, dtype: torch.dtype, layout: str) -> None:
    """The oracle takes the same rounded values, so `out` is as exact as in float32."""
    leaves, rows = inputs(len(LAYOUTS[layout]), 3, 5), rows_of(LAYOUTS[layout])
    query, key, value, *embedding = leaves
    interpreted(
        kernels_agree, Inputs(query.to(dtype), key.to(dtype), value.to(dtype), *embedding), rows, 0.3, "few rows"
    )


def sums_of_ten_thousand(dtype: torch.dtype) -> tuple[float, float, float]:
    """mass and out of a row that attends to 10,000 ones alike; dV of a node that 10,000 rows attend to alone."""
    module = import_module(MODULE)
    number, scoring = 10_000, Scoring(torch.ones(3, 1, 1), torch.zeros(3, 1), torch.tensor(1.0))
    one, many = torch.zeros(1, 1, 1, dtype=dtype), torch.zeros(number, 1, 1, dtype=dtype)
    types = torch.zeros(number, dtype=torch.uint8)
    to_many = Rows(torch.tensor([0, number]), torch.arange(number, dtype=torch.int32), types)
    to_one = Rows(torch.arange(number + 1), torch.zeros(number, dtype=torch.int32), types)
    out, mass = module.forward(one, many, many + 1, to_many, scoring)
    arguments = many, one, one + 1, to_one, scoring
    forward = module.forward(*arguments)
    grad_value = module.backward(torch.ones_like(forward[0]), *forward, *arguments)[2]
    return float(mass), float(out), float(grad_value)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_ten_thousand_ones_sum_to_ten_thousand(interpreted: Run, dtype: torch.dtype) -> None:
    """In bfloat16 they would sum to 256. The gradient is rounded to its input's precision once, at the end."""
    mass, out, gradient = interpreted(sums_of_ten_thousand, dtype)
    assert (mass, out) == (10_000, 1)
    assert gradient == pytest.approx(10_000, rel=torch.finfo(dtype).eps)


def strides_make_no_difference() -> None:
    module = import_module(MODULE)
    leaves, rows = inputs(5, 3, 4), rows_of([10] * 5)
    strided = Inputs(*(leaf.transpose(0, 1).contiguous().transpose(0, 1) for leaf in leaves))
    assert not strided.key.is_contiguous()
    results = []
    for query, key, value, *embedding in (leaves, strided):
        arguments = query, key, value, rows, Scoring(*embedding, torch.tensor(1.0))
        out, mass = module.forward(*arguments)
        gradients = module.backward(torch.ones(1).expand_as(out), out, mass, *arguments)
        results.append((out, mass, *gradients))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.full
def test_strided_inputs(interpreted: Run) -> None:
    interpreted(strides_make_no_difference)


def compile_for_cuda(name: str, capability: int, kind: str, heads: int, width: int) -> set[str]:
    """What Triton makes of a kernel for a target: the kinds of its code that aren't empty."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module = import_module(MODULE)
    kernel = getattr(module, name)
    constants = module._tile(10**6, 10**7 + 1, heads, width, 4 if "backward" in name else 8)
    options = {"num_warps": constants.pop("num_warps")}
    types = dict.fromkeys(("query", "key", "value", "grad_query"), f"*{kind}")
    types |= {"indptr": "*i64", "source": "*i32", "edge_type": "*u8", "num_rows": "i32", "num_blocks": "i32"}
    types |= dict.fromkeys(constants, "constexpr")
    signature = {argument: types.get(argument, "*fp32") for argument in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]] for place, type_ in enumerate(signature.values()) if type_.startswith("*")
    }
    target = GPUTarget("cuda", capability, 32)
    made = triton.compile(ASTSource(kernel, signature, constants, aligned), target=target, options=options)
    assert f".target sm_{capability}" in made.asm["ptx"]
    return {stage for stage, code in made.asm.items() if code}


@pytest.mark.parametrize("kind", ["fp32", pytest.param("bf16", marks=pytest.mark.full)])
@pytest.mark.parametrize("capability", [80, pytest.param(90, marks=pytest.mark.full)])
@every_day("name", KERNELS, ("_weights_kernel",))
def test_compiles_for_cuda(compiling: Run, name: str, capability: int, kind: str) -> None:
    try:
        made = compiling(compile_for_cuda, name, capability, kind, 2, 12)
    except ImportError as error:
        pytest.skip(f"this Triton can't compile without a GPU: {error}")
    assert {"ptx", "cubin"} <= made
