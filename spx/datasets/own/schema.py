"""What the columns of a table are: found out once, on the nodes that train, kept with the run, applied ever after.

N nodes, F features.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.datasets.fingerprint import tensor_digest
from spx.datasets.own.cells import Reading, form_of, read_as, read_column, sorted_categories
from spx.datasets.own.column import Column, OtherColumn, Scaling, column_from_json, logarithm
from spx.datasets.own.error_words import did_you_mean, listed
from spx.datasets.own.numerals import FORM_WORDS, NOTHING_SAID, Marks
from spx.errors import ArtifactError, DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

MAX_CATEGORIES = 100
NEARLY_ALL = 0.9
"""Share of values that differ, from which on a category is more likely a name."""
CODES = 20
"""So few different integers may be codes."""


class TableFeatures(NamedTuple):
    """Features of a table.

    x       [N, F] float32
    names   of the F columns
    digest  of the values as the table has them, before any is filled or scaled
    """

    x: Tensor
    names: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Schema:
    """The columns of features in a table, in the order of the features, and the others."""

    columns: tuple[Column, ...]
    others: tuple[OtherColumn, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values alone, for run.json, checkpoints and exports."""
        columns = [asdict(column) for column in self.columns]
        return {
            "columns": [{**column, "categories": list(column["categories"])} for column in columns],
            "others": [asdict(column) for column in self.others],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Schema":
        """Raises ArtifactError for what `to_json` didn't write."""
        try:
            columns = tuple(column_from_json(column) for column in content["columns"])
            others = tuple(OtherColumn(**column) for column in content["others"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ArtifactError(f"The run's record of its table's columns is damaged ({error}). Run anew.") from error
        return cls(columns, others)

    def apply(self, frame: "polars.DataFrame", what: str, marks: Marks = NOTHING_SAID) -> TableFeatures | None:
        """Features of a table with the same columns, in any order; a category that isn't known is none of them.

        marks  as of `read_column`
        Raises ArtifactError, naming the column, if one is missing, and DatasetError for cells that don't fit.
        """
        names = [column.name for column in self.columns]
        missing = [name for name in names if name not in frame.columns]
        new = [name for name in frame.columns if name not in names]
        if missing:
            parts = [f"missing {listed(missing)}", *([f"new {listed(new)}"] if new else [])]
            raise ArtifactError(
                f"The network was trained on other data: {what} lacks feature columns ({'; '.join(parts)}). Restore it."
            )
        if new:
            logger.warning("%s: the columns %s are not used: the network was trained without them", what, listed(new))
        values = []
        for column in self.columns:
            cells, name = frame[column.name], f"{what}: column {column.name!r}"
            form = form_of(cells, column.form, name, marks) if column.kind == "number" else column.form
            values.append(read_as(cells, column.kind, form, name))
            if column.kind == "category":
                unknown = values[-1].filter(~values[-1].is_in(list(column.categories)))
                if len(unknown):
                    logger.warning(
                        "%s holds %s, which training didn't have: these %d nodes are in no category",
                        *(name, listed(unknown.unique().sort()), len(unknown)),
                    )
            elif column.kind == "embedding" and values[-1].shape[1] != column.width:
                width = values[-1].shape[1]
                raise DatasetError(f"{name} holds lists of {width} numbers, but training had {column.width}")
        return _features(self.columns, values, frame.height)


def fit_features(
    frame: "polars.DataFrame",
    train: Tensor,
    categorical: Iterable[str],
    scaling: Scaling,
    what: str,
    marks: Marks = NOTHING_SAID,
) -> tuple[tuple[Column, ...], TableFeatures | None]:
    """What the columns of a table are, and its features [N, F]; None of them if it has no column.

    train        the nodes [n] whose values give what fills gaps, means and deviations
    categorical  columns whose numbers name categories
    scaling      of numbers and dates; flags, categories and embeddings stay as they are
    marks        as of `read_column`
    Raises DatasetError, naming the column, for cells that can't be read without doubt, more than `MAX_CATEGORIES`
    categories, and names in `categorical` that no column has.
    """
    for name in categorical:
        if name not in frame.columns:
            raise DatasetError(
                f"--data.categorical names {name!r}, which is no feature column of {what}"
                f"{did_you_mean(name, frame.columns) or '.'} It has {listed(frame.columns)}"
            )
    rows = train.numpy()
    columns, values = [], []
    for name in frame.columns:
        reading = read_column(frame[name], name in categorical, f"{what}: column {name!r}", marks)
        columns.append(_fitted(name, reading, rows, scaling, f"{what}: column {name!r}"))
        values.append(reading.values)
        if columns[-1].form != "plain":
            logger.warning("%s: column %r is taken as numbers with %s", what, name, FORM_WORDS[columns[-1].form])
        if columns[-1].doubt.startswith(_NAME_DOUBT):
            logger.warning("%s: column %r is taken as a category, but %s", what, name, columns[-1].doubt)
        if columns[-1].kind == "date":
            logger.warning("%s: column %r is taken as dates: days since the earliest", what, name)
    return tuple(columns), _features(columns, values, frame.height)


_NAME_DOUBT = "nearly every value differs"


def _fitted(name: str, reading: Reading, rows: np.ndarray, scaling: Scaling, what: str) -> Column:
    kind, form, values, doubt = reading
    if kind == "category":
        found = sorted_categories(values)
        if len(found) > MAX_CATEGORIES:
            raise DatasetError(
                f"{what} has {len(found)} categories, more than {MAX_CATEGORIES}: turn it into numbers, "
                "join rare categories, or leave the column out"
            )
        there = len(values) - values.null_count()
        doubt = "" if len(found) > 1 else "one value: it can be left out"
        if len(found) > 2 and len(found) >= NEARLY_ALL * there:
            doubt = f"{_NAME_DOUBT}: if it is a name, leave the column out"
        return Column(name, kind, form, 1 - there / len(values), categories=tuple(found), doubt=doubt)
    gaps = np.isnan(values)
    missing = float(gaps.mean()) if kind != "embedding" else float(gaps[:, 0].mean())
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    column = Column(name, kind, form, missing, low, high, indicator=missing > 0)
    if kind == "embedding":
        return replace(column, width=values.shape[1], doubt="" if high > low else "one value: it can be left out")
    training = values[rows]
    training = training[~np.isnan(training)]
    fill = float(np.median(training)) if training.size else low
    column = replace(column, fill=fill, doubt=doubt or (_doubt(name, values, low, high) if kind != "date" else ""))
    if kind == "date":
        column = replace(column, origin=low, fill=fill - low, low=0.0, high=high - low)
    if kind == "flag" or scaling == "none":
        return column
    known = np.where(np.isnan(values[rows]), column.fill, values[rows] - column.origin)
    known = logarithm(known) if scaling == "log" else known
    deviation = float(known.std())
    steady = deviation > 1e-9 * max(1.0, float(np.abs(known).max()))  # else one value, but for its rounding
    return replace(column, scaling=scaling, mean=float(known.mean()), deviation=deviation if steady else 1.0)


def _doubt(name: str, values: np.ndarray, low: float, high: float) -> str:
    if low == high:
        return "one value: it can be left out"
    num_nodes, different = len(values), np.unique(values[~np.isnan(values)])
    if 2 < len(different) <= CODES and num_nodes >= 5 * len(different) and (different == np.floor(different)).all():
        return f"{len(different)} different integers: if they are codes, --data.categorical [{name}]"
    if num_nodes > 2 and low in (0, 1) and high == low + num_nodes - 1 and len(different) == num_nodes:
        return "counts the rows: if it is no feature, leave the column out"
    return ""


def _features(columns: Iterable[Column], values: Iterable[Any], num_nodes: int) -> TableFeatures | None:
    columns, values = list(columns), list(values)
    if not columns:
        return None
    names = tuple(chain.from_iterable(column.feature_names for column in columns))
    x = np.zeros((num_nodes, len(names)), dtype=np.float32)
    places = np.cumsum([0, *(len(column.feature_names) for column in columns)]).tolist()
    for column, place, cells in zip(columns, places, values, strict=False):
        if column.kind == "category":
            codes = _codes(cells, column.categories)
            rows = np.flatnonzero(codes >= 0)
            x[rows, place + codes[rows]] = 1
        else:
            x[:, place : place + column.width] = cells.reshape(num_nodes, -1)
    digest = tensor_digest(torch.from_numpy(x))
    for column, place, cells in zip(columns, places, values, strict=False):
        if column.kind == "category":
            continue
        cells = cells.reshape(num_nodes, -1) - column.origin
        gaps = np.isnan(cells)
        x[:, place : place + column.width] = column.scaled(np.where(gaps, column.fill, cells))
        if column.indicator:
            x[:, place + column.width] = gaps[:, 0]
    return TableFeatures(torch.from_numpy(x), names, digest)


def _codes(texts: "polars.Series", categories: tuple[str, ...]) -> np.ndarray:
    """[N]: the place of each among the categories, -1 for none."""
    import polars

    places = polars.Series(range(len(categories)), dtype=polars.Int64)
    known = polars.Series(categories, dtype=polars.String)
    return texts.replace_strict(known, places, default=-1, return_dtype=polars.Int64).fill_null(-1).to_numpy()
