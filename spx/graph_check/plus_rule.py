"""The rule by which `plus.yaml` of a dataset differs from its base, which has all else (docs/results.md)."""

import math
from typing import NamedTuple

MOST_TRAINING_NODES = 50_000
"""Graphs of more keep the depth and the degrees of their paper configuration: ten layers reach the whole graph from any
batch."""
MANY_FEATURES = 0.05
"""Features for a training node; from here on a network fits single features, and needs another layer and dropout."""


class Recipe(NamedTuple):
    """Settings of the wide network that differ between graphs: its layer, their dropout, and K of each layer."""

    layer: str
    dropout: float
    k: int

    def arguments(self, num_layers: int) -> str:
        """Of `spx fit`, whose spaces stand between arguments alone."""
        k = ",".join([str(self.k)] * num_layers)
        return f"--model.layer {self.layer} --model.dropout {self.dropout} --data.k [{k}]"


def recipe_for(num_features: int, num_training_nodes: int, mean_degree: float, most_k: int) -> Recipe:
    """What suits a graph of up to `MOST_TRAINING_NODES`.

    Args:
        num_features: F.
        num_training_nodes: that have labels.
        mean_degree: of the dataset's edges, without expander and self-loops.
        most_k: largest sampled degree of the paper's configuration.
    """
    k = max(1, min(most_k, math.ceil(mean_degree)))
    if num_features < MANY_FEATURES * num_training_nodes:
        return Recipe("concat", 0.2, k)
    return Recipe("residual", 0.7, k)
