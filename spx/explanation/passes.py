"""One forward pass that is looked into: the states between layers, the weights, the gradient.

Letters: B targets, C classes, F features, L layers, M edges of a layer, N_l nodes that enter layer l.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.graph.blocks import SeparateBlocks, separate_blocks
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features, SparseFeatures
from spx.nn.functional import Neighborhood, as_rows
from spx.nn.network import GraphTransformer
from spx.nn.norms import GraphNorm
from spx.nn.objectives import TaskName, log_probabilities

CHUNK = 1 << 24
"""Numbers of a temporary matrix over features."""


class Look(NamedTuple):
    """A forward pass with what it went through.

    Args:
        states: L + 1 of them, the node states [N_l, width] that enter each layer, and those that leave the last.
        weights: L of them, [M] attention weights, the heads' mean; they carry no gradient.
        logits: [B, C] of the targets.
    """

    states: list[Tensor]
    weights: list[Tensor]
    logits: Tensor


def needs_whole_graph(network: GraphTransformer) -> bool:
    """Whether a node's output depends on all nodes: GraphNorm's statistics are those of the nodes at hand."""
    return any(isinstance(module, GraphNorm) for module in network.modules())


def blocks_of(network: GraphTransformer, neighborhoods: Sequence[Neighborhood], targets: Tensor) -> SeparateBlocks:
    """What the network needs for the targets [B], on its device; for one with GraphNorm the whole graph, B = 1."""
    device = network.temperature.device
    layers = [as_rows(neighborhood) for neighborhood in neighborhoods]
    layers *= len(network.layers) if len(layers) == 1 else 1
    if needs_whole_graph(network):
        assert targets.numel() == 1, "a network with GraphNorm is explained one node at a time"
        nodes = torch.arange(layers[0].num_nodes)
        blocks = SeparateBlocks(nodes, torch.zeros_like(nodes), targets, tuple(layers))
    else:
        blocks = separate_blocks(layers, targets)
    moved = tuple(AttentionGraph(*(tensor.to(device) for tensor in rows)) for rows in blocks.layers)
    return SeparateBlocks(*(tensor.to(device) for tensor in blocks[:3]), moved)


def encoded(network: GraphTransformer, x: Features, blocks: SeparateBlocks) -> Tensor:
    """The encoder's output [N_0, width] for the nodes of the blocks; each node's features [F] are read once."""
    nodes, place = blocks.nodes.unique(return_inverse=True)
    return network.encoder(x[nodes.to(x.device)].to(blocks.nodes.device))[place]


def look(network: GraphTransformer, h: Tensor, blocks: SeparateBlocks, need_weights: bool = True) -> Look:
    """Run the network from the encoder's output `h` [N_0, width] on."""
    states, weights = [network.pre(h)], []
    for layer, rows in zip(network.layers, blocks.layers, strict=True):
        out, of_heads = layer(states[-1], rows, network.edge_embedding.weight, network.temperature, need_weights)
        states.append(out)
        if need_weights:
            weights.append(of_heads.float().mean(1))
    return Look(states, weights, network.head(states[-1])[blocks.targets])


def log_odds(logits: Tensor, classes: Tensor, task: TaskName) -> Tensor:
    """The logit of each node's class, log p / (1 - p) [B]: unlike the network's own output it doesn't change when all
    classes' outputs rise by the same number.

    Args:
        logits: [B, C].
        classes: [B] int64, a class or label of each node.
        task: "multiclass" or "multilabel".
    """
    chosen = classes[:, None]
    if task == "multilabel":
        return logits.gather(1, chosen)[:, 0]
    logp = log_probabilities(logits, task)
    others = logp.scatter(1, chosen, float("-inf")).logsumexp(1)
    return logp.gather(1, chosen)[:, 0] - others


def feature_effects(
    network: GraphTransformer, x: Features, blocks: SeparateBlocks, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient times input of each feature, of the target's own row and summed over all other nodes.

    The encoder is linear, so the gradient by its output gives that by the features without holding it for all nodes.

    Args:
        network: whose encoder it is.
        x: [N, F] features.
        blocks: of B targets.
        gradient: [N_0, width] by the encoder's output.

    Returns:
        Both [B, F] float32.
    """
    weight = network.encoder.weight.detach().float()
    num_targets, num_features = blocks.targets.numel(), weight.shape[1]
    whole = weight.new_zeros(num_targets, num_features)
    for rows in torch.arange(blocks.nodes.numel(), device=weight.device).split(max(1, CHUNK // num_features)):
        whole.index_add_(0, blocks.owner[rows], _effects(x, weight, blocks, gradient, rows))
    own = _effects(x, weight, blocks, gradient, blocks.targets)
    return own, whole - own


def _effects(x: Features, weight: Tensor, blocks: SeparateBlocks, gradient: Tensor, rows: Tensor) -> Tensor:
    nodes = blocks.nodes[rows]
    values = x[nodes.to(x.device)]
    values = values.to_dense() if isinstance(values, SparseFeatures) else values
    return (gradient[rows].float() @ weight) * values.to(weight.device).float()
