"""The formula of `spx.kernels.formula` written out for autograd: the kernels are tested and measured against it.

It holds several [M, H, D] tensors and is several times slower. Nothing of spx uses it.
"""

import math

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph
from spx.graph.segments import segment_sum
from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND
from spx.nn.functional import Neighborhood


def plain_attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    neighborhood: Neighborhood,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """As `spx.nn.functional.attend` with `need_weights`; here the weights carry a gradient."""
    attention = _attend_ragged if isinstance(neighborhood, AttentionGraph) else _attend_regular
    query = query / math.sqrt(query.shape[-1])
    typed_query = (query[:, None] * edge_scale).flatten(0, 1)  # [N * 3, H, D], E1 folded into Q
    return attention(typed_query, key, value, neighborhood, edge_bias, temperature)


def _attend_ragged(typed_query, key, value, graph, edge_bias, temperature) -> tuple[Tensor, Tensor]:
    rows, source, edge_type = graph.rows(), graph.source.long(), graph.edge_type.long()
    of_edge = typed_query.index_select(0, rows * NUM_EDGE_TYPES + edge_type)
    logits = (of_edge * key.index_select(0, source)).sum(-1) + edge_bias.index_select(0, edge_type)
    mass = _bounded_exp(logits, temperature)
    weights = mass / segment_sum(mass, graph.indptr).index_select(0, rows)
    out = segment_sum(weights.unsqueeze(-1) * value.index_select(0, source), graph.indptr)
    return out, weights


def _attend_regular(typed_query, key, value, table, edge_bias, temperature) -> tuple[Tensor, Tensor]:
    num_nodes, k = table.neighbors.shape
    neighbors, edge_type = table.neighbors.flatten().long(), table.edge_type.long()
    first_type = NUM_EDGE_TYPES * torch.arange(num_nodes, device=neighbors.device).unsqueeze(1)
    of_edge = typed_query.index_select(0, (first_type + edge_type).flatten())
    logits = (of_edge * key.index_select(0, neighbors)).sum(-1) + edge_bias.index_select(0, edge_type.flatten())
    mass = _bounded_exp(logits.unflatten(0, (num_nodes, k)), temperature)
    weights = mass / mass.sum(1, keepdim=True)
    gathered = value.index_select(0, neighbors).unflatten(0, (num_nodes, k))
    out = (weights.unsqueeze(-1) * gathered).sum(1)
    return out, weights


def _bounded_exp(logits: Tensor, temperature: Tensor | float) -> Tensor:
    return (logits / temperature).clamp(-SCORE_BOUND, SCORE_BOUND).exp()
