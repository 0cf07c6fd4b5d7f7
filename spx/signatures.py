"""What a class's constructor takes: its parameters' types, and by which names the class is known."""

import inspect
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

PLAIN_TYPES = (type(None), str, int, float, bool, timedelta, Path)
CONTAINERS = (list, tuple, set, dict, Iterable, Mapping, Sequence)


def is_plain_type(annotation: Any) -> bool:
    """Whether only words, numbers and containers of them are of this type: no class, no function, nothing untyped."""
    if annotation in PLAIN_TYPES:
        return True
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType) or origin in CONTAINERS:
        return bool(inside) and all(each is Ellipsis or is_plain_type(each) for each in inside)
    return False


def parameters_of(kind: type) -> dict[str, tuple[Any, Any]]:
    """Type and default of each parameter that the class takes by name, those of its bases where it hands them on.

    What isn't there, a type or a default, is `inspect.Parameter.empty`; a type may also be text.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        for each in parameters:
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
                found.setdefault(each.name, (each.annotation, each.default))
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return found


def spellings(kind: type) -> list[str]:
    """The import paths of the class: that of its module, and of the packages around it that offer it."""
    parts = kind.__module__.split(".")
    modules = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    name = kind.__name__
    return [f"{module}.{name}" for module in modules if getattr(sys.modules.get(module), name, None) is kind]


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value of a YAML or JSON file is one of a plain type (`is_plain_type`); a list will do for a tuple."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in (int, float):
        return isinstance(value, (int, float) if annotation is float else int) and not isinstance(value, bool)
    if annotation in (str, Path, timedelta):
        return isinstance(value, str)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inside)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inside)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(fits(k, inside[0]) and fits(v, inside[1]) for k, v in value.items())
    if origin is tuple and Ellipsis not in inside:
        return isinstance(value, list | tuple) and len(value) == len(inside) and all(map(fits, value, inside))
    if origin in CONTAINERS:
        return isinstance(value, list | tuple) and all(fits(each, inside[0]) for each in value)
    return annotation in PLAIN_TYPES and isinstance(value, annotation)


def is_default(value: Any, default: Any) -> bool:
    """Whether the value is the parameter's default, as a configuration writes it down."""
    if is_dataclass(default) and not isinstance(default, type):
        default = asdict(default)
    if isinstance(default, tuple):
        default = list(default)
    if isinstance(value, str) and not isinstance(default, str):
        default = str(default)  # of a device, say
    return type(value) is type(default) and value == default


def plain_value(value: Any) -> Any:
    """The setting as checkpoints may hold it, which are read without unpickling objects."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return value.item()
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return str(value) if isinstance(value, Path) else value
