"""Typed attention of N rows over M edges: one operator, one implementation for each device, chosen here.

For head h, row i and edge e = (i <- j) of type t, with E1 holding the factor 1 / sqrt(D):

    s_e = sum_d E1[t] K_j Q_i + E2[t]    m_e = exp(clamp(s_e / T, -8, 8))    mass_i = sum_e m_e
    p_e = m_e / mass_i                   out_i = sum_e p_e V_j

and backwards, from dO:

    dV_j += p_e dO_i    ds_e = p_e (dO_i . V_j - dO_i . out_i) / T, or 0 beyond the clamp    dE2[t] += ds_e
    dK_j += ds_e E1[t] Q_i    dQ_i += ds_e E1[t] K_j    dE1[t] += ds_e K_j Q_i

What the backward needs of the forward is `out` and `mass`: 4 N (H D + H) bytes, whatever the number of edges.
An implementation is a module with `forward`, `backward` and `weights`.
"""

import functools
import importlib
import warnings
from types import ModuleType

import torch
from torch import Tensor

from spx.kernels.rows import can_compile


def implementation(device: torch.device, dtype: torch.dtype) -> ModuleType:
    """The module that computes on this device and with this kind of number."""
    if device.type == "cuda" and dtype != torch.float64 and _triton_works(device):
        name = "triton_attention"
    elif device.type == "cpu" and can_compile():
        name = "cpu_attention"
    else:
        name = "torch_attention"
    return importlib.import_module(f"spx.kernels.{name}")


@functools.cache
def _triton_works(device: torch.device) -> bool:
    """Whether Triton is installed and its kernels compile for this device: tried once on a graph of one edge."""
    try:
        kernels = importlib.import_module("spx.kernels.triton_attention")
        one, row, edge = (
            torch.ones(1, 1, 1, device=device),
            torch.tensor([0, 1], device=device),
            torch.zeros(1, device=device),
        )
        inputs = (one, one, one, row, edge.int(), edge.byte(), one.expand(3, 1, 1), one[0].expand(3, 1), one.view(()))
        kernels.backward(one, *kernels.forward(*inputs), *inputs)
    except Exception as error:  # whatever a compiler throws: slower is better than not at all
        warnings.warn(f"Triton can't be used ({error!r}): attention on CUDA runs as tensor operations.", stacklevel=2)
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
    """Attend; the formula is above.

    Args:
        query: [N, H, D].
        key, value: [N_in, H, D].
        indptr: [N + 1] int64.
        source: [M] int32, positions among the N_in.
        edge_type: [M] uint8, 0 to 2.
        edge_scale: E1 / sqrt(D), [3, H, D].
        edge_bias: E2, [3, H].
        temperature: T, [], above 0.

    Returns:
        `out` [N, H, D] and `mass` [N, H], both zero in an empty row. No gradient runs through `mass`.
    """
    module = implementation(query.device, query.dtype)
    return module.forward(query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature)


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
    """Gradients of query, key, value, edge_scale and edge_bias."""
    module = implementation(query.device, query.dtype)
    return module.backward(
        grad_out, out, mass, query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature
    )


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
    module = implementation(query.device, query.dtype)
    return module.weights(mass, query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature)


@row_attention.register_fake
def _(query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature):
    kind = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty(query.shape, dtype=kind), query.new_empty(query.shape[:2], dtype=kind)


@row_attention_backward.register_fake
def _(grad_out, out, mass, query, key, value, indptr, source, edge_type, edge_scale, edge_bias, temperature):
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, value, edge_scale, edge_bias))


@row_attention_weights.register_fake
def _(mass, query, key, indptr, source, edge_type, edge_scale, edge_bias, temperature):
    return mass.new_empty(source.shape[0], query.shape[1])


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*output, *inputs)


def _backward(ctx, grad_out: Tensor, _grad_mass: Tensor | None):
    out, mass, *inputs = ctx.saved_tensors
    grads = row_attention_backward(grad_out, out, mass, *inputs)
    grad_query, grad_key, grad_value, grad_scale, grad_bias = grads
    return grad_query, grad_key, grad_value, None, None, None, grad_scale, grad_bias, None


row_attention.register_autograd(_backward, setup_context=_save)
