"""What is summed over the draws of a network's graph: weights, shares of input nodes, features, removals.

Letters: N nodes, B explained ones, L layers, R draws, C classes or labels, F features, P edges whose removal is tried.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from spx.explanation.passes import blocks_of, encoded, feature_effects, log_odds, look
from spx.explanation.removal import Removals, logits_without
from spx.explanation.rollout import rollout
from spx.explanation.sums import Statistics, SumsByKey
from spx.graph.blocks import SeparateBlocks, take_rows
from spx.kernels.formula import NUM_EDGE_TYPES
from spx.nn.functional import Neighborhood
from spx.nn.network import GraphTransformer
from spx.nn.objectives import TaskName, class_probabilities, log_probabilities

Draw = Sequence[Neighborhood]
"""L neighbourhoods over all N nodes, or one that all layers share."""


class Judged(NamedTuple):
    """What was predicted for B nodes.

    Args:
        nodes: [B] int64, their numbers in the graph.
        probabilities: [B, C].
        task: "multiclass" or "multilabel".
        class_names: [C].
    """

    nodes: Tensor
    probabilities: Tensor
    task: TaskName
    class_names: tuple[str, ...]

    @property
    def classes(self) -> Tensor:
        """[B] int64: the class, or the label, that is explained is the most probable one."""
        return self.probabilities.argmax(1)

    @property
    def names(self) -> pl.Series:
        """[B], what these classes or labels are called."""
        return pl.Series(self.class_names, dtype=pl.String).gather(self.classes.numpy())


class Looks(NamedTuple):
    """What the passes over R draws were like.

    Args:
        attention: weights of the nodes' rows, by the keys of `edge_keys`.
        inputs: attention rolled out to input nodes, by node of the B * N + input node.
        own: [B, F] float64, gradient times input of each node's own features.
        others: [B, F], summed over all other nodes.
        spread: [B, F], over the draws, of both together; None for one draw.
    """

    attention: Statistics
    inputs: Statistics
    own: Tensor
    others: Tensor
    spread: Tensor | None


class Removed(NamedTuple):
    """What taking out P edges does to the mean prediction over the draws.

    Args:
        change: [P, C] of the probabilities.
        spread: [P] float64 over the draws, of the explained class's; None for one draw.
        drawn: [P] float64, share of the draws that have the edge in the node's row of some layer.
    """

    change: Tensor
    spread: Tensor | None
    drawn: Tensor

    def moved(self, task: TaskName) -> Tensor:
        """Total variation [P] of the prediction; of several labels, the largest of theirs."""
        size = self.change.abs()
        return size.amax(1) if task == "multilabel" else size.sum(1) / 2


def attended_edges(attention: Statistics, num_layers: int, num_nodes: int) -> tuple[Removals, Tensor]:
    """The P distinct edges in the rows of the nodes over all layers and draws, and their mean weight [P] over both.

    Args:
        attention: by the keys of `edge_keys`.
        num_layers: L.
        num_nodes: N.
    """
    target, _, source, edge_type = edge_parts(attention.keys, num_layers, num_nodes)
    key, place = ((target * num_nodes + source) * NUM_EDGE_TYPES + edge_type).unique(return_inverse=True)
    weight = torch.zeros(key.numel(), dtype=torch.float64).index_add_(0, place, attention.mean / num_layers)
    node = key // NUM_EDGE_TYPES
    return Removals(node // num_nodes, node % num_nodes, key % NUM_EDGE_TYPES), weight


def edge_keys(blocks: SeparateBlocks, layer: int, num_nodes: int) -> tuple[Tensor, Tensor]:
    """A number for each edge of the targets' rows, equal for slots that repeat one, and the edges' places.

    Returns:
        Both [m] int64: ((target * L + layer) * N + source) * 3 + edge type, and which of the layer's M edges they are.
    """
    rows = blocks.layers[layer]
    numbered = rows._replace(source=torch.arange(rows.num_edges, device=rows.source.device))
    own = take_rows(numbered, blocks.targets)
    target = own.rows()
    source = blocks.nodes[rows.source.long()[own.source]]
    key = ((target * len(blocks.layers) + layer) * num_nodes + source) * NUM_EDGE_TYPES + own.edge_type
    return key, own.source


def edge_parts(keys: Tensor, num_layers: int, num_nodes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Target, layer, source and edge type [n] of such keys."""
    rest, edge_type = keys // NUM_EDGE_TYPES, keys % NUM_EDGE_TYPES
    rest, source = rest // num_nodes, rest % num_nodes
    return rest // num_layers, rest % num_layers, source, edge_type


def look_at(network: GraphTransformer, x: Tensor, draws: Sequence[Draw], judged: Judged) -> Looks:
    """Follow what the network attends to, and the gradient of the explained class's logit.

    Args:
        network: in evaluation mode.
        x: [N, F] features.
        draws: R of them.
        judged: the B nodes and what was predicted.
    """
    attention, inputs = SumsByKey(), SumsByKey()
    num_nodes = x.shape[0]
    sums = torch.zeros(4, judged.nodes.numel(), x.shape[1], dtype=torch.float64)
    for draw in draws:
        blocks = blocks_of(network, draw, judged.nodes)
        with torch.no_grad():
            h = encoded(network, x, blocks)
        h = h.requires_grad_()
        with torch.enable_grad():
            seen = look(network, h, blocks)
            classes = judged.classes.to(seen.logits.device)
            (gradient,) = torch.autograd.grad(log_odds(seen.logits, classes, judged.task).sum(), h)
        parts = [edge_keys(blocks, layer, num_nodes) for layer in range(len(blocks.layers))]
        weights = [weight[place] for weight, (_, place) in zip(seen.weights, parts, strict=True)]
        attention.add(torch.cat([key for key, _ in parts]), torch.cat(weights))
        share = rollout(blocks.layers, seen.weights, blocks.targets, blocks.nodes.numel())
        inputs.add((blocks.owner * num_nodes + blocks.nodes)[share > 0], share[share > 0])
        own, others = (each.cpu().double() for each in feature_effects(network, x, blocks, gradient))
        sums += torch.stack((own, others, own + others, (own + others).square()))
    own, others, both, squares = sums / len(draws)
    spread = None
    if len(draws) > 1:
        spread = ((squares - both.square()).clamp(min=0) * len(draws) / (len(draws) - 1)).sqrt()
    return Looks(attention.statistics(), inputs.statistics(), own, others, spread)


@torch.no_grad()
def remove_edges(
    network: GraphTransformer, x: Tensor, draws: Sequence[Draw], judged: Judged, removals: Removals
) -> Removed:
    """Take each edge out of all draws in turn.

    Args:
        network: in evaluation mode.
        x: [N, F] features.
        draws: R of them.
        judged: the B nodes and what was predicted.
        removals: P edges of their rows.
    """
    change = torch.zeros(removals.target.numel(), judged.probabilities.shape[1], dtype=torch.float64)
    squares, drawn = torch.zeros(2, removals.target.numel(), dtype=torch.float64)
    of_class = judged.classes[removals.target][:, None]
    keys = (removals.target * x.shape[0] + removals.source) * NUM_EDGE_TYPES + removals.edge_type
    for draw in draws:
        blocks = blocks_of(network, draw, judged.nodes)
        seen = look(network, encoded(network, x, blocks), blocks, need_weights=False)
        there = torch.isin(keys, _row_keys(blocks, x.shape[0]).cpu()).nonzero()[:, 0]
        drawn[there] += 1
        if not there.numel():
            continue
        tried = Removals(*(tensor.to(blocks.nodes.device) for tensor in removals.rows(there)))
        without = _probabilities(logits_without(network, blocks, seen.states, tried), judged.task)
        moved = (without - _probabilities(seen.logits, judged.task)[tried.target]).cpu().double()
        change[there] += moved
        squares[there] += moved.gather(1, of_class[there])[:, 0].square()
    change /= len(draws)
    spread = None
    if len(draws) > 1:
        mean = change.gather(1, of_class)[:, 0]
        spread = ((squares - len(draws) * mean.square()).clamp(min=0) / (len(draws) - 1)).sqrt()
    return Removed(change, spread, drawn / len(draws))


def _row_keys(blocks: SeparateBlocks, num_nodes: int) -> Tensor:
    """The edges of the targets' rows in any layer: (target * N + source) * 3 + edge type."""
    num_layers = len(blocks.layers)
    keys = [edge_keys(blocks, layer, num_nodes)[0] for layer in range(num_layers)]
    target, _, source, edge_type = edge_parts(torch.cat(keys), num_layers, num_nodes)
    return (target * num_nodes + source) * NUM_EDGE_TYPES + edge_type


def _probabilities(logits: Tensor, task: TaskName) -> Tensor:
    return class_probabilities(log_probabilities(logits, task), task)
