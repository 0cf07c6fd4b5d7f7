"""How errors about a user's own files name things: quoted, shortened, with close matches."""

from collections.abc import Iterable
from difflib import get_close_matches


def shown(value: object) -> str:
    """The value as it would be written in Python, cut after 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def listed(values: Iterable[object], limit: int = 8) -> str:
    """The first values and how many there are; "nothing" for none."""
    values = list(values)
    text = ", ".join(shown(value) for value in values[:limit])
    return f"{text}, ... ({len(values)} in all)" if len(values) > limit else text or "nothing"


def near(given: str, known: Iterable[str], count: int = 2, cutoff: float = 0.6) -> list[str]:
    """The names that are written almost like the given one, the nearest first; case doesn't count."""
    by_letters = {name.lower(): name for name in known}
    return [by_letters[name] for name in get_close_matches(given.lower(), by_letters, n=count, cutoff=cutoff)]


def did_you_mean(given: str, known: Iterable[str]) -> str:
    close = near(given, known)
    return f"; did you mean {' or '.join(shown(name) for name in close)}?" if close else ""


def one_line(text: object, limit: int = 300) -> str:
    """Another library's message in one line, cut after `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
