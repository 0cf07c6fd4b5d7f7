"""What the columns of a table are called, and which of them is the id, the label, the split, or an end of the edges.

A role's column is, in this order: the one that the user names (`--data.columns`), the one that it was in training, one
that Neo4j's header declares (`accountId:ID`), the one with the house's name (`id`), with that name in another case
(`ID`), with another usual name (`node`).
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from spx.datasets.own.error_words import did_you_mean, listed, near, shown
from spx.errors import DatasetError

logger = logging.getLogger(__name__)

ID, LABEL, SPLIT, SOURCE, TARGET = "id", "label", "split", "source", "target"
OF_NODES, OF_EDGES = (ID, LABEL, SPLIT), (SOURCE, TARGET)
ROLES = (*OF_NODES, *OF_EDGES)

USUAL = {ID: (ID, "node", "nodeid", "vertex", "vertexid"), LABEL: (LABEL, "y", "class", "target"), SPLIT: (SPLIT,)}
"""Names in small letters alone, the house's first."""
PAIRS = (
    *((SOURCE, TARGET), ("from", "to"), ("src", "dst"), ("src", "dest"), ("u", "v"), ("sourceid", "targetid")),
    *(("fromid", "toid"), ("srcid", "dstid"), ("fromnodeid", "tonodeid"), ("sourcenode", "targetnode")),
    *(("fromnode", "tonode"), ("startid", "endid"), ("startnode", "endnode")),
)
"""The same of both ends of an edge."""

_DECLARED = {"ID": ID, "START_ID": SOURCE, "END_ID": TARGET}
_SIGNS = (*_DECLARED, "LABEL", "TYPE")
"""What only a header of Neo4j has after the colon."""
_DATA_TYPES = (
    *("int", "long", "float", "double", "boolean", "byte", "short", "char", "string", "point", "date", "duration"),
    *("localtime", "time", "localdatetime", "datetime", "zoneddatetime", "vector", "ignore"),
)
_TYPED = re.compile(rf"([^:]*):(ID|START_ID|END_ID|LABEL|TYPE|(?i:{'|'.join(_DATA_TYPES)}))(\[\])?(\(.*\))?(\{{.*\}})?")
_ALIKE, _SHORT = 0.75, 3
"""Names are near a role's from that share of common letters on; almost anything is near to a short one."""
_USUAL_NAMES = {name for names in (*USUAL.values(), *PAIRS) for name in names}


class Heading(NamedTuple):
    """A column's name, and what Neo4j's header says of it.

    name   without a type: "age" of "age:int"
    role   that the header declares: "id" of "accountId:ID"; "": none
    kind   of the cells, in small letters: "int", "float[]", "ignore"; "": not said
    """

    name: str
    role: str = ""
    kind: str = ""


def headings(names: Iterable[str]) -> list[Heading]:
    """Of all columns of a table, by the names in its header; all names are different if the given ones are."""
    names = [name.strip() for name in names]
    found = [_TYPED.fullmatch(name) for name in names]
    neo4j = any(match and match[2] in _SIGNS and letters(match[1]) != LABEL for match in found)
    parsed = [_heading(name, match, neo4j) for name, match in zip(names, found, strict=True)]
    without_type = [heading.name for heading in parsed]
    taken = (
        {name for name in without_type if without_type.count(name) > 1} if len(set(without_type)) < len(names) else ()
    )
    return [
        heading._replace(name=name) if heading.name in taken else heading
        for heading, name in zip(parsed, names, strict=True)
    ]


def is_usual(name: str) -> bool:
    """Whether a role's column may be called so."""
    match = _TYPED.fullmatch(name.strip())
    return letters(name) in _USUAL_NAMES or bool(match and match[2] in _SIGNS)


def letters(name: str) -> str:
    """The name in small letters, without what may stand between words."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def check_roles(given: Mapping[str, str]) -> None:
    """Raise DatasetError for a role that there isn't, and for a name that is no text."""
    unknown = [role for role in given if role not in ROLES]
    if unknown:
        raise DatasetError(
            f"--data.columns names {shown(unknown[0])}, which is nothing that a column can be"
            f"{did_you_mean(unknown[0], ROLES) or '.'} There are {listed(ROLES)}"
        )
    strange = [name for name in given.values() if not isinstance(name, str)]
    if strange:
        raise DatasetError(f"--data.columns names a column {shown(strange[0])}: write the name in quotes")


def given_names(given: Mapping[str, str], roles: Iterable[str], names: list[str], what: str) -> dict[str, str]:
    """The columns that the user names for these roles, as the table has them.

    Raises DatasetError for a name that no column has, and for a column that is named twice.
    """
    found: dict[str, str] = {}
    for role in roles:
        if role not in given:
            continue
        wanted = given[role]
        alike = [name for name in names if name == wanted] or [name for name in names if name.lower() == wanted.lower()]
        alike = alike or [heading.name for heading in headings([wanted]) if heading.name in names]
        if len(alike) != 1:
            raise DatasetError(
                f"--data.columns takes {shown(wanted)} for {role!r}, but {what} has no such column"
                f"{did_you_mean(wanted, names) or '.'} It has {listed(names)}"
            )
        if alike[0] in found.values():
            raise DatasetError(f"--data.columns takes {shown(wanted)} twice: name another column for {role!r}")
        found[role] = alike[0]
    return found


def setting(roles: Mapping[str, str]) -> str:
    """The argument that names these columns, to be pasted into a shell."""
    hard = re.compile(r"""['"\\]""")  # to quote for a shell and for YAML at once
    roles = {
        role: name if len(name) <= 60 and name.isprintable() and not hard.search(name) else "NAME"
        for role, name in roles.items()
    }
    pairs = ", ".join(
        f"{role}: {name}" if re.fullmatch(r"[A-Za-z_]\w*", name) else f'{role}: "{name}"'
        for role, name in roles.items()
    )
    return f"--data.columns '{{{pairs}}}'"


def candidates(role: str, columns: Iterable[Heading]) -> dict[str, int]:
    """The columns that may have a role of the nodes by their names, each with its rank.

    0: the header declares it; 1: the house's name; 2: that in another case; 3: another usual name.
    """
    ranks = ((heading.name, _rank(role, heading)) for heading in columns)
    return {name: rank for name, rank in ranks if rank is not None}


def edge_ends(columns: list[Heading], what: str) -> dict[str, str]:
    """The columns of both ends by their names; without an end, or both, that no column is called after.

    Raises DatasetError where several pairs may be meant.
    """
    declared = {heading.role: heading.name for heading in columns if heading.role in OF_EDGES}
    exact = {role: role for role in OF_EDGES if any(heading.name == role for heading in columns)}
    for whole in (declared, exact):
        if len(whole) == len(OF_EDGES):
            return whole
    by_letters: dict[str, list[str]] = {}
    for heading in columns:
        by_letters.setdefault(letters(heading.name), []).append(heading.name)
    pairs = [pair for pair in PAIRS if all(len(by_letters.get(name, ())) == 1 for name in pair)]
    pairs = pairs[:1] if pairs and pairs[0] == PAIRS[0] else pairs
    if len(pairs) > 1:
        held = [by_letters[name][0] for pair in pairs for name in pair]
        found = dict(zip(OF_EDGES, held, strict=False))
        raise DatasetError(f"{what}: {listed(held)} may all be ends of the edges: say which, as {setting(found)}")
    if pairs:
        return {role: by_letters[name][0] for role, name in zip(OF_EDGES, pairs[0], strict=True)}
    single = {role: sorted({name for pair in PAIRS for name in by_letters.get(pair[place], ())})
              for place, role in enumerate(OF_EDGES)}  # fmt: skip
    return {role: names[0] for role, names in single.items() if len(names) == 1}


def hint(role: str, names: Iterable[str]) -> dict[str, str]:
    """A column whose name comes near to the role's, if there is one: "account_id" for "id", "lable" for "label"."""
    usual = set(USUAL.get(role, ())) | {pair[role == TARGET] for pair in PAIRS if role in OF_EDGES}
    names = list(names)
    words = {name: {word.lower() for word in _words(name)} for name in names}
    found = [name for name in names if role in words[name]] or [name for name in names if usual & words[name]]
    for name in () if found else (role, *sorted(usual)):
        found += near(name, names, cutoff=_ALIKE) if name == role or len(name) > _SHORT else []
    return {role: found[0]} if found else {}


def say_taken(roles: Mapping[str, str], features: Iterable[str], what: str) -> None:
    """Log which columns were taken for which role, where their names don't say it, and which others could have been."""
    taken = [f"{shown(name)} as {role}" for role, name in roles.items() if name != role]
    taken += [f"{shown(name)} as a feature" for name in features]
    if taken:
        logger.warning("%s: taken: %s. --data.columns sets what is what", what, ", ".join(taken))


def _heading(name: str, match: "re.Match[str] | None", neo4j: bool) -> Heading:
    if match is None or (letters(match[1]) == LABEL and not neo4j):  # label:NAME is one of several labels
        return Heading(name)
    if match[2] in _SIGNS:
        return Heading(name) if match[2] not in _DECLARED else Heading(match[1].strip() or name, _DECLARED[match[2]])
    return Heading(match[1].strip() or name, kind=f"{match[2].lower()}{match[3] or ''}")


def _rank(role: str, heading: Heading) -> int | None:
    if heading.role:
        return 0 if heading.role == role else None
    if heading.name == role:
        return 1
    small = letters(heading.name)
    return 2 if small == role else 3 if small in USUAL[role] else None


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
