"""Layered batches: from a few core nodes back to the nodes whose features they need.

Letters: B core or target nodes, L layers, K sampled degree of a layer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph
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


class SeparateBlocks(NamedTuple):
    """What each of B target nodes needs of the graph by itself: a node that two of them need is there twice.

    Args:
        nodes: [N_0] int64, the nodes that enter the first layer, as numbers in the graph; those that leave a layer are
            the first of those that enter it.
        owner: [N_0] int64, which of the B targets each is there for.
        targets: [B] int64, positions of the targets, the same in every layer.
        layers: L neighbourhoods as CSR rows of N_(l+1) nodes, whose sources are positions among the N_l that enter.
    """

    nodes: Tensor
    owner: Tensor
    targets: Tensor
    layers: tuple[AttentionGraph, ...]


def separate_blocks(layers: Sequence[AttentionGraph], targets: Tensor) -> SeparateBlocks:
    """Collect the neighbourhoods of each target apart from the others'.

    Args:
        layers: L neighbourhoods over all N nodes as CSR rows, first layer first.
        targets: [B] int64, nodes; one may be there several times.

    Returns:
        Blocks of at most B * N nodes.
    """
    num_nodes = layers[0].num_nodes
    keys = torch.arange(targets.numel(), device=targets.device) * num_nodes + targets
    collected = []
    for rows in reversed(layers):
        own = take_rows(rows, keys % num_nodes)
        first = torch.repeat_interleave(keys - keys % num_nodes, own.degrees(), output_size=own.num_edges)
        keys, positions = _outputs_first(keys, first + own.source)
        collected.append(own._replace(source=positions))
    places = torch.arange(targets.numel(), device=targets.device)
    return SeparateBlocks(keys % num_nodes, keys // num_nodes, places, tuple(reversed(collected)))


def take_rows(graph: AttentionGraph, rows: Tensor) -> AttentionGraph:
    """The given rows [n] int64, in their order and as often as they are given; sources stay what they are."""
    degrees = graph.indptr[rows + 1] - graph.indptr[rows]
    indptr = torch.cat((degrees.new_zeros(1), degrees.cumsum(0)))
    edges = torch.repeat_interleave(graph.indptr[rows] - indptr[:-1], degrees, output_size=int(indptr[-1]))
    edges += torch.arange(edges.numel(), device=edges.device)
    return AttentionGraph(indptr, graph.source[edges], graph.edge_type[edges])


def _outputs_first(outputs: Tensor, neighbors: Tensor) -> tuple[Tensor, Tensor]:
    """Number the distinct nodes among `outputs` [n] and `neighbors`, of any shape, the outputs first.

    Returns:
        The nodes in that order, and `neighbors` as positions in it, int32.
    """
    distinct, position = torch.unique(torch.cat((outputs, neighbors.reshape(-1))), return_inverse=True)
    num_outputs = outputs.numel()
    is_new = torch.ones_like(distinct, dtype=torch.bool)
    is_new[position[:num_outputs]] = False
    number = is_new.cumsum(0) + (num_outputs - 1)
    number[position[:num_outputs]] = torch.arange(num_outputs, device=outputs.device)
    nodes = torch.cat((outputs, distinct[is_new]))
    return nodes, number[position[num_outputs:]].view_as(neighbors).to(torch.int32)
