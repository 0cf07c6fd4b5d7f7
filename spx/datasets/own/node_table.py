"""A table of nodes from values in lists, as readers of other formats give them. N nodes."""

import importlib
import logging
import math
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from spx.datasets.own.error_words import listed
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

ID, LABEL = "id", "label"
_LARGEST = 2**63 - 1


def table_of(ids: list[str], columns: Mapping[str, list], what: str) -> "polars.DataFrame":
    """The table with the column `id`, and those of numbers, flags, texts or lists of numbers; others are left out.

    ids      N
    columns  N values each; None where there is none
    what     the file that warnings name
    """
    import polars

    made, left_out = {ID: polars.Series(ID, ids, dtype=polars.String)}, []
    for name, values in columns.items():
        column = None if name.strip() in ("", ID) else _column(name.strip(), values)
        if column is None:
            left_out.append(name)
        elif column.name in made:
            raise DatasetError(f"{what}: more than one attribute of its nodes is called {column.name!r}: rename them")
        elif column.name == LABEL and _are_names(column):
            logger.warning("%s: %r differs for each node, so it is a name and no class, and is left out", what, name)
        else:
            made[column.name] = column
    if left_out:
        logger.warning("%s: the attributes %s of its nodes are not used", what, listed(left_out))
    return polars.DataFrame(list(made.values()))


def _are_names(column: "polars.Series") -> bool:
    """Whether each node has a label of its own, as Gephi and networkx write it where there is none."""
    import polars

    return len(column) > 2 and column.dtype == polars.String and column.n_unique() == len(column)


def _column(name: str, values: list) -> "polars.Series | None":
    """The values as a column of one kind; None for what a table can't hold, such as dictionaries."""
    import polars

    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool}:
        return polars.Series(name, values, dtype=polars.Boolean)
    if kinds == {int} and all(value is None or abs(value) <= _LARGEST for value in values):
        return polars.Series(name, values, dtype=polars.Int64)
    if kinds <= {int, float}:
        return polars.Series(name, [None if value is None else _float(value) for value in values], polars.Float64)
    if kinds <= {list, tuple} and all({type(item) for item in value or ()} <= {int, float} for value in values):
        lists = [None if value is None else list(map(_float, value)) for value in values]
        return polars.Series(name, lists, polars.List(polars.Float64))
    if kinds <= {bool, int, float, str}:
        return polars.Series(name, [None if value is None else _text(value) for value in values], polars.String)
    return None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _text(value: object) -> str | None:
    """Without half characters, which no column takes, and without spaces around it."""
    return str(value).encode(errors="replace").decode().strip() or None


def names_of(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """All names in the rows, in the order in which they come."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return [str(name) for name in names]


def extra(module: str, kind: str) -> ModuleType:
    """The module, which reads files of this kind. Raises DatasetError, with the mend, if it isn't installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DatasetError(
            f"{kind} is read by {module.partition('.')[0]}, which is not installed: pip install 'spx[formats]'"
        ) from error
