"""Places that a run's configuration names: what a resumed run writes stays inside its folder."""

import os
import re
from pathlib import Path
from typing import Any

FOLDERS = ("dirpath", "path", "save_dir", "root_dir", "dir", "default_root_dir", "exclude_batches_path")
"""Parameters that say where something is written."""


class Refused(Exception):  # noqa: N818 - no failure of its own: the caller says which file it is about
    """What of a configuration isn't allowed."""


def check_inside(value: Any, where: str, folder: Path) -> None:
    """Refuse what is no path below the folder, as it is and as a logger may expand it; links are followed.

    Args:
        value: the path, relative to the present folder.
        where: the setting that gives it.
        folder: of the run.

    Raises:
        Refused: it leads elsewhere.
    """
    if not isinstance(value, str) or "://" in value or "::" in value:
        raise Refused(f"{where} is {shown(value)}, no path of this machine")
    if not is_inside(value, folder):
        raise Refused(f"{where} is {shown(value)}, outside of the run's folder")


def is_inside(value: str, folder: Path) -> bool:
    """Whether a path is the folder's or below it, as it is and as a logger may expand it; links are followed."""
    places = (value, os.path.expandvars(os.path.expanduser(value)))
    if "://" in value or "::" in value:
        return False
    return all(Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder)) for place in places)


def check_label(value: str, where: str) -> None:
    """Refuse a part of a path that leads out of what stands before it.

    Raises:
        Refused: it does.
    """
    parts = value.replace("\\", "/").split("/")
    if value.startswith(("/", "~")) or ".." in parts or "$" in value or "://" in value:
        raise Refused(f"{where} is {shown(value)}, which leads elsewhere")


def check_file_name(value: str, where: str, parent: str | Path, folder: Path) -> None:
    """Refuse a file's name, of a checkpoint, say, that leads out of the folder.

    {epoch} and {val/accuracy:.3f} stand for numbers; in any finer format a path could be written.

    Args:
        value: the name.
        where: the setting that gives it.
        parent: folder that it follows.
        folder: of the run.

    Raises:
        Refused: it leads elsewhere, or has another format.
    """
    bare = re.sub(r"\{[\w/ -]+(:0?[.\d]*[a-zA-Z%]?)?\}", "0", value)
    if set("{}\\") & set(bare):
        raise Refused(f"{where} is {shown(value)}, no plain name")
    check_label(bare, where)
    check_inside(os.path.join(parent, bare), where, folder)


def check_links(folder: Path) -> None:
    """Refuse a symbolic link in the folder that leads out of it: what is written there would land elsewhere.

    Raises:
        Refused: there is one.
    """
    real = os.path.realpath(folder)
    for parent, folders, files in os.walk(real):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(real):
                raise Refused(f"{path} is a symbolic link to {os.path.realpath(path)}, outside of the run's folder")


def shown(value: Any) -> str:
    """The value as a message shows it."""
    return cut(repr(value))


def cut(text: str) -> str:
    """The text's beginning."""
    return text if len(text) <= 100 else f"{text[:100]}..."
