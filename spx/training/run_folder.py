"""Where a run lies: `<runs_dir>/<dataset>/<name>/version_N/`."""

import os
import tempfile
from pathlib import Path

from lightning import Trainer

from spx.errors import ConfigError


def run_folder(trainer: Trainer) -> Path:
    """The run's folder. Call it on all ranks: it is broadcast."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def next_version(folder: str | Path) -> int:
    """The number after the highest `version_N` in `folder`."""
    numbers = [path.name.removeprefix("version_") for path in Path(folder).glob("version_*")]
    return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


def check_writable(folder: str | Path) -> None:
    """Make the folder if need be and write a file into it.

    Raises:
        ConfigError: that is impossible.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise ConfigError(f"The folder {folder} can't be written: {reason}. Choose another with --runs_dir.") from error
