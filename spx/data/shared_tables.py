"""Tables that the processes of one machine draw together: each some rows, all in the same memory."""

import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import lightning as L
import numpy
import torch

from spx.errors import SpxError
from spx.files import reason, reserve
from spx.graph.sampling import LazyTable, NeighborTable
from spx.kernels.compiled_rows import row_ranges

PLACES = (Path("/dev/shm"), Path(tempfile.gettempdir()))
"""Where tables may lie: in memory, else on a disk whose pages are shared as well."""

BYTES_A_SLOT = 5
"""Of a table: the neighbour, int32, and the type of the edge."""

LOOKS_EVERY, ASKS_WHO_LIVES_EVERY = 0.001, 1.0


class SharedTables:
    """A table is a file that all processes map while it is drawn, and that has no name any more once it is.

    Every process draws the rows of its share, which hold about as many edges, and waits for the others. All processes
    of the machine must draw the same tables; in which order doesn't matter.

    Args:
        folder: that all of them see; the files lie there.
        process, processes: this one's number on the machine, from 0, and how many there are.
    """

    def __init__(self, folder: Path, process: int, processes: int):
        self.folder, self.process, self.processes = folder, process, processes
        self._stopped, self._drawn = threading.Event(), Counter()
        self._remove = weakref.finalize(self, shutil.rmtree, folder, True) if process == 0 else None  # at exit, too

    def join(self) -> None:
        """Say who draws this share, so that the others don't wait for a process that has ended."""
        (self.folder / f"process-{self.process}").write_text(str(os.getpid()))

    def draw(self, name: str, table: LazyTable) -> NeighborTable:
        """The whole table, the same as `table.whole()`.

        Args:
            name: of the draw and its layer. Where it is drawn again, all processes do so.
            table: what is drawn.

        Raises:
            SpxError: another process of the machine has ended, or the disk is full.
        """
        self._drawn[name] += 1
        path = self.folder / f"{name}-{self._drawn[name]}"  # never the one before, which still has its name
        try:
            return self._draw(path, table)
        except OSError as error:
            raise SpxError(
                f"{path}, where the processes of this machine share a table, can't be used: {reason(error)}. Free "
                "space there, and go on with spx resume RUN."
            ) from error

    def _draw(self, path: Path, table: LazyTable) -> NeighborTable:
        num_nodes, k = table.graph.num_nodes, table.k
        slots = num_nodes * k
        size = BYTES_A_SLOT * slots
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            reserve(handle, size + self.processes)
            mapped = torch.from_numpy(numpy.memmap(path, numpy.uint8, "r+", 0, (size,)))
            neighbors = mapped[: 4 * slots].view(torch.int32).view(num_nodes, k)
            edge_type = mapped[4 * slots :].view(num_nodes, k)
            shares = row_ranges(table.graph.indptr, self.processes)
            if self.process < len(shares):
                table.fill(NeighborTable(neighbors, edge_type), *shares[self.process])
            os.pwrite(handle, b"\1", size + self.process)
            self._wait(lambda: os.pread(handle, self.processes, size))
        finally:
            os.close(handle)
        if self.process == 0:
            path.unlink()  # the mapped memory stays until the last table is gone
        return NeighborTable(neighbors, edge_type)

    def _wait(self, drawn: Callable[[], bytes]) -> None:
        asked = time.monotonic()
        while not all(shares := drawn()):
            if self._stopped.wait(LOOKS_EVERY):
                raise SpxError("The draw was given up, since the run is over.")
            if time.monotonic() - asked > ASKS_WHO_LIVES_EVERY:
                asked = time.monotonic()
                self._ask_who_lives(shares)

    def _ask_who_lives(self, shares: bytes) -> None:
        for process, done in enumerate(shares):
            pid = int((self.folder / f"process-{process}").read_text())
            try:
                if not done:
                    os.kill(pid, 0)
            except ProcessLookupError as error:
                raise SpxError(
                    f"Process {pid} has ended, which draws share {process + 1} of {self.processes} of this machine's "
                    "tables. Its own message says why; go on with spx resume RUN."
                ) from error

    def stop(self) -> None:
        """End this process's part: what is being drawn is given up, and the folder goes."""
        self._stopped.set()
        if self._remove is not None:
            self._remove()


def shared_tables(trainer: L.Trainer | None, num_bytes: int) -> SharedTables | None:
    """For the processes of this machine that train together; None where there is one, or no place for the tables.

    To be called by all ranks at once.

    Args:
        trainer: of the run.
        num_bytes: of all the tables that lie there at a time.
    """
    if trainer is None or trainer.num_devices == 1 or os.name != "posix":
        return None
    token = trainer.strategy.broadcast(uuid.uuid4().hex)
    name = f"spx-tables-{token}-{trainer.node_rank}"
    if trainer.local_rank == 0:
        for place in PLACES:
            with suppress(OSError):
                if shutil.disk_usage(place).free > 2 * num_bytes:
                    (place / name).mkdir(0o700)
                    break
    trainer.strategy.barrier("a folder for the tables")
    folders = [place / name for place in PLACES if (place / name).is_dir()]
    shared = SharedTables(folders[0], trainer.local_rank, trainer.num_devices) if folders else None
    if shared is not None:
        shared.join()
    everywhere = trainer.strategy.reduce_boolean_decision(shared is not None)  # after which all have joined
    return shared if everywhere else None
