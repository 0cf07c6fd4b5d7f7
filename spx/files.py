"""Files that are whole or not there: written beside their place, brought to disk, renamed."""

import contextlib
import json
import logging
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path`, empty; what was written into it takes the place of `path` in one step.

    A process that is killed, a full disk or an exception leaves the old file, or none, and at most a temporary file,
    which the next writer of `path` removes. The folder is made if need be. Where others may write to the folder, no
    name can be guessed, and no link that they laid is followed; what they exchange meanwhile is refused.

    Raises:
        OSError: the folder can't be written, the disk is full, or the temporary file is another at the end.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.{_host()}.", dir=path.parent)
    temporary = Path(name)
    try:
        yield temporary
        if not os.path.samestat(os.fstat(handle), os.lstat(temporary)):
            raise OSError(f"{temporary} was exchanged for another file while it was written")
        os.chmod(handle, path.parent.stat().st_mode & 0o666)  # who may read the folder may read the file
        os.fsync(handle)
        os.replace(temporary, path)
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def reserve(handle: int, size: int) -> None:
    """Give an open file this size. A disk that is full says so now, where it can: a mapped page couldn't.

    Raises:
        OSError: the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    os.truncate(handle, size)


def write_json(path: str | Path, content: object) -> None:
    """Write `content` by `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """What the file holds; None where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError):
        return None


def remove_leftovers(path: Path) -> None:
    """Remove what writers of `path` left that are no longer alive, and say so.

    Of another machine that shares the disk nothing is removed: which of its processes live can't be known here.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)(?:\.{re.escape(_host())}\.\w+)?")
    for file in path.parent.glob(f".{glob_escaped(path.name)}.*"):
        match = pattern.fullmatch(file.name)
        if match and not _alive(int(match[1])):
            with contextlib.suppress(OSError):
                file.unlink()
                logger.warning("An earlier write of %s was cut off; its remains were removed.", path)


def glob_escaped(name: str) -> str:
    """The name with what a pattern of `glob` would read otherwise made plain."""
    return re.sub(r"([*?[])", r"[\1]", name)


def reason(error: OSError) -> str:
    """Why a file can't be written, in the system's words."""
    return os.strerror(error.errno) if error.errno else str(error)


def _host() -> str:
    """This machine's name, as a part of a file's."""
    return re.sub(r"\W+", "-", platform.node())[:32]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
