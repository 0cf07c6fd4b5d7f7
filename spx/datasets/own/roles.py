"""Which column of the nodes' table is the id, the label and the split: by its name and, in doubt, by its values."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spx.datasets.own.column import OtherColumn
from spx.datasets.own.error_words import did_you_mean, listed, shown
from spx.datasets.own.missing import DEFAULT_MISSING
from spx.datasets.own.names import (
    ID,
    LABEL,
    OF_NODES,
    ROLES,
    SPLIT,
    Heading,
    candidates,
    given_names,
    hint,
    say_taken,
    setting,
)
from spx.datasets.own.split_columns import PARTS, find_masks
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_PANDAS_INDEX = r"|Unnamed: 0|__index_level_0__"
MOST_CLASSES = 50
"""A column of more values isn't offered as one of classes."""
_FIRST = 100
"""So many cells tell that a column holds more than a split's words."""
_OTHER_CASE = 2
"""Rank of names up to which they are the house's."""


def node_roles(
    columns: list[Heading], nodes: "polars.DataFrame", given: Mapping[str, str], known: Mapping[str, str], what: str
) -> tuple[dict[str, str], list[str]]:
    """Role -> column, which is said where the names don't; and the columns that are no features and have no role.

    columns  what the header says of each column of `nodes`
    given    role -> column, as the user says
    known    role -> column, as it was in training
    Raises DatasetError where there is no id, or several columns may have a role and no name is the house's.
    """
    ignored = [heading.name for heading in columns if heading.kind == "ignore"]
    columns = [heading for heading in columns if heading.name not in ignored]
    roles = given_names(given, OF_NODES, [heading.name for heading in columns], what)
    could_be: list[str] = []
    for role in OF_NODES:
        free = [heading for heading in columns if heading.name not in roles.values()]
        if role not in roles and known.get(role) in [heading.name for heading in free]:
            roles[role] = known[role]
        ranks = candidates(role, free)
        if role not in roles and (name := _chosen(role, ranks, free, nodes, what)) is not None:
            roles[role] = name
        could_be += ranks
    rest = [name for name in dict.fromkeys(could_be) if name not in roles.values()]
    names = [name for name in rest if _names_nodes(nodes[name])]
    if ignored:
        logger.warning("%s: the columns %s are declared to be ignored and are left out", what, listed(ignored))
    if names:
        logger.warning("%s: %s differs for each node, so it names them and is left out", what, listed(names))
    say_taken(roles, [name for name in rest if name not in names], what)
    return {role: roles[role] for role in OF_NODES if role in roles}, [*ignored, *names]


def _chosen(role: str, ranks: dict[str, int], free: list[Heading], nodes: "polars.DataFrame", what: str) -> str | None:
    names = [heading.name for heading in free]
    if role == LABEL:
        if any(name.lower().startswith(f"{LABEL}:") for name in names):
            ranks = {name: rank for name, rank in ranks.items() if rank <= _OTHER_CASE}
        ranks = {name: rank for name, rank in ranks.items() if not _names_nodes(nodes[name])} or ranks
        ranks = {name: min(rank, _OTHER_CASE) for name, rank in ranks.items()}  # "Label" is a name in many programs
    best = [name for name, rank in ranks.items() if rank == min(ranks.values())]
    if role == ID and len(best) > 1:
        best = [name for name in best if _each_once(nodes[name])] or best
    if role == ID and not best:
        best = [name for name in names if re.fullmatch(_PANDAS_INDEX, name) and _each_once(nodes[name])][:1]
        if not best:
            raise _no_id(names, nodes, what)
    if role == SPLIT and not best and not find_masks(names):
        best = [name for name in names if _holds_parts(nodes[name])]
    if len(best) > 1:
        raise DatasetError(
            f"{what}: {listed(best)} may each be the {role}: say which it is, as {setting({role: best[0]})}, or leave "
            "the others out"
        )
    return best[0] if best else None


def _no_id(names: list[str], nodes: "polars.DataFrame", what: str) -> DatasetError:
    near = hint(ID, names)
    unique = [name for name in names if _each_once(nodes[name]) and not _has_fractions(nodes[name])]
    likely = near or ({ID: unique[0]} if unique else {})
    guess = did_you_mean(likely[ID], [likely[ID]]) if likely else "."
    return DatasetError(
        f"{what} has no column {ID!r}{guess} It has {listed(names)}: rename the column that holds a name or number for "
        f"each node, or say which it is, as {setting(likely or {ID: 'NAME'})}"
    )


def trained_roles(others: Iterable[OtherColumn]) -> dict[str, str]:
    """Role -> column, as a schema has them; not those of several labels and of masks, whose names say what they are."""
    return {
        column.kind: column.name
        for column in others
        if column.kind in ROLES and not column.name.lower().startswith(f"{LABEL}:") and not find_masks([column.name])
    }


def no_label(nodes: "polars.DataFrame", what: str) -> DatasetError:
    """That the table has no column of labels, with what may be one."""
    near = hint(LABEL, [name for name in nodes.columns if nodes[name].drop_nulls().n_unique() > 1])
    guess = f"; did you mean {shown(near[LABEL])}?" if near else ""
    return DatasetError(
        f"{what} has no column {LABEL!r}{guess} (it has {listed(nodes.columns)}): add one, empty where a label is not "
        f"known; {say_which(nodes, near)}; or columns '{LABEL}:NAME' of 0 and 1 for several labels a node"
    )


def say_which(nodes: "polars.DataFrame", near: Mapping[str, str] | None = None) -> str:
    """The setting that names the column of classes, and which columns could hold them, those of words first."""
    ranks = {name: rank for name in nodes.columns if (rank := _like_classes(nodes[name])) is not None}
    could_be = sorted(ranks, key=lambda name: ranks[name])
    listing = f" (few values have {listed(could_be, 4)})" if could_be and not near else ""
    alike = [name for name in could_be if ranks[name][0] == ranks[could_be[0]][0]]  # words, if there are such
    example = near or {LABEL: alike[0] if len(alike) == 1 else "NAME"}
    return f"say which column holds the classes{listing}, as {setting(example)}"


def _like_classes(column: "polars.Series") -> tuple[bool, int] | None:
    """Whether they are numbers, and how many values there are; None for columns that can't well be classes."""
    import polars

    if column.dtype.is_nested() or column.dtype.is_temporal():
        return None
    filled = column.drop_nulls()
    num_values = filled.n_unique()
    if not 2 <= num_values <= min(MOST_CLASSES, len(column) // 3) or _holds_parts(column):
        return None
    if _has_fractions(filled):
        return None
    numbers = filled.unique().cast(polars.Float64, strict=False).drop_nulls()
    return 2 * len(numbers) > num_values, num_values


def _has_fractions(column: "polars.Series") -> bool:
    import polars

    numbers = column.cast(polars.Float64, strict=False)
    return bool((numbers != numbers.floor()).any())


def _each_once(column: "polars.Series") -> bool:
    return not column.dtype.is_nested() and not column.has_nulls() and bool(column.is_unique().all())


def _names_nodes(column: "polars.Series") -> bool:
    """Whether it is text that differs for each node that has it."""
    import polars

    filled = column.drop_nulls()
    if column.dtype != polars.String or len(filled) <= 2 or not filled.is_unique().all():
        return False
    return filled.cast(polars.Float64, strict=False).has_nulls()


def _holds_parts(column: "polars.Series") -> bool:
    """Whether its words are those of a split in any case, training and test among them."""
    import polars

    if column.dtype != polars.String or column.head(_FIRST).n_unique() > len(PARTS) + 1 or column.n_unique() > _FIRST:
        return False
    words = set(column.drop_nulls().str.to_lowercase().unique()) - {word.lower() for word in DEFAULT_MISSING}
    held = {PARTS.get(word) for word in words}
    return {"train", "test"} <= held and None not in held
