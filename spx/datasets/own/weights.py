"""Weights of edges, as columns, attributes and arrays have them. E edges."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.cells import read_column
from spx.datasets.own.error_words import did_you_mean, listed, shown
from spx.datasets.own.missing import DEFAULT_MISSING, without_missing
from spx.datasets.own.numerals import NOTHING_SAID, Marks
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

WEIGHT = "weight"
"""What the weights are called where a format has no names: a matrix's values, a third column."""
SETTING = "--data.edge_weight"
OFFER = f"If one holds weights of the edges: {SETTING} NAME"
TO_USE = f"{SETTING} {WEIGHT}"
LEAST, MOST = 1e-30, 1e30
"""Between which float32 and its sums hold them."""
_NUMBER = r"^[+-]?(\d[\d.,]*|\.\d+)([eE][+-]?\d+)?$"
_MEND = f"a weight is a number from 0, where 0 is no edge: correct it, or leave {SETTING} out"


def as_weights(values: np.ndarray, what: str, place: Callable[[int], str] = lambda edge: f"row {edge + 1:,}") -> Tensor:
    """The weights [E] as float32; NaN stands for one that is missing.

    what   that errors name
    place  of an edge, from 0, in words
    Raises DatasetError for one that is missing, below 0, not finite, or out of range.
    """
    values = np.asarray(values, dtype=np.float64)
    fine = (values == 0) | ((values >= LEAST) & (values <= MOST))
    if not fine.all():
        edge = int(fine.argmin())
        value = float(values[edge])
        told = "has no weight" if np.isnan(value) else f"is {value:g}"
        mend = _MEND
        if 0 < value < np.inf:
            mend = (
                f"weights must lie from {LEAST:g} to {MOST:g}: multiply all by one number, which changes nothing else"
            )
        raise DatasetError(f"{what}: {place(edge)} {told} ({int((~fine).sum()):,} such of {len(values):,}); {mend}")
    return torch.from_numpy(values.astype(np.float32))


def weight_column(name: str, columns: list[str], what: str) -> str:
    """The column of that name, in any case if no other has it. Raises DatasetError if there is none."""
    alike = [column for column in columns if column == name]
    alike = alike or [column for column in columns if column.lower() == name.lower()]
    if len(alike) != 1:
        raise DatasetError(
            f"{SETTING} names {shown(name)}, but {what} has no such column beside the ends of its edges"
            f"{did_you_mean(name, columns) or '.'} It has {listed(columns)}: name one, or leave {SETTING} out"
        )
    return alike[0]


def cell_weights(column: "polars.Series", what: str, marks: Marks = NOTHING_SAID) -> Tensor:
    """The weights [E] float32 in the cells of a table of edges.

    marks  as of `read_column`
    Raises DatasetError as `as_weights`, and for cells that are no numbers.
    """
    import polars

    if column.dtype.is_numeric() or column.dtype == polars.Boolean:
        numbers = column.cast(polars.Float64)
        return as_weights(numbers.fill_null(float("nan")).to_numpy(), what)
    cells = without_missing(column.to_frame(), DEFAULT_MISSING)[0].to_series()
    if cells.has_nulls():
        as_weights(np.where(cells.is_null().to_numpy(), np.nan, 1.0), what)  # says which
    if cells.is_empty():
        return torch.zeros(0)
    words = numbers = cells.is_not_null()
    if cells.dtype == polars.String:
        numbers = cells.cast(polars.Float64, strict=False)
        comma = cells.str.contains(",", literal=True)
        words = ~cells.str.contains(_NUMBER) | (numbers.is_null() & ~comma)
    if words.any():
        row = words.arg_true()[0]
        raise DatasetError(f"{what}: row {row + 1:,} is {shown(cells[row])} ({words.sum():,} such); {_MEND}")
    if not numbers.has_nulls() and marks.decimal != "comma":
        return as_weights(numbers.to_numpy(), what)
    try:
        kind, _, values, _ = read_column(cells, False, what, marks)
    except DatasetError:  # whose mend is that of a feature
        kind = "category"
    if kind not in ("number", "flag"):
        raise DatasetError(
            f"{what} holds numbers such as {shown(cells.filter(comma)[0])}, where it can't be told whether the comma "
            "is a decimal one: say so (--data.decimal comma or point), or write a point in its place, and nothing "
            "between thousands"
        )
    return as_weights(values, what)


def array_weights(arrays: "Mapping[str, np.ndarray | None]", name: str, num_edges: int) -> Tensor:
    """The weights [E] float32 in the array of that name. Raises DatasetError if it is not there, or doesn't fit."""
    array = arrays.get(name)
    if array is None:
        raise DatasetError(
            f"{SETTING} names {shown(name)}, but there is no such array{did_you_mean(name, arrays) or '.'} There are "
            f"{listed(arrays)}: name one of [E] numbers, or leave {SETTING} out"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num_edges,) or array.dtype.kind not in "biuf":
        raise DatasetError(
            f"{name}, which {SETTING} names, is {list(array.shape)} {array.dtype}: it must be [E] or [E, 1] numbers, "
            f"one for each of the {num_edges:,} edges"
        )
    return as_weights(array, name, lambda edge: f"edge {edge}")


def only_weight(name: str | None, what: str) -> bool:
    """Whether the values of a format that doesn't name them are wanted. Raises DatasetError for another name."""
    if name not in (None, WEIGHT):
        raise DatasetError(f"{SETTING} names {shown(name)}, but {what} has no names: give {TO_USE}")
    return name is not None


def none_there(name: str | None, what: str) -> None:
    """Raise DatasetError if a weight is wanted of a format that has none."""
    if name is not None:
        raise DatasetError(
            f"{SETTING} doesn't hold for {what}: leave it out, or save the graph as nodes.csv, edges.csv"
        )


def without_zeros(edge_index: Tensor, weight: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """The edges [2, E'] and weights [E'] without those of weight 0, which are no edges; a line says how many."""
    kept = weight > 0
    if bool(kept.all()):
        return edge_index, weight
    logger.warning("%s: %d of %d edges have weight 0 and are left out", what, int((~kept).sum()), kept.numel())
    return edge_index[:, kept], weight[kept]
