"""Is a pickle what it should be? Told without opening it.

Unpickling calls whatever function of Python the file names. Planetoid's raw files are pickles of arrays, sparse
matrices and dictionaries of lists. A file that names anything else is refused from its bytes alone; then it is
rehearsed with stand-ins in place of these few, for NumPy's could be talked into reading any memory as objects.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path

from spx.errors import DatasetError

_HIDING = frozenset(
    {"INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
)
_TEXTS = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def check_pickle(file: Path) -> None:
    """Raise DatasetError for a pickle that is not made of arrays of numbers, CSR matrices and dictionaries of lists.

    Nothing that the file names is run. A name that is not plain to read in the file counts as hidden and is refused.
    """
    content = file.read_bytes()
    try:
        for name in _names(content):
            if name not in _STAND_INS:
                raise DatasetError(
                    f"{file} is a pickle that calls {_shown(name)}, which no such file needs and which could run code: "
                    "don't use it; delete it and load again"
                )
        _Rehearsal(io.BytesIO(content), encoding="latin1").load()
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # whatever strange bytes make the two raise
        raise DatasetError(
            f"{file} can't be told to be a harmless pickle ({str(error)[:150]}): delete it and load again"
        ) from error


def _names(content: bytes) -> Iterator[str]:
    """Each "module name" of the pickle. Raises ValueError for one that can't be told from the bytes alone."""
    memo: dict[int, str | None] = {}
    recent: list[str | None] = []  # what the last operations pushed, as far as it is known to be text
    for operation, argument, place in pickletools.genops(content):
        name = operation.name
        if name in _HIDING:
            raise ValueError(f"{name} hides what it calls")
        if name in _PUTS:
            index = len(memo) if name == "MEMOIZE" else int(argument)
            if not 0 <= index <= len(content):  # unpickling would take memory for all places before it
                raise ValueError(f"{name} of place {index}")
            memo[index] = recent[-1] if recent else None
        elif name in _GETS:
            recent.append(memo.get(int(argument)))
        elif name in _TEXTS:
            recent.append(argument)
        elif name == "STACK_GLOBAL":
            if len(recent) < 2 or None in recent[-2:]:
                raise ValueError("STACK_GLOBAL hides what it calls")
            yield f"{recent[-2]} {recent[-1]}"
            recent.clear()
        else:
            if name == "GLOBAL":
                if not content.startswith(argument.replace(" ", "\n", 1).encode() + b"\n", place + 1):
                    raise ValueError(f"GLOBAL {argument!r} is written with escapes")  # which unpickling doesn't read
                yield argument
            recent.clear()


def _shown(name: str) -> str:
    return name.replace(" ", ".", 1)[:80] if name.isprintable() else repr(name)[:80]


class _StandIn:
    """Takes no arguments and no state; subclasses say what they take. Having `__setstate__`, none can be changed."""

    def __new__(cls) -> "_StandIn":
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        raise ValueError(f"{type(self).__name__} with a state")


class _Dtype(_StandIn):
    def __new__(cls, code: object, *_copy_and_align: object) -> "_StandIn":
        if not (isinstance(code, str) and re.fullmatch("[biuf][1248]", code)):
            raise ValueError(f"dtype {code!r} is no plain number")
        return object.__new__(cls)

    def __setstate__(self, state: tuple) -> None:
        if state[2:5] != (None, None, None) or any(state[7:]):
            raise ValueError("a dtype with fields or flags")


class _Array(_StandIn):
    def __setstate__(self, state: tuple) -> None:
        _version, _shape, dtype, _fortran, content = state
        if not (isinstance(dtype, _Dtype) and isinstance(content, str | bytes)):
            raise ValueError("an array of something else than numbers")


class _Reconstruct(_StandIn):
    def __new__(cls, kind: object, _shape: object, _code: object) -> "_StandIn":
        if kind is not _Array:
            raise ValueError("_reconstruct of something else than an array")
        return _Array()


class _Matrix(_StandIn):
    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ValueError("a matrix without its parts")


class _Object(_StandIn):
    pass


class _Reconstructor(_StandIn):
    """How protocols 0 and 1 write a matrix."""

    def __new__(cls, kind: object, base: object, _state: None) -> "_StandIn":
        if (kind, base) != (_Matrix, _Object):
            raise ValueError("_reconstructor of something else than a matrix")
        return _Matrix()


class _DictOfLists(_StandIn, dict):
    def __new__(cls, make: object) -> "_StandIn":
        if make is not list:
            raise ValueError("a dictionary of something else than lists")
        return dict.__new__(cls)

    def __init__(self, _make: object) -> None:
        pass


_STAND_INS: dict[str, type] = {
    "__builtin__ list": list,  # as Python 2 wrote it
    "__builtin__ object": _Object,
    "builtins list": list,
    "builtins object": _Object,
    "collections defaultdict": _DictOfLists,
    "copy_reg _reconstructor": _Reconstructor,
    "copyreg _reconstructor": _Reconstructor,
    "numpy dtype": _Dtype,
    "numpy ndarray": _Array,
    "numpy._core.multiarray _reconstruct": _Reconstruct,
    "numpy.core.multiarray _reconstruct": _Reconstruct,
    "scipy.sparse._csr csr_matrix": _Matrix,
    "scipy.sparse.csr csr_matrix": _Matrix,
}


class _Rehearsal(pickle.Unpickler):
    """Builds stand-ins, and nothing else."""

    def find_class(self, module: str, name: str) -> type:
        return _STAND_INS[f"{module} {name}"]
