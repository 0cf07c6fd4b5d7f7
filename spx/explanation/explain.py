"""Explanations of a batch of nodes as tables.

Letters: N nodes, B explained ones, L layers, R draws, P edges whose removal is tried.
"""

import math
from collections.abc import Sequence

import polars as pl

from spx.datasets import NodeDataset
from spx.explanation.over_draws import Draw, Judged, Looks, attended_edges, edge_parts, look_at, remove_edges
from spx.explanation.passes import needs_whole_graph
from spx.explanation.sums import Statistics, largest
from spx.explanation.tables import Explanation, edge_names, feature_names, node_names, numbers_column
from spx.graph.sampling import NeighborTable
from spx.nn.functional import Neighborhood
from spx.nn.network import GraphTransformer

HELD = 1 << 28
"""Numbers that are held for gradients at once, 1 GiB."""
OF_A_STATE = 12
"""Numbers that a layer holds for the gradient of each number of a node's state."""


def batch_size_of(network: GraphTransformer, draw: Draw, batch_size: int) -> int:
    """Nodes that are explained at once: as many as asked for, if what their gradients hold fits into `HELD`.

    One node alone may take more: what a training step holds on the nodes that it depends on.
    """
    if needs_whole_graph(network):
        return 1
    num_nodes, degrees = draw[0].num_nodes, [_degree(neighborhood) for neighborhood in draw]
    reached = min(num_nodes, math.prod(num_nodes if degree is None else degree + 1 for degree in degrees))
    settings = network.settings
    return max(1, min(batch_size, HELD // (reached * settings.num_layers * settings.width * OF_A_STATE)))


def _degree(neighborhood: Neighborhood) -> int | None:
    """Of a table, K."""
    return neighborhood.neighbors.shape[1] if isinstance(neighborhood, NeighborTable) else None


def explain_batch(
    network: GraphTransformer,
    dataset: NodeDataset,
    draws: Sequence[Draw],
    judged: Judged,
    most: int,
) -> Explanation:
    """Explain B nodes, at most `batch_size_of` at once.

    Args:
        network: in evaluation mode.
        dataset: of the nodes.
        draws: R of them.
        judged: the nodes, and what is predicted for them over the same draws.
        most: neighbours whose removal is tried, input nodes and features that are kept, of each node.
    """
    looks = look_at(network, dataset.x, draws, judged)
    removals, weight = attended_edges(looks.attention, len(network.layers), dataset.num_nodes)
    num_neighbors = removals.target.bincount(minlength=judged.nodes.numel())
    chosen = largest(removals.target, weight, most)
    removed = remove_edges(network, dataset.x, draws, judged, removals.rows(chosen))
    moved = removed.moved(judged.task)
    order = largest(removals.target[chosen], moved, most)
    removals, weight = removals.rows(chosen[order]), weight[chosen[order]]

    names, length = node_names(judged.nodes, dataset), order.numel()
    of_class = judged.classes[removals.target][:, None]
    neighbors = {
        "node": names.gather(removals.target.numpy()),
        "neighbor": node_names(removals.source, dataset),
        "edge": edge_names(removals.edge_type),
        "attention": numbers_column(weight, length),
        "change": numbers_column(removed.change[order].gather(1, of_class)[:, 0], length),
        "spread": numbers_column(None if removed.spread is None else removed.spread[order], length),
        "moved": numbers_column(moved[order], length),
        "drawn": numbers_column(removed.drawn[order], length),
    }
    predictions = {
        "node": names,
        "prediction": judged.names,
        "probability": numbers_column(judged.probabilities.amax(1), len(names)),
        "num_neighbors": pl.Series(num_neighbors.numpy()),
    }
    return Explanation(
        nodes=judged.nodes,
        predictions=pl.DataFrame(predictions),
        neighbors=pl.DataFrame(neighbors),
        attention=_attention_table(looks.attention, names, dataset, len(network.layers)),
        rollout=_rollout_table(looks.inputs, names, dataset, most),
        features=_feature_table(looks, names, dataset, most),
        num_draws=len(draws),
        class_names=judged.class_names,
    )


def _attention_table(attention: Statistics, names: pl.Series, dataset: NodeDataset, num_layers: int) -> pl.DataFrame:
    target, layer, source, edge_type = edge_parts(attention.keys, num_layers, dataset.num_nodes)
    order = largest(target * num_layers + layer, attention.mean, attention.keys.numel())
    spread = None if attention.spread is None else attention.spread[order]
    return pl.DataFrame(
        {
            "node": names.gather(target[order].numpy()),
            "layer": pl.Series(1 + layer[order].numpy()),
            "neighbor": node_names(source[order], dataset),
            "edge": edge_names(edge_type[order]),
            "weight": numbers_column(attention.mean[order], len(order)),
            "spread": numbers_column(spread, len(order)),
            "drawn": numbers_column(attention.drawn[order], len(order)),
        }
    )


def _rollout_table(inputs: Statistics, names: pl.Series, dataset: NodeDataset, most: int) -> pl.DataFrame:
    target = inputs.keys // dataset.num_nodes
    chosen = largest(target, inputs.mean, most)
    return pl.DataFrame(
        {
            "node": names.gather(target[chosen].numpy()),
            "input": node_names(inputs.keys[chosen] % dataset.num_nodes, dataset),
            "share": numbers_column(inputs.mean[chosen], len(chosen)),
            "spread": numbers_column(None if inputs.spread is None else inputs.spread[chosen], len(chosen)),
            "drawn": numbers_column(inputs.drawn[chosen], len(chosen)),
        }
    )


def _feature_table(looks: Looks, names: pl.Series, dataset: NodeDataset, most: int) -> pl.DataFrame:
    both = looks.own + looks.others
    size, place = both.abs().topk(min(most, both.shape[1]), dim=1)
    target, rank = (size > 0).nonzero().T
    feature = place[target, rank]
    spread = None if looks.spread is None else looks.spread[target, feature]
    return pl.DataFrame(
        {
            "node": names.gather(target.numpy()),
            "feature": feature_names(feature, dataset),
            "own": numbers_column(looks.own[target, feature], len(feature)),
            "others": numbers_column(looks.others[target, feature], len(feature)),
            "spread": numbers_column(spread, len(feature)),
        }
    )
