"""What a run predicts, as tensors and as a table. B nodes, C classes or labels."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import torch
from torch import Tensor

from spx.data.known_nodes import NEW
from spx.datasets import NodeDataset
from spx.nn.objectives import THRESHOLD, TaskName

if TYPE_CHECKING:
    import pandas

SEPARATOR = "|"
"""Between the predicted labels of a node."""


class Predictions(NamedTuple):
    """Predictions of B nodes.

    Args:
        nodes: [B] int64, the nodes' numbers in the graph.
        ids: [B], the nodes' names in the user's files; their numbers where they have none.
        probabilities: [B, C] float32, mean over the draws.
        spread: [B, C] float32, sample standard deviation over the draws; None where there is only one.
        class_names: of the C classes or labels.
        task: "multiclass" or "multilabel".
        labels: [B] strings, the nodes' own class, or their labels joined with `|`; null where it isn't known.
        parts: [B] strings, "train", "val" or "test"; null for a node in no part of the split. Of a graph that changed
            since: the part that the node had in training, or "new".
    """

    nodes: Tensor
    ids: pl.Series
    probabilities: Tensor
    spread: Tensor | None
    class_names: tuple[str, ...]
    task: TaskName
    labels: pl.Series | None = None
    parts: pl.Series | None = None

    @property
    def predicted(self) -> Tensor:
        """[B] int64, the most probable class; for several labels [B, C] bool, those of probability 0.5 or more."""
        return self.probabilities >= THRESHOLD if self.task == "multilabel" else self.probabilities.argmax(1)

    @property
    def names(self) -> pl.Series:
        """[B] strings: the predicted class, or the predicted labels joined with `|`."""
        if self.task == "multiclass":
            return pl.Series(self.class_names, dtype=pl.String).gather(self.predicted.numpy())
        return _joined_names(self.predicted, self.class_names)

    def table(self) -> pl.DataFrame:
        """A row for each node.

        Columns: `node`, `prediction`, `probability` (of the predicted class; not for several labels), `label` and
        `part` (the node's own, null where unknown), `p:<class>` for each class, and with several draws
        `spread:<class>`. Where two classes have one name, each is told by its number too: `p:0:<class>`.
        """
        columns = {"node": self.ids, "prediction": self.names}
        if self.task == "multiclass":
            columns["probability"] = pl.Series(self.probabilities.amax(1).numpy())
        columns |= {name: known for name, known in (("label", self.labels), ("part", self.parts)) if known is not None}
        for heading, values in (("p", self.probabilities), ("spread", self.spread)):
            if values is not None:
                named = zip(self._distinct_names(), values.T.numpy(), strict=True)
                columns |= {f"{heading}:{name}": pl.Series(column) for name, column in named}
        return pl.DataFrame(columns)

    def with_new(self, is_new: Tensor) -> "Predictions":
        """With the part `NEW` for some nodes [B] bool."""
        parts = pl.select(pl.when(pl.Series(is_new.numpy())).then(pl.lit(NEW)).otherwise(self.parts)).to_series()
        return self._replace(parts=parts)

    def to_pandas(self) -> "pandas.DataFrame":
        """`table()` of pandas, which has to be installed, with pyarrow."""
        return self.table().to_pandas()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def _distinct_names(self) -> tuple[str, ...]:
        if len(set(self.class_names)) == len(self.class_names):
            return self.class_names
        return tuple(f"{number}:{name}" for number, name in enumerate(self.class_names))


def from_step(step: Mapping[str, Tensor], dataset: NodeDataset, class_names: Iterable[str] | None) -> Predictions:
    """What `NodeTask.predict_step` gave for nodes of the dataset; without class names they are "0" to str(C - 1)."""
    step = {name: tensor.cpu() for name, tensor in step.items()}
    nodes = step["nodes"].numpy()
    ids = pl.Series(nodes) if dataset.node_ids is None else dataset.node_ids.gather(nodes)
    names = tuple(map(str, range(dataset.num_classes)) if class_names is None else class_names)
    parts = _parts(step["nodes"], dataset)
    labels = _labels(step["nodes"], dataset, names, parts)
    about = {"ids": ids, "class_names": names, "task": dataset.task, "labels": labels, "parts": parts}
    return Predictions(**about, **{"spread": None, **step})


def _parts(nodes: Tensor, dataset: NodeDataset) -> pl.Series:
    """[B] strings: the part of the split that each node is in; null for none."""
    part = pl.Series([None] * len(nodes), dtype=pl.String)
    for name, members in dataset.split._asdict().items():
        place = torch.searchsorted(members, nodes).clamp_(max=max(0, len(members) - 1))
        inside = members[place] == nodes if len(members) else torch.zeros(len(nodes), dtype=torch.bool)
        part = pl.select(pl.when(pl.Series(inside.numpy())).then(pl.lit(name)).otherwise(part)).to_series()
    return part


def _labels(nodes: Tensor, dataset: NodeDataset, class_names: tuple[str, ...], parts: pl.Series) -> pl.Series:
    """[B] strings: what the data say of each node; null where they don't."""
    y = dataset.y[nodes]
    if dataset.task == "multiclass":
        names = pl.Series(class_names, dtype=pl.String).gather(y.clamp(min=0).numpy())
        known = pl.Series((y >= 0).numpy())
    else:  # a node without any label is 0 throughout, and in no part
        names = _joined_names(y == 1, class_names)
        known = parts.is_not_null() | pl.Series((y == 1).any(1).numpy())
    return pl.select(pl.when(known).then(names)).to_series()


def _joined_names(chosen: Tensor, class_names: tuple[str, ...]) -> pl.Series:
    """[B] strings: the names of the chosen labels [B, C] bool."""
    columns = (
        pl.when(pl.Series(column)).then(pl.lit(name))
        for name, column in zip(class_names, chosen.T.numpy(), strict=True)
    )
    return pl.select(pl.concat_str(columns, separator=SEPARATOR, ignore_nulls=True)).to_series()


def joined(batches: Iterable[Predictions]) -> Predictions:
    """Batches of one prediction as a whole."""
    batches = list(batches)
    nodes, ids, probabilities, spread, *_, labels, parts = zip(*batches, strict=True)
    return batches[0]._replace(
        nodes=torch.cat(nodes),
        ids=pl.concat(ids),
        probabilities=torch.cat(probabilities),
        spread=None if spread[0] is None else torch.cat(spread),
        labels=None if labels[0] is None else pl.concat(labels),
        parts=None if parts[0] is None else pl.concat(parts),
    )
