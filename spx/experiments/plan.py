"""What a study will run: which stages, from which files, under which names."""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from spx.configurations import BASE, OVERLAYS, TUNE, config_layers, found_configs
from spx.dataset_names import OWN, PUBLISHED, is_path, run_name
from spx.errors import ConfigError
from spx.run_folder import TUNED_FILE

ANALYSIS = "analysis"
"""Settings of `spx analyze`: no configuration of a run."""
ESTIMATOR = "estimator"
"""Stage 1: its configuration's name, and its key in a summary."""
WIDE = "wide"
"""Stage 2: its default configuration's name, and its key in a summary whatever its configuration."""
TRIAL = "trial"
"""A fit of stage 2 that is never tested: of `spx tune`."""
TUNED = "tuned"
"""The configuration that `spx tune` writes."""
STAGE_ENDINGS = (f".{ESTIMATOR}", f".{WIDE}")


@dataclass(frozen=True)
class Study:
    """What a user asks for.

    Args:
        dataset: name of a published dataset or of a folder in `configs_dir`, or the path of a graph of the user's own.
        seeds, splits: every pair of them is run.
        protocol: split protocol, "public" or "paper".
        config: stage 2's configuration, a file of that folder or of `configs_dir`/base without `.yaml`.
        overlay: name in `configs_dir`/overlays, or none.
        data_dir, runs_dir, configs_dir: folders; of the last `spx.configurations.found_configs`.
        extra: further arguments of both stages' `spx fit`.
        extra_estimator, extra_wide: of one stage's.
    """

    dataset: str
    seeds: tuple[int, ...] = (0,)
    splits: tuple[int, ...] = (0,)
    protocol: str = "public"
    config: str = WIDE
    overlay: str | None = None
    data_dir: str = "data"
    runs_dir: str = "lightning_logs"
    configs_dir: str = "configs"
    extra: tuple[str, ...] = ()
    extra_estimator: tuple[str, ...] = ()
    extra_wide: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "configs_dir", str(found_configs(self.configs_dir)))

    @property
    def name(self) -> str:
        """What the dataset's runs are filed under."""
        return run_name(self.dataset)

    @property
    def configs(self) -> Path:
        """Folder of what differs for the dataset; it need not exist."""
        return Path(self.configs_dir, OWN if is_path(self.dataset) else self.dataset)

    @property
    def folder(self) -> Path:
        """Where the dataset's runs lie."""
        return Path(self.runs_dir) / self.name


@dataclass(frozen=True)
class Stage:
    """One stage of a study, for every seed and split.

    Args:
        kind: "estimator", "wide" or "trial".
        name: of its runs' folder.
        files: configuration files, later ones win.
        arguments: further arguments of `spx fit`.
        settings: what the files say together.
    """

    kind: str
    name: str
    files: tuple[Path, ...]
    arguments: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The stages of a study: one or two; `overlay_changes_method` where its figures are no longer the method's."""

    stages: tuple[Stage, ...]
    overlay_changes_method: bool = False


def make_plan(study: Study) -> Plan:
    """Find the files and settle which stages run, before anything is run.

    Stage 1 runs where stage 2 samples by its scores: not for the baselines, nor for the sampler "uniform", nor
    where `extra_wide` gives `--data.scores`.

    Raises:
        ConfigError: an unknown dataset, configuration or overlay, an overlay without effect, or a broken file.
    """
    overlays = {kind: _overlay_files(study, kind) for kind in (ESTIMATOR, WIDE)}
    arguments = (*study.extra, *study.extra_wide)
    files = (*config_files(study, study.config), *overlays[WIDE])
    settings = merged_settings(files)
    guided = needs_scores(settings, arguments)
    if study.overlay and not overlays[WIDE] and not (guided and overlays[ESTIMATOR]):
        raise ConfigError(
            f"The overlay '{study.overlay}' changes stage 1 alone, and '{study.config}' on {study.dataset} has no "
            f"stage 1. Choose another configuration or overlay."
        )
    wide_name = _with_overlay(study.config, study.overlay)  # its result depends on a changed stage 1, too
    stages = (Stage(WIDE, wide_name, files, arguments, settings),)
    if guided:
        files = (*config_files(study, ESTIMATOR), *overlays[ESTIMATOR])
        name = _with_overlay(ESTIMATOR, study.overlay if overlays[ESTIMATOR] else None)
        arguments = (*study.extra, *study.extra_estimator)
        stages = (Stage(ESTIMATOR, name, files, arguments, merged_settings(files)), *stages)
    changes = merged_settings([file for stage in stages for file in overlays[stage.kind]])
    return Plan(stages, overlay_changes_method=not {"model", "data"}.isdisjoint(changes))


def needs_scores(settings: dict[str, Any], arguments: tuple[str, ...] = ()) -> bool:
    """Whether stage 2 with these settings needs an estimator's run before it."""
    data = settings.get("data", {})
    if not str(data.get("class_path", "")).endswith("ResampledGraphData"):
        return False
    if option(arguments, "--data.scores", "--data.init_args.scores"):
        return False
    sampler = option(arguments, "--data.sampler", "--data.init_args.sampler")
    return (sampler or data.get("init_args", {}).get("sampler")) != "uniform"


def option(arguments: tuple[str, ...], *names: str) -> str | None:
    """The last value that the arguments give to one of the names, as `--name value` or `--name=value`."""
    found = None
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        name, equals, value = argument.partition("=")
        if name in names:
            found = value if equals else following
    return found


def merged_settings(files: list[Path] | tuple[Path, ...]) -> dict[str, Any]:
    """What the files say together; later ones win, lists are replaced.

    Raises:
        ConfigError: a file is no YAML mapping.
    """
    settings: dict[str, Any] = {}
    for file in files:
        try:
            content = yaml.safe_load(file.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{file} can't be read as YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{file} is no mapping of settings, such as 'trainer: {{max_epochs: 3}}'.")
        settings = merge(settings, content)
    return settings


def dataset_names(configs_dir: str | Path) -> list[str]:
    """The published datasets, and those that have a folder of configurations besides."""
    folders = {path.name for path in Path(configs_dir).glob("*/") if path.is_dir()}
    return sorted({*PUBLISHED, *folders} - {BASE, OVERLAYS, TUNE, OWN})


def overlay_names(configs_dir: str | Path) -> list[str]:
    """The overlays, each once whatever stages it has files for."""
    stems = (path.stem for path in (Path(configs_dir) / OVERLAYS).glob("*.yaml"))
    return sorted({stem.removesuffix(STAGE_ENDINGS[0]).removesuffix(STAGE_ENDINGS[1]) for stem in stems})


def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Settings of two files together; those of `top` win, lists are replaced."""
    merged = dict(base)
    for name, value in top.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = merge(base[name], value) if both else value
    return merged


def _with_overlay(config: str, overlay: str | None) -> str:
    return f"{config}-{overlay}" if overlay else config


def config_files(study: Study, config: str) -> tuple[Path, ...]:
    """The configuration's base and what differs for the study's dataset, one of them at least; later ones win.

    Raises:
        ConfigError: an unknown dataset or configuration.
    """
    if study.dataset == OWN:
        raise ConfigError(f"'{OWN}' is any graph of your own; say which: make {OWN} DATASET=path, or spx study PATH.")
    if not Path(study.configs_dir).is_dir():
        raise ConfigError(_unknown("configuration", config, [], study.configs_dir))
    known = dataset_names(study.configs_dir)
    if study.dataset not in known and not is_path(study.dataset):
        raise ConfigError(_unknown("dataset", study.dataset, known))
    base, own = Path(study.configs_dir, BASE), study.configs
    names = sorted({path.stem for folder in (base, own) for path in folder.glob("*.yaml")} - {ANALYSIS})
    if config == TUNED and config not in names:
        if (study.folder / TUNED_FILE).is_file():
            return (study.folder / TUNED_FILE,)
        raise ConfigError(f"{study.dataset} isn't tuned yet: spx tune {study.dataset} looks for its settings first.")
    if config not in names:
        raise ConfigError(_unknown("configuration", config, names, f"{base} and {own}"))
    return config_layers(own, config)


def _overlay_files(study: Study, kind: str) -> tuple[Path, ...]:
    if not study.overlay:
        return ()
    folder = Path(study.configs_dir) / OVERLAYS
    known = overlay_names(study.configs_dir)
    if study.overlay not in known:
        raise ConfigError(_unknown("overlay", study.overlay, known, folder))
    files = (folder / f"{study.overlay}.yaml", folder / f"{study.overlay}.{kind}.yaml")
    return tuple(file for file in files if file.is_file())


def _unknown(what: str, name: str, known: list[str], place: str | Path | None = None) -> str:
    if not known:
        return f"There is no {what} '{name}': none in {place}. Give another --configs_dir."
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    where = "" if place is None else f" in {place}"
    return f"There is no {what} '{name}'{where}.{guess} There are: {', '.join(known)}."
