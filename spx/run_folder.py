"""Where a run lies, `<runs_dir>/<dataset>/<name>/version_N/`, and what its files are called."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spx.errors import ConfigError
from spx.files import reason

if TYPE_CHECKING:
    from lightning import Trainer

CONFIG_FILE = "config.yaml"
RECORD_FILE = "run.json"
SCORES_FILE = "scores.safetensors"
SETTINGS_FILE = "study.json"
"""Written into a run's folder by a study before the run starts: what it is run with."""
BEST_CHECKPOINT = "checkpoints/best.ckpt"
LAST_CHECKPOINT = "checkpoints/last.ckpt"
LOCK_FILE = ".lock"


def run_folder(trainer: "Trainer") -> Path:
    """The run's folder: the command line's, wherever loggers write; from Python, where the first logger does.

    Call it on all ranks: it is broadcast.
    """
    return trainer.strategy.broadcast(own_run_folder(trainer) or Path(trainer.log_dir or trainer.default_root_dir))


def own_run_folder(trainer: "Trainer") -> Path | None:
    """The folder that the command line gave to the run on this rank; None from Python. Ranks may differ."""
    folders = (getattr(callback, "run_folder", None) for callback in trainer.callbacks)
    return next((folder for folder in folders if folder is not None), None)


def claim_version(folder: str | Path) -> Path:
    """Make the next free `version_N` in `folder`: of several processes at once, each gets another.

    Raises:
        ConfigError: the folder can't be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = next_version(folder)
        while True:
            try:
                (claimed := folder / f"version_{number}").mkdir()
                return claimed
            except FileExistsError:
                number += 1
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} can't be written: {reason(error)}. Choose another with --runs_dir."
        ) from error


def next_version(folder: str | Path) -> int:
    """The number after the highest `version_N` in `folder`."""
    numbers = [path.name.removeprefix("version_") for path in Path(folder).glob("version_*")]
    return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


def resume_arguments(folder: str | Path) -> list[str]:
    """Arguments of `spx` that go on with the run in `folder` where its last checkpoint left off.

    Raises:
        ConfigError: there is no such run.
    """
    folder = Path(folder)
    number = folder.name.removeprefix("version_")
    if not (folder / CONFIG_FILE).is_file() or not number.isdigit():
        raise ConfigError(
            f"{folder} is no run's folder: it holds no {CONFIG_FILE}, or isn't called version_N. "
            "Give one such as lightning_logs/actor/wide/version_0."
        )
    runs_dir = folder.absolute().parents[2]
    return [
        *("fit", "--config", str(folder / CONFIG_FILE), "--version", number, "--resume", "true"),
        *("--name", folder.absolute().parent.name, "--runs_dir", str(runs_dir)),
    ]


def check_writable(folder: str | Path, option: str = "--runs_dir") -> None:
    """Make the folder if need be and write a file into it; `option` is the one that names it.

    Raises:
        ConfigError: that is impossible.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} can't be written: {reason(error)}. Choose another with {option}."
        ) from error
