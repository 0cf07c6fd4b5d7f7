"""The next draw, made in a thread while the present one is trained on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from spx.data.core_nodes import Tables


class DrawAhead:
    """At most one draw that is being made. What a draw gives is a function of its number, so it doesn't matter where
    it is made; the kernels hold no lock of the interpreter's."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._running: tuple[int, Future[Tables]] | None = None

    def start(self, number: int, draw: Callable[[], Tables]) -> None:
        """Begin the draw of that number, unless it was begun."""
        if self._running is None or self._running[0] != number:
            self._pool = self._pool or ThreadPoolExecutor(1, "draw")
            self._running = (number, self._pool.submit(draw))

    def take(self, number: int) -> Tables | None:
        """The draw of that number, as soon as it is made; None where another or none was begun."""
        running, self._running = self._running, None
        return running[1].result() if running is not None and running[0] == number else None

    def stop(self) -> None:
        """Forget the draw; one that is being made goes on to its end in vain."""
        self._running = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
