"""Tests of many cases: a few of them are tried every day, all in full."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def every_day(
    names: str | tuple[str, ...], cases: Iterable[Any], only: Container[Any], ids: Iterable[str] | None = None
) -> pytest.MarkDecorator:
    """`parametrize` whose cases are all marked full but for the named ones. Of several names, each case is a tuple."""
    several = not isinstance(names, str)
    marked = [
        case if case in only else pytest.param(*(case if several else [case]), marks=pytest.mark.full) for case in cases
    ]
    return pytest.mark.parametrize(names, marked, ids=ids)
