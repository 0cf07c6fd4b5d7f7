"""Signs of life on the error stream, for work that takes more than a moment."""

import threading
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PATIENCE = 2.0
"""Seconds before anything is shown."""


class Phases:
    """A bar of phases, with the present one's name and the time that has passed; off a terminal a line for each phase.

        with Phases(3) as phases:
            phases.next("reading the graph")
            ...

    Args:
        total: number of phases.
        console: to show it on; default: the error stream.
        patience: seconds before anything is shown.
    """

    def __init__(self, total: int, console: Console | None = None, patience: float = PATIENCE):
        self._console = console or Console(stderr=True)
        columns = (SpinnerColumn(), BarColumn(20), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task, self._number, self._name = self._bar.add_task("", total=total), -1, ""
        self._lock, self._shown, self._ended = threading.Lock(), False, False
        self._timer = threading.Timer(patience, self._show)
        self._timer.daemon = True

    def next(self, name: str) -> None:
        """Begin the next phase."""
        with self._lock:
            self._number, self._name = self._number + 1, name
            self._bar.update(self._task, completed=self._number, description=name)
            if self._shown:
                self._say()

    def _show(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._shown = True
            if self._console.is_terminal:
                self._bar.start()
            self._say()

    def _say(self) -> None:
        if not self._console.is_terminal and self._name:
            self._console.print(f"{self._name} ...", soft_wrap=True, highlight=False, markup=False)

    def __enter__(self) -> "Phases":
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
        self._timer.cancel()
        if self._shown and self._console.is_terminal:
            self._bar.stop()
