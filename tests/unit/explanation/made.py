"""Explanations made by hand."""

from collections.abc import Sequence

import polars as pl
import torch

from spx.explanation.tables import Explanation


def made_explanation(
    nodes: Sequence, neighbors: int = 2, classes: tuple[str, ...] = ("red", "blue"), spread: bool = True, name="n{}"
) -> Explanation:
    """Two layers; `neighbors` edges of each node, the last to itself, the third and so on along the expander."""
    rows = {"neighbors": [], "attention": [], "rollout": [], "features": []}
    deviation = 0.25 if spread else None
    for node in nodes:
        for number in range(neighbors):
            last = number == neighbors - 1
            other = node if last else (name.format(number) if isinstance(node, str) else 100 + number)
            edge = "itself" if last else "expander" if number % 3 == 2 else "graph"
            weight, change = 1 / neighbors, -0.5 / (number + 1)
            group = classes[number % len(classes)]
            rows["neighbors"].append((node, other, edge, weight, change, deviation, -change, 1.0, group))
            rows["attention"] += [(node, layer, other, edge, weight, deviation, 1.0) for layer in (1, 2)]
            rows["rollout"].append((node, other, weight, deviation, 1.0))
        rows["features"].append((node, name.format("age"), 0.5, -0.25, deviation))
    kind = pl.String if isinstance(nodes[0], str) else pl.Int64
    number = pl.Float64
    schemas = {
        "neighbors": {
            **{"node": kind, "neighbor": kind, "edge": pl.String, "attention": number, "change": number},
            **{"spread": number, "moved": number, "drawn": number, "neighbor_prediction": pl.String},
        },
        "attention": {
            **{"node": kind, "layer": pl.Int64, "neighbor": kind, "edge": pl.String, "weight": number},
            **{"spread": number, "drawn": number},
        },
        "rollout": {"node": kind, "input": kind, "share": number, "spread": number, "drawn": number},
        "features": {"node": kind, "feature": pl.String, "own": number, "others": number, "spread": number},
    }
    return Explanation(
        nodes=torch.arange(len(nodes)),
        predictions=pl.DataFrame(
            {"node": nodes, "prediction": classes[0], "probability": 0.75, "num_neighbors": neighbors},
            schema={"node": kind, "prediction": pl.String, "probability": number, "num_neighbors": pl.Int64},
        ),
        **{name: pl.DataFrame(rows[name], schema=schema, orient="row") for name, schema in schemas.items()},
        num_draws=10 if spread else 1,
        class_names=classes,
        facts={"run": "runs/a", "draws": "10"},
    )
