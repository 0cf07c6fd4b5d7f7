"""Which files a configuration is made of: the base of its kind, then what differs for a dataset.

configs/base/wide.yaml      what is alike
configs/actor/wide.yaml     what differs on actor; where nothing does, there is no such file
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from spx.dataset_names import OWN, PUBLISHED

CONFIGS = "configs"
BASE, OVERLAYS, TUNE = "base", "overlays", "tune"
"""Folders beside the datasets' own."""
CONFIG_HELP = (
    "File of settings; several are composed from left to right. Before a file of a dataset's folder, such as "
    "configs/actor/wide.yaml, comes by itself the base of its kind, configs/base/wide.yaml."
)
CONFIG_OPTIONS = ("--config", "-c")
SHORT = re.compile(r"-c[^=]")
"""`-cFILE`, as argparse takes it too."""


def found_configs(folder: str | Path = CONFIGS) -> Path:
    """The folder of all configurations: as it is given; for `configs`, where there is none here, the program's own."""
    here = Path(folder)
    if str(folder) != CONFIGS or (here / BASE).is_dir():
        return here
    package = Path(__file__).parent  # a wheel has them inside, a checkout beside
    return next((own for own in (package / CONFIGS, package.parent / CONFIGS) if (own / BASE).is_dir()), here)


def config_layers(folder: str | Path, kind: str) -> tuple[Path, ...]:
    """The files that there are of one kind, later ones win: that of the base beside a dataset's folder, and its own.

    Args:
        folder: the dataset's, such as `configs/actor`; it need not exist.
        kind: name of the file without `.yaml`.
    """
    folder = Path(folder)
    files = (folder.parent / BASE / f"{kind}.yaml", folder / f"{kind}.yaml")
    return tuple(file for file in files if file.is_file())


def with_bases(arguments: Sequence[str], dataset_option: str = "--data.dataset") -> list[str]:
    """Arguments in which the base of its kind stands before each `--config` file of a dataset's folder.

    A base that is among the files already is not added again. `configs/...` is the program's own folder where there is
    none here (`found_configs`). Where a dataset has no file of that kind, its base and
    its name take the place of the file. All other arguments stay as they are, and so does their order.

    Args:
        arguments: as `spx fit` and `spx analyze` take them.
        dataset_option: that names the dataset.
    """
    files = list(_config_files(arguments))
    given = {_identity(_shipped(file)) for _, file, _ in files}
    found: list[str] = []
    place = 0
    for start, file, end in files:
        found += arguments[place:start]
        own = _shipped(file)
        base, place = _base_of(own), end
        if base is not None and _identity(base) not in given:
            found += ["--config", base]
            given.add(_identity(base))
        there = base is None or os.path.isfile(os.path.expanduser(own))
        as_given = arguments[start:end] if own == file else ["--config", own]
        found += as_given if there else _names_dataset(file, dataset_option)
    return [*found, *arguments[place:]]


def config_files(arguments: Sequence[str]) -> list[str]:
    """The files that make up a configuration, bases included, later ones win."""
    return [file for _, file, _ in _config_files(with_bases(arguments))]


def _config_files(arguments: Sequence[str]) -> Iterator[tuple[int, str, int]]:
    """Each file that is given as a configuration, between the places where its arguments start and end."""
    place = 0
    while place < len(arguments):
        argument, start = arguments[place], place
        name, equals, value = argument.partition("=")
        place += 1
        if name in CONFIG_OPTIONS and equals:
            yield start, value, place
        elif name in CONFIG_OPTIONS and place < len(arguments):
            place += 1
            yield start, arguments[place - 1], place
        elif SHORT.match(argument):
            yield start, argument[2:], place


def _base_of(file: str) -> str | None:
    """The base of the file's kind, where the file lies, or might lie, in a dataset's folder."""
    folder, name = os.path.split(os.path.expanduser(file))
    beside, dataset = os.path.split(os.path.normpath(folder or os.curdir))
    if dataset in (os.curdir, os.pardir, ""):  # its name can't be read off the path as it is written
        beside, dataset = os.path.split(os.path.abspath(folder))
    base = os.path.join(beside, BASE, name)
    if dataset in (BASE, OVERLAYS, TUNE) or not os.path.isfile(base) or _identity(base) == _identity(file):
        return None
    return base if os.path.isdir(folder or os.curdir) or dataset in PUBLISHED else None


def _names_dataset(file: str, option: str) -> list[str]:
    dataset = os.path.basename(os.path.dirname(os.path.abspath(os.path.expanduser(file))))
    return [] if dataset == OWN else [option, dataset]


def _shipped(file: str) -> str:
    """The file of the program's own that a path such as configs/actor/wide.yaml means, where this folder has none."""
    first, _, rest = os.path.normpath(file).partition(os.sep)
    folder = found_configs()
    if first != CONFIGS or str(folder) == CONFIGS or os.path.exists(file):
        return file
    return os.path.join(folder, rest)


def _identity(file: str) -> str:
    return os.path.realpath(os.path.expanduser(file))
