"""What a run predicts, as tensors and as a table. B nodes, C classes or labels."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spx.datasets import NodeDataset
from spx.nn.objectives import TaskName

THRESHOLD = 0.5
"""From which probability on a label is predicted."""

SEPARATOR = "|"
"""Between the predicted labels of a node."""


class Predictions(NamedTuple):
    """Predictions of B nodes.

    Args:
        nodes: [B] int64, the nodes' numbers in the graph.
        ids: [B], the nodes' names in the user's files; their numbers where they have none.
        probabilities: [B, C] float32, mean over the draws.
        spread: [B, C] float32, sample standard deviation over the draws; None where there is one.
        class_names: C of them.
        task: "multiclass" or "multilabel".
    """

    nodes: Tensor
    ids: pl.Series
    probabilities: Tensor
    spread: Tensor | None
    class_names: tuple[str, ...]
    task: TaskName

    @property
    def predicted(self) -> Tensor:
        """[B] int64, the most probable class; for several labels [B, C] bool, those of probability 0.5 or more."""
        return self.probabilities >= THRESHOLD if self.task == "multilabel" else self.probabilities.argmax(1)

    @property
    def names(self) -> pl.Series:
        """[B] strings, the predicted class, or the predicted labels joined with `|`."""
        if self.task == "multilabel":
            return _joined(self.class_names, self.predicted.numpy())
        return pl.Series(self.class_names, dtype=pl.String).gather(self.predicted.numpy())

    def table(self) -> pl.DataFrame:
        """A row for each node.

        Columns: `node`, `prediction`, `probability` (of the predicted class; not for several labels), `p:<class>` of
        each class, and with several draws `spread:<class>`. Where two classes have one name, each is preceded by its
        number: `p:0:<class>`.
        """
        columns: dict[str, pl.Series | np.ndarray] = {"node": self.ids, "prediction": self.names}
        if self.task == "multiclass":
            columns["probability"] = self.probabilities.amax(1).numpy()
        for prefix, values in (("p", self.probabilities), ("spread", self.spread)):
            if values is not None:
                columns |= {f"{prefix}:{name}": column.numpy() for name, column in zip(self._headings, values.T)}  # noqa: B905
        return pl.DataFrame(columns)

    def __getitem__(self, rows: slice) -> "Predictions":  # type: ignore[override]
        raise NotImplementedError

    @property
    def _headings(self) -> tuple[str, ...]:
        distinct = len(set(self.class_names)) == len(self.class_names)
        return self.class_names if distinct else tuple(f"{i}:{name}" for i, name in enumerate(self.class_names))
