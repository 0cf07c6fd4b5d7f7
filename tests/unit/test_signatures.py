"""What constructors take: which types are plain, and which values are of them."""

import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest

from spx.data import AugmentedGraphData, ResampledGraphData
from spx.signatures import fits, is_plain_type, parameters_of, spellings
from spx.training import Spexphormer


class Base:
    def __init__(self, first: int, second: "Base | None" = None): ...


class HandsOn(Base):
    def __init__(self, first: str, third, **more: Any): ...


class Alone(Base):
    def __init__(self, fourth: float = 1.0): ...


@pytest.mark.parametrize(
    "plain",
    [str, int | None, list[int], dict[str, float], Literal["a", 1], tuple[int, ...], Path, Iterable[str] | bool],
)
def test_words_and_numbers_are_plain(plain: Any) -> None:
    assert is_plain_type(plain)


@pytest.mark.parametrize(
    "other",
    [
        *(Any, object, Base, type, type[Base], Callable, Callable[[int], int] | None, str | Base, list[Base]),
        *(dict[str, Any], list, dict, "int", inspect.Parameter.empty, Iterable[Callable]),
    ],
)
def test_what_could_be_a_class_or_a_function_is_not(other: Any) -> None:
    assert not is_plain_type(other)


def test_parameters_are_those_of_the_bases_too_where_they_are_handed_on() -> None:
    assert parameters_of(HandsOn) == {
        "first": (str, inspect.Parameter.empty),
        "third": (inspect.Parameter.empty, inspect.Parameter.empty),
        "second": ("Base | None", None),
    }
    assert parameters_of(Alone) == {"fourth": (float, 1.0)}


def test_a_class_is_known_by_its_module_and_by_the_packages_that_offer_it() -> None:
    assert spellings(Spexphormer) == ["spx.training.Spexphormer", "spx.training.wide.Spexphormer"]
    assert spellings(Base) == [f"{__name__}.Base"]
    assert f"{Path.__module__}.Path" in spellings(Path)
    assert sys.modules[__name__].Base is Base


@pytest.mark.parametrize("kind", [AugmentedGraphData, ResampledGraphData, Spexphormer])
def test_all_that_a_run_is_built_from_is_plain(kind: type) -> None:
    found = parameters_of(kind)
    assert len(found) > 5
    others = {name for name, (annotation, _) in found.items() if not is_plain_type(annotation)}
    assert others == ({"feature_store"} if kind is ResampledGraphData else set()), "which a loaded run doesn't build"
    for annotation, default in found.values():
        assert default is inspect.Parameter.empty or fits(default, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "fitting"),
    [
        (1, int, True),
        (True, int, False),
        (1, float, True),
        ("1", float, False),
        (None, int | None, True),
        ({}, int | None, False),
        ([0.6, 0.2, 0.2], tuple[float, float, float], True),
        ([0.6, 0.2], tuple[float, float, float], False),
        ([1, 2], list[int], True),
        ([1, {}], list[int], False),
        ("ab", list[str], False),
        ("a", Literal["a", "b"], True),
        (["a"], Literal["a", "b"], False),
        (True, bool, True),
        (1, bool, False),
        ({"a": 1}, dict[str, int], True),
        ({"a": {}}, dict[str, int], False),
        ({}, str, False),
    ],
)
def test_values_of_a_type(value: Any, annotation: Any, fitting: bool) -> None:
    assert fits(value, annotation) == fitting
