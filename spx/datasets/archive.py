"""Zip files from the network: read in place, never extracted, and refused if they look wrong."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from spx.errors import DatasetError


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose members are plain files under relative paths.

    Raises DatasetError for a file that is no whole zip, a member whose path leads out of the archive,
    a member that is a link, and for members that turn out to be damaged while they are read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _refuse_strange(path, member)
            yield archive
    except (zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path} is not a whole zip file ({error}): delete it and load again") from error


def check_archive(path: Path) -> None:
    """Read the whole zip once. Raises DatasetError as `open_archive` does, also for a wrong checksum."""
    with open_archive(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise DatasetError(f"{path} is damaged: its member {damaged!r} has a wrong checksum")


def find_member(archive: zipfile.ZipFile, ending: str) -> str:
    """The one member of the archive whose path ends in `ending` below its top folder."""
    found = [name for name in archive.namelist() if name == ending or name.endswith(f"/{ending}")]
    if len(found) != 1:
        held = ", ".join(archive.namelist()[:8]) or "nothing"
        raise DatasetError(
            f"{archive.filename} must hold {ending!r} once, not {len(found)} times (it holds {held}): "
            "it is another file than the one expected; delete it and load again"
        )
    return found[0]


def _refuse_strange(path: Path, member: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(member.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in member.filename:
        raise DatasetError(f"{path}: its member {member.filename!r} leads out of it; don't use this file")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DatasetError(f"{path}: its member {member.filename!r} is a link; don't use this file")
