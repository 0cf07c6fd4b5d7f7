"""Nothing half done is ever seen as whole: work in a locked scratch folder, move what is ready."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from spx.errors import DatasetError

logger = logging.getLogger(__name__)

_SCRATCH = ".staging-"


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Lock the dataset folder `home` (made if need be) and give an empty scratch folder inside it.

    One process at a time is in here; the others wait. Scratch folders of killed runs are removed on
    entry, this one on exit. Raises DatasetError where `home` can't be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = _locked(home)
        try:
            _remove_stale(home)
            scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=home))
        except OSError:
            lock.release()
            raise
    except OSError as error:
        raise DatasetError(
            f"the dataset folder {home} can't be written ({error}): "
            "choose another data_dir, or give yourself the right to write there"
        ) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


def move_into_place(finished: Path, final: Path) -> None:
    """Put the finished file at `final` in one step, replacing what is there; its bytes are on disk before.

    Whoever may read the folder may read the file: temporary files start out private.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    finished.chmod(final.parent.stat().st_mode & 0o666)
    with finished.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(finished, final)


def _locked(home: Path) -> FileLock:
    lock = FileLock(home / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("Another process prepares the dataset in %s: waiting for it", home)
        lock.acquire()
    return lock


def _remove_stale(home: Path) -> None:
    for folder in home.glob(f"{_SCRATCH}*"):
        logger.warning("An earlier preparation of the dataset in %s was cut off; its remains are removed", home)
        shutil.rmtree(folder, ignore_errors=True)
