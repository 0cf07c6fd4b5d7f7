"""The table of edges: which columns are its ends, and which edges run both ways."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import did_you_mean, listed
from spx.datasets.own.ids import rows_of
from spx.datasets.own.names import OF_EDGES, edge_ends, given_names, hint, letters, say_taken, setting
from spx.datasets.own.numerals import Decimal, Marks
from spx.datasets.own.table_file import SEPARATOR_BESIDE_DECIMAL_COMMA, TableFile, open_table
from spx.datasets.own.weights import OFFER, cell_weights, weight_column
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_TYPE, _BOTH_WAYS, _ONE_WAY = "type", ("undirected", "mutual"), "directed"


class Edges(NamedTuple):
    """What the table of edges holds.

    edge_index  [2, E] int64, rows of the nodes
    names       of the columns that hold the ends: "source" and "target" -> name
    weight      [E] float32, at least 0; None: not asked for
    """

    edge_index: Tensor
    names: dict[str, str]
    weight: Tensor | None = None


def read_edges(
    file: Path,
    ids: "polars.Series",
    given: Mapping[str, str],
    known: Mapping[str, str],
    weight: str | None = None,
    decimal: Decimal | None = None,
) -> Edges:
    """The edges from the ids in the column of sources to those in that of targets.

    ids    [N] of the nodes
    given  role -> column, as the user says
    known  role -> column, as it was in training
    weight  the column of weights; None: they aren't used
    decimal  mark in weights, where they leave it open
    An edge of Gephi's type Undirected is there both ways.
    Raises DatasetError for a table without such columns, for ids that no node has, and for weights that are none.
    """
    table = open_table(file)
    ends = _ends(table, given, known)
    columns = [heading.name for heading in table.columns]
    types = [name for name in columns if letters(name) == _TYPE and name not in ends.values()][:1]
    others = [name for name in columns if name not in ends.values()]
    weights = [] if weight is None else [weight_column(weight, others, table.name)]
    edges = table.read([*ends.values(), *types, *weights])
    both_ways = _both_ways(edges[types[0]]) if types else None
    used = [*ends.values(), *weights, *(types if both_ways is not None else ())]
    left_out = [name for name in columns if name not in used]
    if left_out:
        offer = "" if weights or left_out == types else f". {OFFER}"
        logger.warning("%s: the columns %s are not used%s", file, listed(left_out), offer)
    ends_2E = np.empty((2, edges.height), dtype=np.int64)
    for place, role in enumerate(OF_EDGES):
        ends_2E[place] = rows_of(edges[ends[role]], ids, f"{table.name}: column {ends[role]!r}").to_numpy()
    edge_index, values = torch.from_numpy(ends_2E), None
    if weights:
        marks = Marks(decimal, table.separator == SEPARATOR_BESIDE_DECIMAL_COMMA)
        values = cell_weights(edges[weights[0]], f"{table.name}: column {weights[0]!r}", marks)
    if both_ways is not None and both_ways.any():
        say = "%s: the %d of %d edges of type Undirected are taken both ways"
        logger.warning(say, table.name, both_ways.sum(), edges.height)
        turned = torch.from_numpy(both_ways)
        edge_index = torch.cat([edge_index, edge_index[:, turned].flip(0)], dim=1)
        values = None if values is None else torch.cat([values, values[turned]])
    return Edges(edge_index, ends, values)


def ends_of(edges: "polars.DataFrame", ids: "polars.Series", what: str, weight: str | None = None) -> Edges:
    """The edges from the ids in the column `source` to those in `target`.

    what    the file that errors name
    weight  the column of weights; None: they aren't used
    """
    ends_2E = np.empty((2, edges.height), dtype=np.int64)
    for place, name in enumerate(OF_EDGES):
        ends_2E[place] = rows_of(edges[name], ids, f"{what}: column {name!r}").to_numpy()
    if weight is None:
        return Edges(torch.from_numpy(ends_2E), {})
    name = weight_column(weight, [name for name in edges.columns if name not in OF_EDGES], what)
    return Edges(torch.from_numpy(ends_2E), {}, cell_weights(edges[name], f"{what}: column {name!r}"))


def _ends(table: TableFile, given: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    names = [heading.name for heading in table.columns]
    chosen = given_names(given, OF_EDGES, names, table.name)
    if len(chosen) < len(OF_EDGES):
        as_trained = {role: name for role, name in known.items() if role in OF_EDGES and name in names}
        if len(as_trained) < len(OF_EDGES):
            as_trained = edge_ends(table.columns, table.name) if not chosen else _other_end(table, chosen)
        chosen = as_trained | chosen
    missing = [role for role in OF_EDGES if role not in chosen]
    if missing:
        free = [name for name in names if name not in chosen.values()]
        near = _hints(missing, free)
        guesses = "".join(did_you_mean(name, [name]) for name in near.values()) or "."
        wanted = near | {role: "NAME" for role in missing if role not in near}
        raise DatasetError(
            f"{table.name} has no column {listed(missing)}{guesses} It has {listed(names)}: rename the column that "
            f"holds {'them' if len(missing) > 1 else 'it'}, or say which it is, as {setting(wanted)}"
        )
    say_taken(chosen, (), table.name)
    return {role: chosen[role] for role in OF_EDGES}


def _other_end(table: TableFile, chosen: Mapping[str, str]) -> dict[str, str]:
    free = [heading for heading in table.columns if heading.name not in chosen.values()]
    return {role: name for role, name in edge_ends(free, table.name).items() if role not in chosen}


def _hints(missing: list[str], free: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role in missing:
        found |= hint(role, [name for name in free if name not in found.values()])
    return found


def _both_ways(column: "polars.Series") -> np.ndarray | None:
    """[E] bool: of type Undirected; None where the column isn't Gephi's."""
    import polars

    if column.dtype != polars.String:
        return None
    words = column.str.to_lowercase()
    held = words.drop_nulls()
    if held.is_empty() or not held.is_in([*_BOTH_WAYS, _ONE_WAY]).all():
        return None
    return words.is_in(_BOTH_WAYS).fill_null(False).to_numpy().copy()
