"""Columns of a table -> node features: numbers as they are, categories one-hot."""

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import did_you_mean, listed, shown
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

MAX_CATEGORIES = 100


class TableFeatures(NamedTuple):
    """Features [N, F] float32 of a table, and the names of the F columns: "age", and "city=Rome" for each category."""

    x: Tensor
    names: tuple[str, ...]


class _Block(NamedTuple):
    """One column's features: its numbers [N], or the place [N] of each node's 1 among the categories, -1 for none."""

    values: np.ndarray
    categories: list[str] | None = None

    def names(self, column: str) -> list[str]:
        return [column] if self.categories is None else [f"{column}={category}" for category in self.categories]


def table_features(frame: "polars.DataFrame", categorical: tuple[str, ...], what: str) -> TableFeatures | None:
    """Features [N, F] float32 from all columns of a table, or None if it has none.

    Numbers and booleans give one feature, columns of text and those in `categorical` one for each category, in
    sorted order; an empty cell is no category.
    Raises DatasetError, naming the column, for empty or infinite numbers, more than `MAX_CATEGORIES` categories,
    columns that are neither, and names in `categorical` that no column has.
    """
    for name in categorical:
        if name not in frame.columns:
            hint = did_you_mean(name, frame.columns)
            raise DatasetError(
                f"--data.categorical names {name!r}, which is no feature column of {what}{hint or '.'} "
                f"It has {listed(frame.columns)}"
            )
    blocks = [_block(frame[name], name in categorical, f"{what}: column {name!r}") for name in frame.columns]
    names = [block.names(column) for block, column in zip(blocks, frame.columns, strict=True)]
    num_features = sum(map(len, names))
    if num_features == 0:
        return None
    x = np.zeros((frame.height, num_features), dtype=np.float32)
    start = 0
    for block, own in zip(blocks, names, strict=True):
        if block.categories is None:
            x[:, start] = block.values
        else:
            rows = np.flatnonzero(block.values >= 0)
            x[rows, start + block.values[rows]] = 1
        start += len(own)
    return TableFeatures(torch.from_numpy(x), tuple(chain.from_iterable(names)))


def _block(column: "polars.Series", categories: bool, what: str) -> _Block:
    import polars

    if isinstance(column.dtype, (polars.Categorical, polars.Enum)):
        column = column.cast(polars.String)
    text = column.dtype == polars.String
    if not (text or column.dtype.is_numeric() or column.dtype == polars.Boolean):
        raise DatasetError(
            f"{what} holds {str(column.dtype)[:40]} values: turn them into numbers or text, or leave the column out"
        )
    if column.null_count() == len(column):
        raise DatasetError(f"{what} is empty throughout: leave it out")
    if text:
        column = _typed(column, categories, what)
    return _one_hot(column, what) if categories or column.dtype == polars.String else _numbers(column, what)


def _typed(column: "polars.Series", categories: bool, what: str) -> "polars.Series":
    """A column of text as numbers or booleans, if all its cells that are not empty are."""
    import polars

    filled = column.drop_nulls()
    numbers = filled.cast(polars.Float64, strict=False)
    if numbers.is_not_null().all():
        return column.cast(polars.Float64)
    if filled.str.to_lowercase().is_in(["true", "false"]).all():
        return column.str.to_lowercase() == "true"
    words = filled.filter(numbers.is_null())
    if not categories and 2 * len(words) < len(filled):
        raise DatasetError(
            f"{what} holds numbers, but {len(words)} of {len(filled)} cells are none, such as {shown(words[0])}: "
            "fix them, or name the column in --data.categorical to take each value as a category"
        )
    return column


def _numbers(column: "polars.Series", what: str) -> _Block:
    import polars

    if column.null_count():
        raise DatasetError(
            f"{what} has {column.null_count()} empty cells of {len(column)}: fill them, leave the column out, "
            "or name it in --data.categorical, where an empty cell is no category"
        )
    values = column.cast(polars.Float32).to_numpy()
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise DatasetError(
            f"{what} has {broken} cells of {len(column)} that are NaN, infinite or beyond float32: "
            "replace them by numbers, or leave the column out"
        )
    return _Block(values)


def _one_hot(column: "polars.Series", what: str) -> _Block:
    import polars

    categories = column.drop_nulls().unique().sort()
    if len(categories) > MAX_CATEGORIES:
        raise DatasetError(
            f"{what} has {len(categories)} categories, more than {MAX_CATEGORIES}: turn it into numbers, "
            "join rare categories, or leave the column out"
        )
    places = polars.Series(range(len(categories)), dtype=polars.Int64)
    codes = column.replace_strict(categories, places, default=-1, return_dtype=polars.Int64).fill_null(-1)
    if categories.dtype.is_float() and (categories == categories.floor()).all():
        categories = categories.cast(polars.Int64, strict=False)  # named alike in CSV and Parquet
    return _Block(codes.to_numpy(), categories.cast(polars.String).to_list())
