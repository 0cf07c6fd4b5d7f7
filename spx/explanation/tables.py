"""What is said about why nodes were judged so, as tables with the names of the user's files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.files import reason, replacing
from spx.kernels.formula import EdgeType

EDGES = {EdgeType.GRAPH: "graph", EdgeType.EXPANDER: "expander", EdgeType.SELF_LOOP: "itself"}
"""What an edge type is called."""

WHAT = {
    "removal_change": "change of the predicted class's probability without the edge",
    "removal_moved": "total variation of the prediction without the edge; of several labels, the largest of theirs",
    "attention": "weight of the edge in a layer, the heads' mean",
    "rollout": "share of an input node, attention rolled out over the layers",
    "feature_own": "gradient times input of the node's own feature, by the predicted class's logit",
    "feature_others": "the same, summed over all other nodes",
}
"""What a row of the long table tells (`Explanation.table`)."""


class Explanation(NamedTuple):
    """Of B nodes, tables with the names of nodes, classes and features; rows in the order of the nodes.

    Means and spreads (sample standard deviation) are over R draws of the sampled graph, of which one that doesn't have
    the edge or the node counts as 0; `drawn` is the share of draws that do. There is no spread with one draw.

    Args:
        nodes: [B] int64, the nodes' numbers in the graph.
        predictions: `node`, `prediction`, `probability`, and `num_neighbors` (`neighbors` has the most attended).
        neighbors: `node`, `neighbor`, `edge` (graph, expander, itself), `attention` (mean weight over the layers),
            `change` of the predicted class's probability without the edge, its `spread`, `moved` (total variation of
            the prediction), `drawn`; the most attended ones, what moves most first. `TrainedRun.explain` adds
            `neighbor_prediction`.
        attention: `node`, `layer` from 1, `neighbor`, `edge`, `weight`, `spread`, `drawn`; the weights of a node's
            layer add up to 1.
        rollout: `node`, `input`, `share`, `spread`, `drawn`; the largest ones, of a whole of 1.
        features: `node`, `feature`, `own` and `others`, what the node's own feature and that of all others add to the
            logit of the predicted class to first order, and the `spread` of both together; the largest ones.
        num_draws: R.
        class_names: of all classes.
        facts: what was explained, as name and value, for the page.
    """

    nodes: Tensor
    predictions: pl.DataFrame
    neighbors: pl.DataFrame
    attention: pl.DataFrame
    rollout: pl.DataFrame
    features: pl.DataFrame
    num_draws: int
    class_names: tuple[str, ...]
    facts: Mapping[str, str] = MappingProxyType({})

    def table(self) -> pl.DataFrame:
        """All in one, a number a row: `node`, `prediction`, `probability`, `what` (a key of `WHAT`), `layer`,
        `neighbor`, `edge`, `feature`, `value`, `spread` and `drawn`; cells that don't apply are empty."""
        neighbors, features = self.neighbors, self.features
        parts = {
            "removal_change": neighbors.select("node", "neighbor", "edge", "spread", "drawn", value="change"),
            "removal_moved": neighbors.select("node", "neighbor", "edge", "drawn", value="moved"),
            "attention": self.attention.rename({"weight": "value"}),
            "rollout": self.rollout.rename({"input": "neighbor", "share": "value"}),
            "feature_own": features.select("node", "feature", value="own"),
            "feature_others": features.select("node", "feature", value="others"),
        }
        name = neighbors.schema["neighbor"]
        columns = {"layer": pl.Int64, "neighbor": name, "edge": pl.String, "feature": pl.String, "value": pl.Float64}
        columns |= {"spread": pl.Float64, "drawn": pl.Float64}
        tidy = pl.concat(
            part.select(
                "node",
                pl.lit(what).alias("what"),
                *(
                    (pl.col(column) if column in part.columns else pl.lit(None)).cast(kind).alias(column)
                    for column, kind in columns.items()
                ),
            )
            for what, part in parts.items()
        )
        first = self.predictions.drop("num_neighbors").with_row_index("order")
        return (
            first.join(tidy, on="node", how="left", maintain_order="left_right")
            .sort("order", maintain_order=True)
            .drop("order")
        )

    def write_page(self, path: str | Path) -> None:
        """Write one HTML file with a picture and the tables of each node, which needs no network and no script.

        Raises:
            ConfigError: more nodes than one page shows, or the file's name doesn't end in .html.
            ArtifactError: the file can't be written.
        """
        from spx.explanation.page import check_page, page_text

        check_page(path, self.nodes.numel())
        text = page_text(self)
        try:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            raise ArtifactError(
                f"The page can't be written to {path}: {reason(error)}. Free space, or choose another place."
            ) from error

    def of(self, node: object) -> "Explanation":
        """The tables of one node, by its name."""
        place = self.predictions["node"].index_of(node)
        tables = {name: table.filter(pl.col("node") == node) for name, table in self.tables().items()}
        return self._replace(nodes=self.nodes[place : place + 1], **tables)

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables by their names."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, pl.DataFrame)}


def joined(parts: Iterable[Explanation]) -> Explanation:
    """Batches of one explanation as a whole."""
    parts = list(parts)
    tables = {name: pl.concat([part.tables()[name] for part in parts]) for name in parts[0].tables()}
    return parts[0]._replace(nodes=torch.cat([part.nodes for part in parts]), **tables)


def node_names(numbers: Tensor, dataset: NodeDataset) -> pl.Series:
    """Names [n] of nodes in the user's files; their numbers where they have none."""
    numbers = pl.Series(numbers.cpu().numpy())
    return numbers if dataset.node_ids is None else dataset.node_ids.gather(numbers)


def feature_names(numbers: Tensor, dataset: NodeDataset) -> pl.Series:
    """Names [n] of feature columns; "feature 3" where they have none."""
    if dataset.feature_names is None:
        return pl.Series([f"feature {number}" for number in numbers.tolist()], dtype=pl.String)
    return pl.Series(dataset.feature_names, dtype=pl.String).gather(pl.Series(numbers.cpu().numpy()))


def edge_names(types: Tensor) -> pl.Series:
    """What edge types [n] are called."""
    return pl.Series(list(EDGES.values()), dtype=pl.String).gather(pl.Series(types.cpu().long().numpy()))


def numbers_column(values: Tensor | None, length: int) -> pl.Series:
    """A column of numbers, empty where there are none."""
    if values is None:
        return pl.Series([None] * length, dtype=pl.Float64)
    return pl.Series(values.detach().cpu().double().numpy())
