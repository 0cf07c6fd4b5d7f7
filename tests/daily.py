"""Tests of many cases: a few of them are tried every day, all in full."""

from collections.abc import Callable, Container, Iterable
from typing import Any

import pytest


def every_day(
    names: str | tuple[str, ...],
    cases: Iterable[Any],
    only: Container[Any] | int,
    ids: Iterable[str] | Callable[[Any], str] | None = None,
) -> pytest.MarkDecorator:
    """`parametrize` whose cases are all marked full but for a few.

    Args:
        names: of one argument, or a tuple of several; then each case is a tuple.
        only: the cases of every day, or how many of the first they are.
        ids: as `parametrize` takes them.
    """
    several = not isinstance(names, str)
    marked = [
        case
        if (place < only if isinstance(only, int) else case in only)
        else pytest.param(*(case if several else [case]), marks=pytest.mark.full)
        for place, case in enumerate(cases)
    ]
    return pytest.mark.parametrize(names, marked, ids=ids)
