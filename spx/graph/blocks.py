"""Layered batches: from a few core nodes back to the nodes whose features they need.

Letters: B core nodes, L layers, K sampled degree of a layer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.graph.sampling import LazyTable, NeighborTable


class LayeredBlocks(NamedTuple):
    """What one batch needs of the graph, layer by layer.

    Args:
        nodes: [N_0] int64, the nodes that enter the first layer; the core nodes come first, in their order.
        layers: L neighbourhoods. The l-th is a table [N_(l+1), K_l] whose entries are positions among the
            N_l nodes that enter layer l. The nodes that leave a layer are the first of those that enter
            it, so `x[:N_(l+1)]` is the residual stream, and N_L = B.
    """

    nodes: Tensor
    layers: tuple[NeighborTable, ...]


def build_blocks(tables: Sequence[NeighborTable | LazyTable], core_nodes: Tensor) -> LayeredBlocks:
    """Collect the sampled neighbourhoods of the core nodes, from the last layer to the first.

    Args:
        tables: L tables over all N nodes, first layer first; of lazy ones the rows that are reached are drawn.
        core_nodes: [B] int64, distinct.

    Returns:
        Blocks whose size depends on B and the degrees, never on N.
    """
    nodes, layers = core_nodes, []
    for table in reversed(tables):
        drawn = table.rows(nodes)
        nodes, positions = _outputs_first(nodes, drawn.neighbors.long())
        layers.append(drawn._replace(neighbors=positions))
    return LayeredBlocks(nodes, tuple(reversed(layers)))


def _outputs_first(outputs: Tensor, neighbors: Tensor) -> tuple[Tensor, Tensor]:
    """Number the distinct nodes among `outputs` [n] and `neighbors` [n, K], the outputs first.

    Returns:
        The nodes in that order, and `neighbors` as positions in it, [n, K] int32.
    """
    distinct, position = torch.unique(torch.cat((outputs, neighbors.reshape(-1))), return_inverse=True)
    num_outputs = outputs.numel()
    is_new = torch.ones_like(distinct, dtype=torch.bool)
    is_new[position[:num_outputs]] = False
    number = is_new.cumsum(0) + (num_outputs - 1)
    number[position[:num_outputs]] = torch.arange(num_outputs, device=outputs.device)
    nodes = torch.cat((outputs, distinct[is_new]))
    return nodes, number[position[num_outputs:]].view_as(neighbors).to(torch.int32)
