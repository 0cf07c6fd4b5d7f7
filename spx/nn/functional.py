"""Typed dot-product attention over a ragged (CSR) and over a regular neighbourhood: one formula, two layouts.

Both are rows of edges to the kernels; the formula is that of `spx.kernels.formula`, and its division by sqrt(D) is done
here. Scores, softmax and sums are computed in at least float32, whatever autocast is on.

Letters: as in the formula, and K, the sampled degree.
"""

import math

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph
from spx.graph.sampling import NeighborTable
from spx.kernels.formula import Scoring
from spx.kernels.row_attention import row_attention, row_attention_weights

Neighborhood = AttentionGraph | NeighborTable


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    neighborhood: Neighborhood,
    edge_scale: Tensor,
    edge_bias: Tensor,
    temperature: Tensor | float = 1.0,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of N nodes over their neighbourhoods.

    Args:
        query: [N, H, D].
        key, value: [N_in, H, D].
        neighborhood: CSR rows over N = N_in nodes, or a table [N, K] of positions among the N_in.
        edge_scale: E1, [3, H, D].
        edge_bias: E2, [3, H].
        temperature: T, above 0.
        need_weights: whether the weights are returned; they carry no gradient.

    Returns:
        `out` [N, H, D], and the weights p or None: [M, H] for CSR, [N, K, H] for a table. A node with an empty row
        gets zero.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)
        >>> query, key, value = torch.zeros(3, 3, 2, 4)  # 3 nodes, 2 heads of width 4: all logits are 0
        >>> out, weights = attend(query, key, value, graph, torch.ones(3, 2, 4), torch.zeros(3, 2), need_weights=True)
        >>> out.shape
        torch.Size([3, 2, 4])
        >>> weights[:, 0]  # uniform over rows of 3, 2 and 1 edges
        tensor([0.3333, 0.3333, 0.3333, 0.5000, 0.5000, 1.0000])
    """
    device = query.device
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":  # the CUDA kernel reads half precision as it is and computes in float32
            query, key, value = map(at_least_fp32, (query, key, value))
        scale = at_least_fp32(edge_scale) / math.sqrt(query.shape[-1])
        temperature = torch.as_tensor(temperature, dtype=scale.dtype, device=device)
        scoring, rows = Scoring(scale, at_least_fp32(edge_bias), temperature), as_rows(neighborhood)
        out, mass = row_attention(query, key, value, *rows, *scoring)
        if not need_weights:
            return out, None
        with torch.no_grad():
            weights = row_attention_weights(mass, query, key, *rows, *scoring)
        return out, weights if isinstance(neighborhood, AttentionGraph) else weights.unflatten(0, neighborhood[0].shape)


def as_rows(neighborhood: Neighborhood) -> AttentionGraph:
    """The neighbourhood as CSR rows; a table's all have K edges."""
    if isinstance(neighborhood, AttentionGraph):
        return neighborhood
    neighbors, edge_type = neighborhood
    num_nodes, k = neighbors.shape
    indptr = torch.arange(0, (num_nodes + 1) * k, k, device=neighbors.device)
    return AttentionGraph(indptr, neighbors.flatten(), edge_type.flatten())


def at_least_fp32(tensor: Tensor) -> Tensor:
    """The tensor itself, or half precision as float32: for sums and lengths, which autocast may leave in half."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
