"""Where a run lies, `<runs_dir>/<dataset>/<name>/version_N/`, and what its files are called."""

import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spx.errors import ArtifactError, ConfigError
from spx.files import read_json, reason

if TYPE_CHECKING:
    from lightning import Trainer

CONFIG_FILE = "config.yaml"
RECORD_FILE = "run.json"
SCORES_FILE = "scores.safetensors"
TRIAL_FILE = "validation.csv"
"""Of a trial of `spx tune`: the validation metric after each epoch."""
TUNED_FILE = "tuned.yaml"
"""What `spx tune` chose, in the dataset's folder of configurations or, for a graph of one's own, of runs."""
NODES_FILE = "nodes.parquet"
"""What the run remembers of its nodes (`spx.data.known_nodes`)."""
ESTIMATOR_FOLDER = "estimator"
"""Of a run of stage 2: the network of stage 1, whose scores it draws by (`spx.training.kept_estimator`)."""
SETTINGS_FILE = "study.json"
"""Written into a run's folder by a study before the run starts: what it is run with."""
BEST_CHECKPOINT = "checkpoints/best.ckpt"
LAST_CHECKPOINT = "checkpoints/last.ckpt"
LOCK_FILE = ".lock"
INSIDE = "inside"
"""Value of --resume by which all that a run writes stays in its folder."""
DAMAGED = "damaged"
"""Beside the runs: folder of those that a study set aside."""


def run_folder(trainer: "Trainer") -> Path:
    """The run's folder: the command line's, wherever loggers write; from Python, where the first logger does.

    Call it on all ranks: it is broadcast.
    """
    return trainer.strategy.broadcast(own_run_folder(trainer) or Path(trainer.log_dir or trainer.default_root_dir))


def own_run_folder(trainer: "Trainer") -> Path | None:
    """The folder that the command line gave to the run on this rank; None from Python. Ranks may differ."""
    folders = (getattr(callback, "run_folder", None) for callback in trainer.callbacks)
    return next((folder for folder in folders if folder is not None), None)


def recorded_schema(folder: str | Path) -> dict[str, Any] | None:
    """How the run read the columns of its table; None: it had none.

    Raises:
        ArtifactError: it isn't finished.
    """
    record = read_json(Path(folder) / RECORD_FILE)
    if not isinstance(record, dict):
        raise ArtifactError(f"There is no finished run {folder}: it has no {RECORD_FILE}. Give another.")
    return record.get("schema")


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


def version_numbers(folder: str | Path) -> list[int]:
    """The numbers of the runs in `folder`, those that were set aside as damaged too: a number is given once."""
    places = [*Path(folder).glob("version_*"), *Path(folder, DAMAGED).glob("version_*")]
    matches = (re.fullmatch(r"version_(\d+)", path.name) for path in places)
    return [int(match[1]) for match in matches if match]


def next_version(folder: str | Path) -> int:
    """The number after the highest `version_N` in `folder`."""
    return max(version_numbers(folder), default=-1) + 1


def resume_arguments(folder: str | Path) -> list[str]:
    """Arguments of `spx` that go on with the run in `folder` where its last checkpoint left off.

    Raises:
        ConfigError: there is no such run.
    """
    file = Path(folder) / CONFIG_FILE
    place = Path(os.path.abspath(folder))
    number = place.name.removeprefix("version_")
    if not os.path.isfile(file) or not number.isdigit():
        raise ConfigError(
            f"{folder} is no run's folder: it holds no {CONFIG_FILE}, or isn't called version_N. "
            "Give one such as lightning_logs/actor/wide/version_0."
        )
    return [
        *("fit", "--config", str(file), "--version", number, "--resume", INSIDE),
        *("--name", place.parent.name, "--runs_dir", str(place.parents[2])),
    ]


def resume_command(folder: str | Path) -> str:
    """What to type to go on with the run by a configuration that is one's own code."""
    arguments = ["true" if argument == INSIDE else argument for argument in resume_arguments(folder)]
    return f"spx {shlex.join(arguments)}"


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
