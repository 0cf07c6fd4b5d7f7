"""What travels inside `spx.datasets`, and what leaves it. N nodes, E edges, F features, C classes."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import Tensor

from spx.graph.features import Features

if TYPE_CHECKING:
    import polars

Task = Literal["multiclass", "multilabel"]
Metric = Literal["accuracy", "balanced_accuracy", "f1_macro", "average_precision", "roc_auc"]
RANKED: tuple[Metric, ...] = ("average_precision", "roc_auc")
"""Metrics of how nodes are ranked by a probability, which need nodes of both kinds; the others are of predictions."""
FeatureForm = Literal["auto", "sparse", "dense"]


class Split(NamedTuple):
    """Node indices of the three parts: int64, sorted, disjoint."""

    train: Tensor
    val: Tensor
    test: Tensor


class GraphTensors(NamedTuple):
    """What a source gives: the graph, and the fixed splits it ships (S of them, or none).

    Shapes: x [N, F] float32, dense or sparse, edge_index [2, E] int64, y [N] int64 or [N, C] float32, masks [S, N]
    bool.
    """

    x: Features
    edge_index: Tensor
    y: Tensor
    train_mask: Tensor | None = None
    val_mask: Tensor | None = None
    test_mask: Tensor | None = None


class NodeDataset(NamedTuple):
    """A node classification problem: one graph, one split, one task, one metric.

    x            [N, F] float32, as the loader gives it: not normalised, but for numbers of a user's table. Sparse where
                 it is so in its file, or nearly all zero (`spx.graph.features.SparseFeatures`). May be the map of a
                 file, float32 or float16, larger than the memory: not to be written to, nor copied as a whole
    edge_index   [2, E] int64, row 0 source -> row 1 target; may be directed or hold duplicates
    y            [N] int64 class labels (-1: unlabelled), or [N, C] float32 in {0, 1} for multilabel (-1: not known)
    num_classes  C
    node_ids     [N] the nodes' names in a user's own files, strings or integers; None: 0 to N - 1
    class_names  the C classes' or labels' names; None: "0" to str(C - 1)
    feature_names  of the F columns in a user's table: "age", and "city=Rome" for each category; None: without names
    features_file  that x is the map of; None: x is in memory, or a published dataset's
    schema       what the columns of a user's table are, in plain values (`spx.datasets.own.schema`); None: no table
    table_digest  of that table's values, before they are filled and scaled; x may be any such table's
    edge_weight  [E] float32, above 0, of the edges in a user's files; None: they have none, or it wasn't asked for
    zero_weights  edges that were left out as their weight is 0
    split_origin  where the split is from, in words: given, or drawn with which shares and seed
    """

    name: str
    protocol: str
    x: Features
    edge_index: Tensor
    y: Tensor
    split: Split
    split_index: int
    num_classes: int
    task: Task
    metric: Metric
    node_ids: "polars.Series | None" = None
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    features_file: str | None = None
    schema: dict[str, Any] | None = None
    table_digest: str | None = None
    split_origin: str = ""
    edge_weight: Tensor | None = None
    zero_weights: int = 0

    @property
    def num_nodes(self) -> int:
        return self.x.size(0)

    def without_test(self) -> "NodeDataset":
        """The same with the labels of the test nodes as unknown, and no node to test on."""
        y = self.y.clone()
        y[self.split.test] = -1
        return self._replace(y=y, split=self.split._replace(test=self.split.test[:0]))

    @property
    def split_text(self) -> str:
        """How many nodes each part of the split has, and where it is from."""
        sizes = ", ".join(f"{part} {nodes.numel():,}" for part, nodes in self.split._asdict().items())
        return f"{sizes}; {self.split_origin}" if self.split_origin else sizes

    @property
    def num_features(self) -> int:
        return self.x.size(1)
