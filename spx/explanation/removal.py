"""What a network predicts for a node without one of its edges: exact, and only what changes is computed again.

The edge is taken out of the node's own row in every layer. What changes is then that node's state, the states of those
that attend to it a layer later, and so on; all other states are those of the pass with every edge.

Letters: B targets, P removals, C classes, N_l nodes that enter layer l.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.explanation.passes import needs_whole_graph
from spx.graph.blocks import SeparateBlocks, take_rows
from spx.graph.csr import AttentionGraph
from spx.nn.network import GraphTransformer

ROWS = 1 << 18
"""Node states that are computed anew at once, at most, if one removal doesn't take more."""


class Removals(NamedTuple):
    """P edges, each taken out in a pass of its own.

    Args:
        target: [P] int64, which of the B targets' rows each is in.
        source: [P] int64, the node attended to, as a number in the graph.
        edge_type: [P], see `spx.kernels.formula.EdgeType`. Slots of a row that repeat the edge go with it.
    """

    target: Tensor
    source: Tensor
    edge_type: Tensor

    def rows(self, places: Tensor) -> "Removals":
        """Some of them."""
        return Removals(*(tensor[places] for tensor in self))


@torch.no_grad()
def logits_without(
    network: GraphTransformer, blocks: SeparateBlocks, states: Sequence[Tensor], removals: Removals
) -> Tensor:
    """Logits [P, C] of the removals' targets, each without its edge.

    Args:
        network: in evaluation mode.
        blocks: of the targets.
        states: L + 1 states of the pass with all edges (`spx.explanation.passes.Look`).
        removals: of edges in the targets' rows; one that a row doesn't have leaves it as it is.
    """
    if needs_whole_graph(network):
        each = [
            _whole_pass(network, blocks, states[0], removals.rows(slice(p, p + 1))) for p in range(len(removals[0]))
        ]
        return torch.cat(each)
    back = [_transposed(rows, state.shape[0]) for rows, state in zip(blocks.layers, states[:-1], strict=True)]
    largest_block = int(blocks.owner.bincount().max())
    parts = torch.arange(removals.target.numel(), device=blocks.nodes.device).split(max(1, ROWS // largest_block))
    return torch.cat([_changed_pass(network, blocks, states, back, removals.rows(part)) for part in parts])


def _whole_pass(network: GraphTransformer, blocks: SeparateBlocks, h: Tensor, removal: Removals) -> Tensor:
    """All states anew: they hang together by their common statistics."""
    layers = []
    for rows in blocks.layers:
        row = rows.rows()
        keep = (row != blocks.targets[removal.target]) | ~_is_removed(blocks, rows, removal, torch.zeros_like(row))
        layers.append(_kept(rows, keep))
    for layer, rows in zip(network.layers, layers, strict=True):
        h, _ = layer(h, rows, network.edge_embedding.weight, network.temperature)
    return network.head(h)[blocks.targets]


def _changed_pass(
    network: GraphTransformer,
    blocks: SeparateBlocks,
    states: Sequence[Tensor],
    back: Sequence[AttentionGraph],
    removals: Removals,
) -> Tensor:
    """States that differ are kept by a key, removal * stride + position, ascending; of the others there is one."""
    stride = blocks.nodes.numel()
    changed_row = blocks.targets[removals.target]
    removal = torch.arange(changed_row.numel(), device=changed_row.device) * stride
    target_keys = removal + changed_row
    keys, values = target_keys[:0], states[0][:0]
    for layer, rows, state, attending in zip(network.layers, blocks.layers, states[:-1], back, strict=True):
        reached = take_rows(attending, keys % stride)
        first = torch.repeat_interleave(keys - keys % stride, reached.degrees(), output_size=reached.num_edges)
        stay = keys[keys % stride < rows.num_nodes]
        new_keys = torch.cat((target_keys, stay, first + reached.source)).unique()
        row, number = new_keys % stride, new_keys // stride

        own = take_rows(rows, row)
        of_edge = torch.repeat_interleave(own.degrees(), output_size=own.num_edges)
        keep = (row[of_edge] != changed_row[number[of_edge]]) | ~_is_removed(blocks, own, removals, number[of_edge])
        own, of_edge = _kept(own, keep), of_edge[keep]

        # what enters: the rows' own states, all changed ones, and those unchanged ones that are attended to
        place, is_changed = _find(keys, number[of_edge] * stride + own.source)
        unchanged, rank = own.source.long()[~is_changed].unique(return_inverse=True)
        position = place + row.numel()
        position[~is_changed] = rank + row.numel() + keys.numel()
        place, is_changed = _find(keys, new_keys)
        x = state[row]
        x[is_changed] = values[place[is_changed]]
        x = torch.cat((x, values, state[unchanged]))
        neighborhood = own._replace(source=position.int())
        values, _ = layer(x, neighborhood, network.edge_embedding.weight, network.temperature)
        keys = new_keys
    return network.head(values[torch.searchsorted(keys, target_keys)])


def _is_removed(blocks: SeparateBlocks, rows: AttentionGraph, removals: Removals, number: Tensor) -> Tensor:
    """Which edges [M] of the rows lead where the removal of that number [M] takes one out."""
    same_source = blocks.nodes[rows.source.long()] == removals.source[number]
    return same_source & (rows.edge_type == removals.edge_type[number])


def _kept(rows: AttentionGraph, keep: Tensor) -> AttentionGraph:
    before = torch.cat((keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)))
    return AttentionGraph(before[rows.indptr], rows.source[keep], rows.edge_type[keep])


def _transposed(rows: AttentionGraph, num_sources: int) -> AttentionGraph:
    """Row j lists the rows that attend to j."""
    order = rows.source.argsort(stable=True)
    counts = rows.source.bincount(minlength=num_sources)
    indptr = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    return AttentionGraph(indptr, rows.rows()[order].int(), rows.edge_type[order])


def _find(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Place of each wanted one among ascending keys, and whether it is there."""
    if not keys.numel():
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    place = torch.searchsorted(keys, wanted).clamp(max=keys.numel() - 1)
    return place, keys[place] == wanted
