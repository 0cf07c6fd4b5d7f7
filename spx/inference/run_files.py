"""A run's folder, read without running anything that it names."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spx.data.unchanged import data_state
from spx.errors import ArtifactError, ConfigError
from spx.files import read_json
from spx.run_folder import BEST_CHECKPOINT, CONFIG_FILE, LAST_CHECKPOINT, RECORD_FILE
from spx.torch_files import read_checkpoint
from spx.training.task import STATE

EXAMPLE = "lightning_logs/actor/wide/version_0"


class RunFiles(NamedTuple):
    """What a finished run wrote down.

    Args:
        folder: of the run.
        config: `config.yaml`, what it was asked for; `model` and `data` are dicts.
        record: `run.json`, what it took and reached.
        checkpoint: that a user named in place of a folder, or that says both where neither file is there.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    checkpoint: Path | None = None

    @property
    def settings_file(self) -> Path:
        """Where the settings are from, for errors."""
        file = self.folder / CONFIG_FILE
        return file if self.checkpoint is None or file.is_file() else self.checkpoint

    def locate(self, path: str | Path) -> list[Path]:
        """Where a path of the run may lie now, existing places only: where the run itself found it, from the present
        folder, or beside the run's folder as before if both were moved together."""
        started_in = Path(str(self.record.get("cwd") or "."))
        path = Path(path).expanduser()
        then = started_in / path
        places = [then, path]
        if recorded := self.record.get("folder"):
            places.append(self.folder / os.path.relpath(then, started_in / str(recorded)))
        return [Path(place) for place in dict.fromkeys(map(os.path.abspath, places)) if os.path.exists(place)]


def read_run(folder: str | Path, checkpoint: str | Path = "best") -> RunFiles:
    """Read a run's settings and record; of a run that was made from Python and has neither, what its checkpoint says.

    Args:
        folder: of the run, or the path of one of its checkpoints (.ckpt).
        checkpoint: which one will be read, see `find_checkpoint`.

    Raises:
        ArtifactError: no such folder, not a run's, damaged, or the run isn't finished.
        ConfigError: two checkpoints are given.
    """
    folder = Path(folder).expanduser()
    if os.path.isfile(folder) and folder.suffix == ".ckpt":  # other than pathlib's, never raises
        if checkpoint != "best":
            raise ConfigError(f"Two checkpoints are given, {folder} and {checkpoint}. Leave the second out.")
        return _run_of_checkpoint(folder)
    if not os.path.isdir(folder):
        raise ArtifactError(f"There is no folder {folder}. Give a run's, such as {EXAMPLE}, or a .ckpt file.")
    if not (folder / CONFIG_FILE).is_file():
        return _described_run(_checkpoint_in(folder, checkpoint), folder)
    config = _read_config(folder / CONFIG_FILE)
    if not (folder / RECORD_FILE).is_file():
        raise _unfinished(folder, RECORD_FILE)
    record = read_json(folder / RECORD_FILE)
    if not isinstance(record, dict):
        raise ArtifactError(f"{folder / RECORD_FILE} is damaged. Restore it from a copy, or run anew.")
    return RunFiles(folder, config, record)


def _run_of_checkpoint(path: Path) -> RunFiles:
    """The run in whose `checkpoints/` it lies, if that wrote down its settings; else what the checkpoint says."""
    folder = path.absolute().parents[1]
    if all((folder / name).is_file() for name in (CONFIG_FILE, RECORD_FILE)):
        return read_run(folder)._replace(checkpoint=path)
    return _described_run(path, path.parent)


def _checkpoint_in(folder: Path, checkpoint: str | Path) -> Path:
    """Of a folder without settings: "best" is its only checkpoint, if none has that name."""
    path = folder / {"best": BEST_CHECKPOINT, "last": LAST_CHECKPOINT}.get(str(checkpoint), checkpoint)
    if os.path.isfile(path) or checkpoint != "best":
        return path
    found = sorted([*folder.glob("checkpoints/*.ckpt"), *folder.glob("*.ckpt")])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path.relative_to(folder)) for path in found[:8])
        raise ArtifactError(
            f"{folder} holds {len(found)} checkpoints and none is called best.ckpt: {names}. Give the path of one."
        )
    inside = sorted(path.name for path in folder.glob("version_*"))
    hint = f"one of those in it, such as {folder / inside[-1]}" if inside else f"one such as {EXAMPLE}"
    raise ArtifactError(f"{folder} is no run's folder: it holds no {CONFIG_FILE} and no checkpoint. Give {hint}.")


def _described_run(path: Path, folder: Path) -> RunFiles:
    """A run as its checkpoint describes it, which a fit from Python leaves alone.

    Raises:
        ArtifactError: the checkpoint is damaged, or of a version that wrote no description, or of foreign data.
    """
    content = read_checkpoint(path)
    model = content[STATE].get("model") if isinstance(content.get(STATE), dict) else None
    kind, state = data_state(content)
    settings = content.get("datamodule_hyper_parameters")
    if not (isinstance(model, str) and isinstance(settings, dict) and state):
        raise ArtifactError(
            f"{path} doesn't say what it was trained on, and there is no {CONFIG_FILE} beside it: it is of an older "
            "version of spx, or of data of another kind. Fit anew, with spx.data and spx.training."
        )
    settings = {name: value for name, value in settings.items() if not str(name).startswith("_")}
    config = {
        "model": {"class_path": f"spx.training.{model}"},
        "data": {"class_path": f"spx.data.{kind}", "init_args": settings},
        "runs_dir": settings.get("runs_dir"),
    }
    record = {
        "data_fingerprint": state["fingerprint"],
        "scores": state.get("scores_path"),
        "seed": state["settings"].get("seed"),
    }
    record |= {name: state.get(name) for name in ("dataset", "scores_fingerprint", "class_names", "cwd")}
    return RunFiles(folder, config, record, path)


def find_checkpoint(files: RunFiles, checkpoint: str | Path = "best") -> Path:
    """The path of a checkpoint.

    Args:
        files: of the run.
        checkpoint: "best" on validation, "last", or the path of a .ckpt file.

    Raises:
        ArtifactError: there is none.
    """
    if files.checkpoint is not None:
        return files.checkpoint
    if checkpoint == "best":
        best = files.folder / BEST_CHECKPOINT
        places = [best] if best.is_file() else files.locate(str(files.record.get("checkpoint") or BEST_CHECKPOINT))
        if not places or not os.path.isfile(places[0]):
            raise _unfinished(files.folder, BEST_CHECKPOINT)
        return places[0]
    path = files.folder / LAST_CHECKPOINT if checkpoint == "last" else Path(checkpoint).expanduser()
    if not os.path.isfile(path):
        raise ArtifactError(f"There is no checkpoint {path}. Give 'best', 'last', or the path of a .ckpt file.")
    return path


def _unfinished(folder: Path, missing: str) -> ArtifactError:
    if (folder / LAST_CHECKPOINT).is_file():
        mend = f"Go on with it: spx resume {folder}"
    else:
        mend = "Run it again; the folders of `spx test` and `spx predict` hold no network, give the fit's."
    return ArtifactError(f"The run {folder} isn't finished: it has no {missing}. {mend}")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text())
        parts = [config["model"], config["data"]]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} is damaged, or none of a run's ({type(error).__name__}). Restore it from a copy, or run anew."
        ) from error
    if not all(isinstance(part, dict) and isinstance(part.get("init_args") or {}, dict) for part in parts):
        raise ArtifactError(f"{path} is damaged: model and data must name a class and its arguments. Run anew.")
    return config
