"""Imports all that a fit does, for the process that runs are forked from (`spx.experiments.processes`).

Nothing here may start threads or a GPU's context, which no fork takes along.
"""

import atexit
import contextlib
import ctypes
import os
import signal
from importlib import import_module

from spx.__main__ import collector_at_rest
from spx.quiet import less_noise
from spx.resident import mapped_pages

MODULES = ("spx.cli", "numba", "torch.utils.tensorboard")
PR_SET_PDEATHSIG = 1

environment = dict(os.environ)
"""Of the imports: a run that is given another one can't use what libraries made of this."""


def leave() -> None:
    """The end of the server, which has nothing to bring to an end and would take a second to forget all."""
    os._exit(0)


@contextlib.contextmanager
def ended_by_others():
    """Ctrl-C or the end of the study end this process at once, without a word."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        yield
    finally:
        prctl(PR_SET_PDEATHSIG, 0)
        signal.signal(signal.SIGINT, before)


less_noise()
with ended_by_others(), collector_at_rest(), contextlib.suppress(Exception):  # which the run will meet, and say so
    for _name in MODULES:
        import_module(_name)
    import_module("numba.core.registry").cpu_target.target_context.refresh()  # half a second, before the first kernel

pages = mapped_pages()
"""Of libraries, which a forked process maps again."""
atexit.register(leave)
