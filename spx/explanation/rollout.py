"""Attention rolled out over the layers: how much of each input node reaches a target.

Attention rollout (Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, arXiv 2005.00928): with
W_l the heads' mean weights, the residual connection counts as an edge to oneself of the same worth,
A_l = (W_l + I) / 2, and the rollout is A_L ... A_1. A layer without a residual connection that concatenates a node's
own state is counted the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph


def rollout(layers: Sequence[AttentionGraph], weights: Sequence[Tensor], targets: Tensor, num_inputs: int) -> Tensor:
    """What reaches the targets, summed over them.

    Args:
        layers: L neighbourhoods, first layer first, as CSR rows; the nodes that leave a layer are the first of those
            that enter it.
        weights: L times [M], of each edge.
        targets: [B] int64, positions among the nodes that leave the last layer.
        num_inputs: N_0, nodes that enter the first layer.

    Returns:
        [N_0] float64, whose sum is B.
    """
    share = torch.zeros(layers[-1].num_nodes, dtype=torch.float64, device=targets.device)
    share.index_add_(0, targets, torch.ones_like(targets, dtype=torch.float64))
    entering = [num_inputs, *(rows.num_nodes for rows in layers[:-1])]
    for rows, weight, num_nodes in zip(reversed(layers), reversed(weights), reversed(entering), strict=True):
        attending = torch.where(rows.degrees() > 0, 0.5, 0.0).to(share) * share  # an empty row keeps what it is
        before = torch.zeros(num_nodes, dtype=torch.float64, device=share.device)
        before[: rows.num_nodes] = share - attending
        share = before.index_add_(0, rows.source.long(), attending[rows.rows()] * weight.double())
    return share
