"""What the columns of a user's table were taken for, a line each."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from spx.datasets.own.column import Column, OtherColumn
from spx.datasets.own.schema import Schema

FIRST, LAST = 20, 10
"""Columns that are shown where there are more than both."""


class ColumnLine(NamedTuple):
    """Of one column; all are text."""

    name: str
    taken_as: str
    missing: str
    range: str
    done: str
    doubt: str


def column_lines(schema: Mapping[str, Any]) -> list[ColumnLine]:
    """A line for each column of the table, those that are no features first.

    schema  `NodeDataset.schema`
    """
    known = Schema.from_json(schema)
    return [*map(_other, known.others), *map(_feature, known.columns)]


def shown_lines(lines: list[ColumnLine]) -> list[ColumnLine]:
    """All of them, or of many the first and last, with a line that counts the others."""
    if len(lines) <= FIRST + LAST:
        return lines
    rest = ColumnLine(f"... {len(lines) - FIRST - LAST:,} more", "", "", "", "", "")
    return [*lines[:FIRST], rest, *lines[-LAST:]]


def _other(column: OtherColumn) -> ColumnLine:
    return ColumnLine(column.name, column.kind, _share(column.missing), "", "", "")


def _feature(column: Column) -> ColumnLine:
    kind, reach = column.kind, "" if column.low is None else f"{column.low:.4g} to {column.high:.4g}"
    if kind == "category":
        kind = f"category of {len(column.categories):,} values"
    elif kind == "embedding":
        kind = f"embedding of width {column.width:,}"
    elif kind == "date":
        first, last = (_day(column.origin + days) for days in (column.low or 0.0, column.high or 0.0))
        reach = f"{first} to {last}"
    elif column.form != "plain":
        kind = f"{kind}, {column.form}"
    return ColumnLine(column.name, kind, _share(column.missing), reach, _done(column), column.doubt)


def _done(column: Column) -> str:
    if column.kind == "category":
        return f"{len(column.categories):,} features of 0 and 1"
    steps = ["days since the earliest"] if column.kind == "date" else []
    if column.indicator:
        filled = "0" if column.kind == "embedding" else f"the median {column.fill:.4g}"
        steps.append(f"missing: {filled}, and a feature that says so")
    if column.scaling == "none":
        steps.append("as it is")
    else:
        logarithm = "logarithm, " if column.scaling == "log" else ""
        steps.append(f"{logarithm}less {column.mean:.4g}, over {column.deviation:.4g}")
    return "; ".join(steps)


def _share(missing: float) -> str:
    return f"{missing:.1%}" if missing else ""


def _day(days: float) -> str:
    try:
        return str(date(1970, 1, 1) + timedelta(days=int(days // 1)))
    except OverflowError:  # years beyond 1 to 9999
        return f"day {days:.0f} since 1970"
