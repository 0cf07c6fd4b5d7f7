"""The nodes' ids, and the nodes that a column of an edge table names by them.

N nodes, E edges.
"""

from typing import TYPE_CHECKING

from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.lookup import places_of
from spx.datasets.own.names import ID, setting
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"  # 7, but not 007, which is a name
_WHOLE = r"^(-?\d+)[.,]0+$"  # 7.0 is 7
_POWER = r"^[1-9](\.\d+)?[eE]\+\d\d$"  # 1e+05, as R writes 100000
_LARGEST = 2**53
"""From here on floats don't tell whole numbers apart."""


def node_ids(column: "polars.Series", file_name: str) -> "polars.Series":
    """The ids [N] as integers if all are whole, else as text.

    Raises DatasetError for ids that are missing, there twice, or of another type.
    """
    import polars

    what = f"{file_name}: column {column.name!r}"
    empty = column.null_count()
    if empty:
        raise DatasetError(f"{what} is empty in {empty} of {len(column)} rows: give each node an id")
    ids = _as_ids(column, what)
    if ids.dtype == polars.String and (whole := _whole(ids)).str.contains(_INTEGER).all():
        ids = whole.cast(polars.Int64)
    twice = ids.filter(ids.is_duplicated())
    if len(twice):
        raise DatasetError(
            f"{what} must differ for each node, but {shown(twice[0])} is there more than once. If another column holds "
            f"the ids: {setting({ID: 'NAME'})}"
        )
    return ids.rename(ID)


def rows_of(column: "polars.Series", ids: "polars.Series", what: str) -> "polars.Series":
    """[E]: the row of each id among the nodes'. Raises DatasetError for ids that are missing, or that no node has."""
    import polars

    empty = column.null_count()
    if empty:
        raise DatasetError(f"{what} is empty in {empty} of {len(column)} rows: name both ends of each edge")
    keys = _as_ids(column, what)
    rows = places_of(keys.cast(ids.dtype, strict=False), ids)
    if rows.has_nulls() and keys.dtype == polars.String:
        rows = rows.fill_null(places_of(_whole(keys).cast(ids.dtype, strict=False), ids))
    unknown = column.filter(rows.is_null())
    if len(unknown):
        raise DatasetError(
            f"{what} names ids that no node has, {len(unknown)} times of {len(column)}, such as {shown(unknown[0])}: "
            f"add these nodes, or remove the edges. The nodes are called {listed(ids.head(3))}"
            f"{', ...' if len(ids) > 3 else ''} ({len(ids):,} in all)"
        )
    return rows


def _as_ids(column: "polars.Series", what: str) -> "polars.Series":
    """Integers or text; floats that are whole, as pandas writes integers beside a gap, are integers."""
    import polars

    if column.dtype.is_integer():
        numbers = column.cast(polars.Int64, strict=False)
        return numbers if not numbers.has_nulls() or column.has_nulls() else column.cast(polars.String)
    if column.dtype == polars.String:
        return column
    if column.dtype.is_numeric():  # floats and decimals
        numbers = column.cast(polars.Float64)
        broken = column.filter((numbers != numbers.floor()) | (numbers.abs() >= _LARGEST) | numbers.is_infinite())
        if len(broken):
            raise DatasetError(
                f"{what} holds {str(column.dtype)[:40]} values that are no whole numbers, or too large for such, as "
                f"{shown(broken[0])}: ids must be integers or text"
            )
        return numbers.cast(polars.Int64)
    raise DatasetError(f"{what} holds {str(column.dtype)[:40]} values: ids must be integers or text")


def _whole(text: "polars.Series") -> "polars.Series":
    """The texts, whole floats among them as integers: "21" for "21.0" and "2.1e+01"."""
    import polars

    text = text.str.replace(_WHOLE, "$1")
    power = text.str.contains(_POWER)
    if not power.any():
        return text
    numbers = text.cast(polars.Float64, strict=False)
    power &= (numbers == numbers.floor()) & (numbers < _LARGEST)
    return text.zip_with(~power.fill_null(False), numbers.cast(polars.Int64, strict=False).cast(polars.String))
