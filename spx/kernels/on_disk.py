"""Compiled kernels kept on disk by all that they are made of, so that one process compiles and the others find them.

numba's own cache knows the file that holds a kernel and the kernel's closure. What a kernel inlines from other files,
it doesn't watch: an old kernel would go on after its parts have changed. Here the name of the kernel's files has a
digest of every source of this package, which holds the compiler's options too, and of the closure. So kernels of other
sources or for other widths never meet in one file, not even where two processes write at once.
"""

import contextlib
import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from numba.core.caching import CompileResultCacheImpl, FunctionCache

from spx.kernels.compiled_rows import LOADED_SOURCES, digest_of_sources

logger = logging.getLogger(__name__)


class KernelFiles(CompileResultCacheImpl):
    """Names a kernel's files; numba chooses their folder."""

    def __init__(self, py_func: Callable):
        closure = [cell.cell_contents for cell in py_func.__closure__ or ()]
        self._made_of = hashlib.sha256(f"{LOADED_SOURCES} {closure!r}".encode()).hexdigest()[:16]
        super().__init__(py_func)

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{self._made_of}"


class KernelCache(FunctionCache):
    """A kernel's files. A damaged one is made anew, and one that can't be written is left out."""

    _impl_class = KernelFiles

    def load_overload(self, sig, target_context):
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling a damaged file meets
            with contextlib.suppress(OSError):
                self.flush()
        if found is None:
            _say_once(str(self.cache_path))
        return found

    def save_overload(self, sig, data) -> None:
        with contextlib.suppress(Exception):  # a full disk, or an index that could be neither read nor emptied
            super().save_overload(sig, data)


@functools.cache
def _say_once(folder: str) -> None:
    """So that a bar that stands at its start for half a minute is understood."""
    logger.warning(
        "Compiling kernels for this processor, kept in %s (NUMBA_CACHE_DIR sets another folder): once, up to a minute.",
        folder,
    )


def keep(dispatcher) -> None:
    """Let numba's dispatcher find its kernel on disk and keep it there, where a folder for it can be written.

    Sources that have changed since they were loaded are no key to what this process compiles: nothing is kept then.
    """
    if digest_of_sources(Path(__file__).parent) == LOADED_SOURCES:
        with contextlib.suppress(RuntimeError):  # no folder
            dispatcher._cache = KernelCache(dispatcher.py_func)
