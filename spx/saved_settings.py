"""What `spx resume` takes from a run's folder: an allow-list, before anything is parsed, imported or built.

A run's `config.yaml` is data, whoever wrote it. LightningCLI would build any class that it names, at any depth, and
imports one as soon as it reads its name. So each setting is looked at first: known groups, known classes, plain values
where their signatures take nothing else, and null wherever a class or a function could stand. What a resumed run
writes stays inside its folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from spx.dataset_names import run_name
from spx.errors import ConfigError
from spx.run_folder import CONFIG_FILE, resume_command
from spx.saved_places import FOLDERS, Refused, check_file_name, check_inside, check_label, check_links, cut, shown
from spx.saved_state import check_state
from spx.signatures import is_default, is_plain_type, parameters_of, spellings

PLAIN = ("seed_everything", "name", "runs_dir", "version", "resume", "then_test", "calibrate", "ckpt_path")
PLAIN += ("return_predictions", "init_from")
"""Settings of the command that are a word or a number; the first ones are given anew by `spx resume`."""

FILE_NAMES = ("filename",)
"""Parameters that follow a folder's, and may have parts to be filled in: {epoch:02d}."""
LABELS = ("name", "version", "sub_dir", "project", "id", "experiment_name", "run_id", "experiment_key")
"""Parameters of loggers that become parts of a path."""
DESTINATIONS = ("api_key", "tracking_uri", "artifact_location", "model_registry")
"""Parameters that send figures elsewhere."""

CALLBACKS = (
    *("BatchSizeFinder", "DeviceStatsMonitor", "EMAWeightAveraging", "EarlyStopping", "GradientAccumulationScheduler"),
    *("LambdaCallback", "LearningRateFinder", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary"),
    *("OnExceptionCheckpoint", "RichModelSummary", "RichProgressBar", "SpikeDetection", "StochasticWeightAveraging"),
    *("TQDMProgressBar", "Timer", "WeightAveraging"),
)
LOGGERS = ("CSVLogger", "CometLogger", "LitLogger", "MLFlowLogger", "TensorBoardLogger", "WandbLogger")
PROFILERS = ("AdvancedProfiler", "PassThroughProfiler", "PyTorchProfiler", "SimpleProfiler", "XLAProfiler")
NAMED_PROFILERS = ("simple", "advanced", "pytorch", "xla")

MOST_VALUES, DEEPEST = 10_000, 20
"""Of a configuration. A few lines of YAML can stand for more values than memory holds."""


def check_saved(folder: str | Path) -> None:
    """Refuse a run's configuration that holds more than settings.

    Args:
        folder: of the run.

    Raises:
        ConfigError: the file can't be read, or names a setting, a class or a place that isn't allowed: the first one.
    """
    folder = Path(os.path.abspath(folder))
    file = folder / CONFIG_FILE
    try:
        settings = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(
            f"{file} can't be read ({type(error).__name__}). Restore it from a copy, or run anew."
        ) from error
    try:
        _check_size(settings)
        if not isinstance(settings, dict):
            raise Refused("it is no mapping of settings")
        _Check(folder).settings(settings)
        check_links(folder)
        check_state(folder)
    except Refused as refused:
        raise ConfigError(
            f"{folder} can't be resumed as it is: {refused}. A run's folder is data; a configuration that you name "
            f"yourself is your own code: {resume_command(folder)}"
        ) from None


class _Check:
    """Walks through the settings of the run in `folder`.

    Args:
        folder: of the run.
        places_are_kept: whether someone else sees to it that folders are inside of the run's.
    """

    def __init__(self, folder: Path, places_are_kept: bool = False):
        self.folder, self.places_are_kept = folder, places_are_kept

    def settings(self, settings: dict[Any, Any]) -> None:
        """All of `config.yaml`."""
        models, data, groups, callbacks = _own_classes()
        checks = {name: self.plain for name in PLAIN}
        checks |= {"weights_only": self.weights_only, "trainer": self.trainer(callbacks)}
        checks |= {"model": self.one_of(models), "data": self.one_of(data)}
        checks |= {name: self.group(kind) for name, kind in groups.items()}
        self.each(settings, "", checks)
        self.ckpt_path(settings.get("ckpt_path"))
        self.dataset(settings.get("data"))

    def each(self, values: Any, where: str, checks: dict[str, Any]) -> None:
        """Every value of a mapping by its own check; unknown names are refused."""
        if not isinstance(values, dict):
            raise Refused(f"{where or 'it'} is {shown(values)}, no mapping of settings")
        for name, value in values.items():
            place = f"{where}.{name}" if where else str(name)
            if name not in checks:
                raise Refused(f"{cut(place)} is no setting that a run's folder may give")
            checks[name](value, place)

    def plain(self, value: Any, where: str) -> None:
        """A word, a number or null."""
        if isinstance(value, dict | list):
            raise Refused(f"{where} is {shown(value)}, no plain value")

    def weights_only(self, value: Any, where: str) -> None:
        if value not in (None, True):
            raise Refused(f"{where} is {shown(value)}: a checkpoint's objects could run code")

    def ckpt_path(self, value: Any) -> None:
        if value is not None and (not isinstance(value, str) or "://" in value or "::" in value):
            raise Refused(f"ckpt_path is {shown(value)}, no file of this machine")

    def dataset(self, data: Any) -> None:
        """The folder is found again by the dataset's name."""
        name = data["init_args"].get("dataset") if isinstance(data, dict) and data.get("init_args") else None
        if isinstance(name, str) and run_name(name) != self.folder.parents[1].name:
            raise Refused(
                f"data.init_args.dataset is {shown(name)}, whose runs lie in {run_name(name)}/, not in "
                f"{self.folder.parents[1].name}/"
            )

    def trainer(self, callbacks: list[type]) -> Any:
        """The check of the Trainer's settings."""
        from lightning import Trainer
        from lightning.pytorch import callbacks as known
        from lightning.pytorch import loggers, profilers
        from lightning.pytorch.accelerators import AcceleratorRegistry
        from lightning.pytorch.strategies import StrategyRegistry

        callbacks = [*callbacks, *_found(known, CALLBACKS)]
        checks = self.of_signature(Trainer)
        checks["callbacks"] = self.several(callbacks)
        anywhere = _Check(self.folder, places_are_kept=True)  # the command line brings them back (`--resume inside`)
        checks["logger"] = anywhere.several(_found(loggers, LOGGERS), (None, True, False))
        checks["profiler"] = self.several(_found(profilers, PROFILERS), (None, *NAMED_PROFILERS))
        checks["accelerator"] = self.word("auto", "gpu", *AcceleratorRegistry.available_accelerators())
        checks["strategy"] = self.word("auto", *StrategyRegistry.available_strategies())
        checks["plugins"] = self.nothing
        return lambda values, where: self.each(values, where, checks)

    def group(self, kind: type) -> Any:
        """The check of a class's arguments, where the class is given."""
        return lambda values, where: self.arguments(values, where, kind)

    def one_of(self, kinds: list[type]) -> Any:
        """The check of a class with its arguments, `class_path` and `init_args`."""
        known = {spelling: kind for kind in kinds for spelling in spellings(kind)}

        def check(value: Any, where: str) -> None:
            if not isinstance(value, dict) or not {"class_path"} <= value.keys() <= {"class_path", "init_args"}:
                raise Refused(f"{where} is {shown(value)}, not a class_path and init_args alone")
            path = value["class_path"]
            if not isinstance(path, str) or path not in known:
                names = ", ".join(sorted(kind.__name__ for kind in kinds))
                raise Refused(f"{where}.class_path is {shown(path)}, none of {names}")
            if value.get("init_args") is not None:
                self.arguments(value["init_args"], f"{where}.init_args", known[path])

        return check

    def several(self, kinds: list[type], words: tuple[Any, ...] = (None,)) -> Any:
        """The check of one class or a list of them, or of one of `words`."""
        one, word = self.one_of(kinds), self.word(*words)

        def check(value: Any, where: str) -> None:
            if isinstance(value, list):
                for number, each in enumerate(value):
                    one(each, f"{where}[{number}]")
            elif isinstance(value, dict):
                one(value, where)
            else:
                word(value, where)

        return check

    def word(self, *words: Any) -> Any:
        """The check of one of `words`, which must not be a file's name: jsonargparse would read that file instead."""

        def check(value: Any, where: str) -> None:
            if not any(value is each or (isinstance(value, str) and value == each) for each in words):
                raise Refused(f"{where} is {shown(value)}, none of {', '.join(map(shown, words))}")
            self.no_file(value, where)

        return check

    def no_file(self, value: Any, where: str) -> None:
        if isinstance(value, str) and os.path.isfile(value):
            raise Refused(f"{where} is {value!r}, which is also a file in this folder; run it from another one")

    def nothing(self, value: Any, where: str) -> None:
        if value not in (None, []):
            raise Refused(f"{where} is {shown(value)}, and may only be null")

    def arguments(self, values: Any, where: str, kind: type) -> None:
        """Arguments of a known class: their types, and the places that they name."""
        self.each(values, where, self.of_signature(kind))
        folder = next((values[name] for name in FOLDERS if isinstance(values.get(name), str)), None)
        for name in FILE_NAMES:
            if isinstance(values.get(name), str):
                check_file_name(values[name], f"{where}.{name}", folder or self.folder, self.folder)

    def of_signature(self, kind: type) -> dict[str, Any]:
        """A check for each parameter, those that a logger hands on to TensorBoard's writer included."""
        found = parameters_of(kind)
        if kind.__name__ == "TensorBoardLogger":
            from torch.utils.tensorboard import SummaryWriter

            found = {**parameters_of(SummaryWriter), **found}
            del found["log_dir"]  # the logger's own
        return {name: self.parameter(name, *each) for name, each in found.items()}

    def parameter(self, name: str, annotation: Any, default: Any) -> Any:
        """The check of one parameter: its default, and what is plain where its type is."""
        plain = is_plain_type(annotation) and name not in DESTINATIONS

        def check(value: Any, where: str) -> None:
            if is_default(value, default):
                return None if plain else self.no_file(value, where)
            if value is not None and not plain and not isinstance(value, bool | int | float):
                raise Refused(f"{where} is {shown(value)}, and may only be null or what it is by default")
            _check_nested(value, where)
            if name in FOLDERS and value is not None and not self.places_are_kept:
                return check_inside(value, where, self.folder)
            if name in LABELS and isinstance(value, str):
                return check_label(value, where)
            return None

        return check


def _own_classes() -> tuple[list[type], list[type], dict[str, type], list[type]]:
    """Models, data, the groups of the command, and callbacks that may be listed."""
    from spx.data import AugmentedGraphData, ResampledGraphData
    from spx.inference.writer import PredictionWriter
    from spx.training import AttentionEstimator, Baseline, GCNBaseline, Spexphormer
    from spx.training.callbacks import BestCheckpoint, EarlyEnd, Trial, WeightAverage
    from spx.training.compiling import CompiledLayers
    from spx.training.handover import ScoreHandover
    from spx.training.monitor import AttentionMonitor

    groups = {
        "checkpoint": BestCheckpoint,
        "handover": ScoreHandover,
        "attention": AttentionMonitor,
        "compile": CompiledLayers,
        "predictions": PredictionWriter,
    }
    models = [AttentionEstimator, Spexphormer, Baseline, GCNBaseline]
    data = [AugmentedGraphData, ResampledGraphData]
    return models, data, groups, [WeightAverage, EarlyEnd, Trial, *groups.values()]


def _found(module: Any, names: tuple[str, ...]) -> list[type]:
    """Those of the names that this version of Lightning has."""
    return [getattr(module, name) for name in names if hasattr(module, name)]


def _check_size(settings: Any) -> None:
    """Refuse more values than a configuration has, counted without walking through what stands there twice."""
    count, waiting = 0, [(settings, 0)]
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise Refused(f"it holds more than {MOST_VALUES:,} values, or {DEEPEST} levels of them")
        if isinstance(value, dict | list):
            inside = value.values() if isinstance(value, dict) else value
            waiting += [(each, depth + 1) for each in inside]


def _check_nested(value: Any, where: str) -> None:
    for each in _mappings(value):
        if any(not isinstance(name, str | int) or name in ("class_path", "init_args", "dict_kwargs") for name in each):
            raise Refused(f"{where} is {shown(value)}, no plain value")


def _mappings(value: Any) -> Iterator[dict[Any, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _mappings(each)
