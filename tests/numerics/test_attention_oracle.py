"""Every implementation of the attention, over both layouts, against a dense masked softmax: outputs and all gradients,
in float64 to 1e-10."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from benchmarks.plain_attention import plain_attend
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import NeighborTable
from spx.graph.segments import segment_sum
from spx.kernels import cpu_attention, row_attention, torch_attention
from spx.nn.attention import SparseAttention
from spx.nn.functional import Neighborhood, attend

Attend = Callable[..., tuple[Tensor, Tensor]]


class Inputs(NamedTuple):
    """Leaves of one attention; N_in = 14 nodes attended to, of which the first N attend."""

    query: Tensor
    key: Tensor
    value: Tensor
    edge_scale: Tensor
    edge_bias: Tensor


def inputs(num_nodes: int, num_in: int, heads: int = 3, width: int = 4, scale: float = 1.0, seed: int = 0) -> Inputs:
    stream = torch.Generator().manual_seed(seed)
    shapes = [(num_nodes, heads, width), (num_in, heads, width), (num_in, heads, width), (3, heads, width), (3, heads)]
    scales = [scale, 1.0, 1.0, 1.0, scale]
    return Inputs(
        *(
            (s * torch.randn(shape, generator=stream, dtype=torch.float64)).requires_grad_()
            for s, shape in zip(scales, shapes, strict=True)
        )
    )


def edge_list(neighborhood: Neighborhood) -> tuple[Tensor, Tensor, Tensor]:
    """Attending node, node attended to and type of each edge, [M] each, row after row."""
    if isinstance(neighborhood, NeighborTable):
        num_nodes, k = neighborhood.neighbors.shape
        rows = torch.tensor([node for node in range(num_nodes) for _ in range(k)])
        return rows, neighborhood.neighbors.reshape(-1).long(), neighborhood.edge_type.reshape(-1).long()
    bounds = neighborhood.indptr.tolist()
    rows = [node for node in range(len(bounds) - 1) for _ in range(bounds[node], bounds[node + 1])]
    return torch.tensor(rows, dtype=torch.int64), neighborhood.source.long(), neighborhood.edge_type.long()


def dense_logits(leaves: Inputs, temperature: float) -> Tensor:
    """s / T of every node, every node attended to and every type: [N, N_in, 3, H]."""
    width = leaves.query.shape[-1]
    typed_key = leaves.key[:, None] * leaves.edge_scale
    logits = torch.einsum("jthd,ihd->ijth", typed_key, leaves.query) / math.sqrt(width) + leaves.edge_bias
    return logits / temperature


def dense_attention(leaves: Inputs, neighborhood: Neighborhood, temperature: float) -> tuple[Tensor, Tensor]:
    """The oracle: softmax over all nodes and types, masked; c parallel edges of one type count c times.

    Returns `out` [N, H, D] and the weight of each edge [M, H], for neighbourhoods without an empty row.
    """
    rows, source, edge_type = edge_list(neighborhood)
    num_nodes, num_in = leaves.query.shape[0], leaves.key.shape[0]
    count = torch.zeros(num_nodes, num_in, 3, dtype=torch.float64)
    count.index_put_((rows, source, edge_type), torch.ones(len(rows), dtype=torch.float64), accumulate=True)
    masked = dense_logits(leaves, temperature).clamp(-8, 8) + count.log()[..., None]
    p = masked.flatten(1, 2).softmax(1).view_as(masked)
    out = torch.einsum("ijth,jhd->ihd", p, leaves.value)
    each = p / count.clamp_min(1)[..., None]
    return out, each[rows, source, edge_type]


@pytest.fixture(params=["compiled", "torch", "plain"])
def attention(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, device: torch.device) -> Attend:
    """`attend` with weights, by each implementation on each device; what goes in and comes out is on the CPU."""
    if request.param == "compiled" and device.type != "cpu":
        pytest.skip("these kernels are compiled for the CPU")
    module = cpu_attention if request.param == "compiled" else torch_attention
    monkeypatch.setattr(row_attention, "implementation", lambda query: module)
    monkeypatch.setattr(torch_attention, "CHUNK_ELEMENTS", 80)  # several ranges of rows
    compute = plain_attend if request.param == "plain" else partial(attend, need_weights=True)

    def on_device(query: Tensor, key: Tensor, value: Tensor, neighborhood: Neighborhood, *rest: Tensor | float):
        there = type(neighborhood)(*(tensor.to(device) for tensor in neighborhood))
        leaves = (tensor.to(device) for tensor in (query, key, value))
        rest = (entry.to(device) if isinstance(entry, Tensor) else entry for entry in rest)
        return tuple(result.cpu() for result in compute(*leaves, there, *rest))

    return on_device


def results(out: Tensor, weights: Tensor, leaves: Inputs) -> tuple[Tensor, ...]:
    """Outputs, weights and the gradient of each leaf under a fixed random cotangent of the outputs."""
    stream = torch.Generator().manual_seed(99)
    cotangent = torch.randn(out.shape, generator=stream, dtype=out.dtype)
    gradients = torch.autograd.grad((cotangent * out).sum(), leaves)
    return out, weights.reshape(-1, weights.shape[-1]), *gradients


def assert_equal(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...], atol: float = 1e-10) -> None:
    names = ("out", "weights", *Inputs._fields)
    for name, a, e in zip(names, actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-10, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


def ragged_neighborhood() -> AttentionGraph:
    """14 nodes: a hub with an edge from every node, rows with a self-loop alone, parallel edges of two types."""
    hub = torch.stack((torch.arange(14), torch.full((14,), 6)))
    some = torch.randint(0, 7, (2, 25), generator=torch.Generator().manual_seed(1))
    expander = build_expander(14, 2, seed=0)
    full = augment(torch.cat((hub, some), 1), 14, expander)
    rows, keep = full.rows(), torch.ones(full.num_edges, dtype=torch.bool)
    keep[((rows == 9) | (rows == 12)) & (full.edge_type != 2)] = False
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), rows[keep].bincount(minlength=14).cumsum(0)))
    return AttentionGraph(indptr, full.source[keep], full.edge_type[keep]).check()


def regular_neighborhood(num_nodes: int = 9, k: int = 6) -> NeighborTable:
    """Positions among 14 nodes; with repeated neighbours, of the same and of other types."""
    stream = torch.Generator().manual_seed(2)
    neighbors = torch.randint(0, 14, (num_nodes, k), generator=stream)
    edge_type = torch.randint(0, 3, (num_nodes, k), generator=stream)
    neighbors[1], edge_type[1] = 4, 0
    neighbors[2] = 3
    neighbors[3, 1::2], edge_type[3, 1::2] = neighbors[3, ::2], edge_type[3, ::2]
    return NeighborTable(neighbors.to(torch.int32), edge_type.to(torch.uint8))


def as_csr(table: NeighborTable) -> AttentionGraph:
    num_nodes, k = table.neighbors.shape
    return AttentionGraph(torch.arange(num_nodes + 1) * k, table.neighbors.flatten(), table.edge_type.flatten())


CASES = pytest.mark.parametrize(
    ("heads", "temperature", "scale"),
    [(1, 1.0, 1.0), (3, 1.0, 1.0), (4, 0.45, 1.0), (2, 0.05, 0.5), (3, 2.5, 8.0), (2, 1.0, 12.0)],
)


@CASES
def test_ragged_attention_equals_the_dense_softmax(
    attention: Attend, heads: int, temperature: float, scale: float
) -> None:
    graph, leaves = ragged_neighborhood(), inputs(14, 14, heads, scale=scale)
    degrees = graph.degrees()
    assert degrees.min() == 1
    assert degrees.max() >= 14, "rows must be of very different degree"
    actual = results(*attention(*leaves[:3], graph, *leaves[3:], temperature), leaves)
    assert_equal(actual, results(*dense_attention(leaves, graph, temperature), leaves))


@CASES
def test_regular_attention_equals_the_dense_softmax(
    attention: Attend, heads: int, temperature: float, scale: float
) -> None:
    table, leaves = regular_neighborhood(), inputs(9, 14, heads, scale=scale)
    actual = results(*attention(*leaves[:3], table, *leaves[3:], temperature), leaves)
    assert_equal(actual, results(*dense_attention(leaves, table, temperature), leaves))


@CASES
def test_both_layouts_agree_on_the_same_edges(attention: Attend, heads: int, temperature: float, scale: float) -> None:
    table, leaves = regular_neighborhood(num_nodes=14), inputs(14, 14, heads, scale=scale)
    regular = results(*attention(*leaves[:3], table, *leaves[3:], temperature), leaves)
    assert_equal(results(*attention(*leaves[:3], as_csr(table), *leaves[3:], temperature), leaves), regular)


def test_the_shapes_of_weights_and_outputs(attention: Attend) -> None:
    leaves = inputs(14, 14)
    out, weights = attention(*leaves[:3], ragged_neighborhood(), *leaves[3:])
    assert out.shape == (14, 3, 4)
    assert weights.shape == (ragged_neighborhood().num_edges, 3)
    torch.testing.assert_close(segment_sum(weights, ragged_neighborhood().indptr), torch.ones(14, 3).double())
    leaves = inputs(9, 14)
    out, weights = attention(*leaves[:3], regular_neighborhood(), *leaves[3:])
    assert out.shape == (9, 3, 4)
    assert weights.shape == (9, 6, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(9, 3).double())


@pytest.mark.parametrize("layout", ["ragged", "regular"])
def test_beyond_the_clamp_no_gradient_flows(attention: Attend, layout: str) -> None:
    """Some edges beyond +8, some beyond -8, some within: those within alone move their keys."""
    sources, types = torch.tensor([[0, 1, 2, 3]], dtype=torch.int32), torch.zeros(1, 4, dtype=torch.uint8)
    table = NeighborTable(sources, types)
    key = torch.tensor([9.0, -11.0, 1.0, 7.9], dtype=torch.float64).view(4, 1, 1).requires_grad_()
    query = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
    value = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64).view(4, 1, 1)
    scale, bias = torch.ones(3, 1, 1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    out, weights = attention(query, key, value, as_csr(table) if layout == "ragged" else table, scale, bias)
    expected = torch.tensor([8.0, -8.0, 1.0, 7.9], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(weights.flatten(), expected, rtol=0, atol=1e-12)
    out.sum().backward()
    assert key.grad.flatten()[:2].tolist() == [0, 0]
    assert (key.grad.flatten()[2:] != 0).all()
    within = expected[2:] * (value.flatten()[2:] - out.detach().flatten())
    torch.testing.assert_close(key.grad.flatten()[2:], within)


def test_the_cases_reach_the_clamp_on_both_sides() -> None:
    logits = dense_logits(inputs(14, 14, 3, scale=8.0), 2.5)
    assert (logits > 8).sum() > 5
    assert (logits < -8).sum() > 5
    assert (logits.abs() < 8).sum() > 100


def test_an_empty_row_gives_zero_and_disturbs_no_other(attention: Attend) -> None:
    full = ragged_neighborhood()
    empty = (3, 13)
    rows = full.rows()
    keep = (rows != empty[0]) & (rows != empty[1])
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), rows[keep].bincount(minlength=14).cumsum(0)))
    graph = AttentionGraph(indptr, full.source[keep], full.edge_type[keep]).check()
    leaves = inputs(14, 14)
    out, weights = attention(*leaves[:3], graph, *leaves[3:])
    expected, expected_weights = attention(*leaves[:3], full, *leaves[3:])
    assert not out[list(empty)].any()
    others = [node for node in range(14) if node not in empty]
    torch.testing.assert_close(out[others], expected[others], rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, expected_weights[keep], rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(out.square().sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][list(empty)].any()


def many_neighbours(layout: str, number: int = 10_000) -> Neighborhood:
    sources = torch.zeros(1, number, dtype=torch.int32)
    table = NeighborTable(sources, torch.zeros(1, number, dtype=torch.uint8))
    return table if layout == "regular" else as_csr(table)


@pytest.mark.parametrize("layout", ["ragged", "regular"])
def test_bf16_inputs_are_summed_in_fp32(layout: str) -> None:
    half = {"dtype": torch.bfloat16}
    query, key, value = torch.zeros(1, 2, 4, **half), torch.zeros(1, 2, 4, **half), torch.full((1, 2, 4), 1e4, **half)
    with torch.autocast("cpu", torch.bfloat16):
        out, weights = attend(
            query,
            key,
            value,
            many_neighbours(layout),
            torch.ones(3, 2, 4, **half),
            torch.zeros(3, 2, **half),
            need_weights=True,
        )
    assert out.dtype == weights.dtype == torch.float32
    total = weights.sum(0 if layout == "ragged" else 1).flatten()
    torch.testing.assert_close(total, torch.ones(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(out, value.float(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("layout", ["ragged", "regular"])
def test_under_autocast_the_block_is_as_exact_as_its_projections(layout: str) -> None:
    """Scores beside 1e-3 of the fp32 ones would be off by far more if they were rounded to bf16."""
    torch.manual_seed(0)
    block = SparseAttention(width=8, num_heads=2, edge_width=8)
    table = regular_neighborhood(num_nodes=14)
    neighborhood = table if layout == "regular" else as_csr(table)
    x, embedding = torch.randn(14, 8), torch.randn(3, 8)
    projected: dict[str, Tensor] = {}

    def record(name: str) -> None:
        module = getattr(block, name)
        module.register_forward_hook(lambda _module, _args, output: projected.update({name: output.detach()}))

    for name in Inputs._fields:
        record(name)
    with torch.autocast("cpu", torch.bfloat16):
        out, weights = block(x, neighborhood, embedding, torch.tensor(0.3), need_weights=True)
    assert {tensor.dtype for tensor in projected.values()} == {torch.bfloat16}, "autocast must be on"
    assert out.dtype == weights.dtype == torch.float32
    heads = {name: tensor.double().unflatten(-1, (2, -1)) for name, tensor in projected.items()}
    heads["edge_bias"] = heads["edge_bias"].flatten(1)
    expected, expected_weights = dense_attention(Inputs(**heads), neighborhood, 0.3)
    torch.testing.assert_close(out.double(), expected.flatten(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weights.double().reshape(-1, 2), expected_weights, rtol=1e-5, atol=1e-6)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())
