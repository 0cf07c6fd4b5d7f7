"""Imports all that a fit does, for the process that runs are forked from (`spx.experiments.processes`).

Nothing here may start threads or a GPU's context, which no fork takes along.
"""

import contextlib
import os
import signal
from importlib import import_module

from spx.__main__ import collector_at_rest, less_noise
from spx.resident import mapped_pages

MODULES = ("spx.cli", "numba", "torch.utils.tensorboard")

environment = dict(os.environ)
"""Of the imports: a run that is given another one can't use what libraries made of this."""

less_noise()
_before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C meanwhile ends the process without a word
with collector_at_rest(), contextlib.suppress(Exception):  # which the run will meet, and say so
    for _name in MODULES:
        import_module(_name)
    import_module("numba.core.registry").cpu_target.target_context.refresh()  # half a second, before the first kernel
signal.signal(signal.SIGINT, _before)

pages = mapped_pages()
"""Of libraries, which a forked process maps again."""
