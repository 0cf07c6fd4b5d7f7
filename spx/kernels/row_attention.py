"""Typed attention of N rows over M edges: one operator, one implementation for each device, chosen here.

The formula, forwards and backwards, is that of `spx.kernels.formula`. An implementation is a module with `forward`,
`backward` and `weights`, which take the tensors as `Rows` and `Scoring`; operators of torch's can only have them one by
one.
"""

import functools
import importlib
import warnings
from types import ModuleType

import torch
from torch import Tensor

from spx.kernels.compiled_rows import can_compile
from spx.kernels.formula import NUM_EDGE_TYPES, Rows, Scoring


def implementation(query: Tensor) -> ModuleType:
    """The module that computes for queries of this device, dtype, heads and width."""
    device, dtype = query.device, query.dtype
    if device.type == "cuda" and dtype != torch.float64 and _triton_works(device, dtype, *query.shape[1:]):
        name = "triton_attention"
    elif device.type == "cpu" and can_compile():
        name = "cpu_attention"
    else:
        name = "torch_attention"
    return importlib.import_module(f"spx.kernels.{name}")


@functools.cache
def _triton_works(device: torch.device, dtype: torch.dtype, heads: int, width: int) -> bool:
    """Whether Triton is installed and its kernels compile for this device and shape: tried once on a graph of one edge,
    so that a width that takes too much of the device is told before the training."""
    try:
        kernels = importlib.import_module("spx.kernels.triton_attention")
        states, edge = torch.ones(1, heads, width, device=device, dtype=dtype), torch.zeros(1, device=device)
        rows = Rows(torch.tensor([0, 1], device=device), edge.int(), edge.byte())
        scale = states.float().expand(NUM_EDGE_TYPES, heads, width)
        scoring = Scoring(scale, scale[..., 0], torch.ones((), device=device))
        inputs = (states, states, states, rows, scoring)
        out, mass = kernels.forward(*inputs)
        kernels.backward(out, out, mass, *inputs)
    except Exception as error:  # whatever a compiler throws: slower is better than not at all
        warnings.warn(
            f"Triton can't be used for {heads} heads of width {width} in {dtype} ({error!r}): attention on CUDA runs "
            "as tensor operations.",
            stacklevel=2,
        )
        return False
    return True


@torch.library.custom_op("spx::row_attention", mutates_args=())
def row_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    """Attend.

    Args:
        query: [N, H, D].
        key, value: [N_in, H, D].
        indptr, source, edge_type: see `Rows`.
        edge_scale, edge_bias, temperature: see `Scoring`; the first holds the factor 1 / sqrt(D).

    Returns:
        `out` [N, H, D] and `mass` [N, H], both zero in an empty row. No gradient runs through `mass`.
    """
    module = implementation(query)
    rows, scoring = Rows(indptr, source, edge_type), Scoring(edge_scale, edge_bias, temperature)
    return module.forward(query, key, value, rows, scoring)


@torch.library.custom_op("spx::row_attention_backward", mutates_args=())
def row_attention_backward(
    grad_out: Tensor,
    out: Tensor,
    mass: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, edge_scale and edge_bias, each in its tensor's dtype.

    Args:
        grad_out: dO, [N, H, D].
        out, mass: as `row_attention` gave them for the other arguments, which are the same.
    """
    module = implementation(query)
    rows, scoring = Rows(indptr, source, edge_type), Scoring(edge_scale, edge_bias, temperature)
    return module.backward(grad_out, out, mass, query, key, value, rows, scoring)


@torch.library.custom_op("spx::row_attention_weights", mutates_args=())
def row_attention_weights(
    mass: Tensor,
    query: Tensor,
    key: Tensor,
    indptr: Tensor,
    source: Tensor,
    edge_type: Tensor,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor,
) -> Tensor:
    """The weights p, [M, H], from the mass that `row_attention` gave. They carry no gradient."""
    module = implementation(query)
    rows, scoring = Rows(indptr, source, edge_type), Scoring(edge_scale, edge_bias, temperature)
    return module.weights(mass, query, key, rows, scoring)


@row_attention.register_fake
def _(query, *_):
    kind = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty(query.shape, dtype=kind), query.new_empty(query.shape[:2], dtype=kind)


@row_attention_backward.register_fake
def _(grad_out, out, mass, query, key, value, indptr, source, edge_type, *scoring):
    edge_scale, edge_bias, _ = scoring
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, value, edge_scale, edge_bias))


@row_attention_weights.register_fake
def _(mass, query, key, indptr, source, *_):
    return mass.new_empty(source.shape[0], query.shape[1])


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*output, *inputs)


def _backward(ctx, grad_out: Tensor, _grad_mass: Tensor | None):
    out, mass, *inputs = ctx.saved_tensors
    grads = row_attention_backward(grad_out, out, mass, *inputs)
    grad_query, grad_key, grad_value, grad_scale, grad_bias = grads
    return grad_query, grad_key, grad_value, None, None, None, grad_scale, grad_bias, None


row_attention.register_autograd(_backward, setup_context=_save)
