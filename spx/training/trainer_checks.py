"""What of Lightning's settings and callbacks no run can take, told before the fit."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from spx.errors import ConfigError
from spx.training.task import NodeTask

ALSO_LOGGED = ("epoch", "step")
LOGGED_GROUPS = ("which_edges/", "work/")
UNUSABLE_CALLBACKS = {
    "BackboneFinetuning": "it thaws a part named backbone, which these networks don't have",
    "BasePredictionWriter": "it is a base class; predictions are written anyway (--predictions.path)",
    "SpikeDetection": "Lightning's has no state before its first step, so that no checkpoint of it could be read again",
    "Timer": "it can't be written down in a configuration; --trainer.max_time does the same",
}
"""Of Lightning's, and why."""


def check_trainer(settings: Any, subcommand: str | None, then_test: bool = False) -> None:
    """Refuse settings of the Trainer that leave nothing to do, or no checkpoint, and callbacks that can't work.

    Args:
        settings: what was given, by name.
        subcommand: "fit", "test" and so on; None, for a command line without subcommands, is checked as a fit.
        then_test: whether a test follows the fit.

    Raises:
        ConfigError: such a setting.
    """
    if settings.barebones or settings.enable_checkpointing is False:
        what = "barebones is true" if settings.barebones else "enable_checkpointing is false"
        raise ConfigError(
            f"trainer.{what}: a run without its best checkpoint has no test, no scores and no predictions. Leave it "
            "out; --trainer.fast_dev_run true tries a single batch and writes nothing."
        )
    nothing = {
        "test": ("limit_test_batches",),
        "validate": ("limit_val_batches",),
        "predict": ("limit_predict_batches",),
    }
    nothing["fit"] = ("max_epochs", "max_steps", "limit_train_batches", *(nothing["test"] if then_test else ()))
    for name in nothing[subcommand or "fit"]:
        if settings[name] == 0:
            raise ConfigError(f"trainer.{name} is 0, which leaves nothing to do. Give at least 1.")
    given = settings.callbacks or []
    for callback in given if isinstance(given, list) else [given]:
        name = str(callback.get("class_path", "")).rpartition(".")[2]
        if name in UNUSABLE_CALLBACKS:
            raise ConfigError(f"The callback {name} can't be used: {UNUSABLE_CALLBACKS[name]}.")


def check_monitors(callbacks: list[Callback], model: NodeTask, settings: Any) -> None:
    """Refuse callbacks that watch what isn't logged, which Lightning tells after an epoch or more.

    Args:
        callbacks: those of other packages may log more, and then nothing is refused.
        model: that logs.
        settings: of the Trainer, by name.

    Raises:
        ConfigError: a value that isn't logged, or one of validation where no epoch is validated.
    """
    if not all(type(callback).__module__.startswith(("lightning.", "spx.")) for callback in callbacks):
        return
    logged = [f"{part}/{name}" for part in ("train", "val") for name in ("loss", model.metric_name)]
    every, last = settings.check_val_every_n_epoch or 1, settings.max_epochs
    validates = settings.limit_val_batches != 0 and (last in (None, -1) or every <= last)
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if not monitor or not isinstance(callback, EarlyStopping | ModelCheckpoint):
            continue
        name = type(callback).__name__
        if monitor not in (*logged, *ALSO_LOGGED) and not monitor.startswith(LOGGED_GROUPS):
            raise ConfigError(
                f"{name} watches '{monitor}', which isn't logged. Logged are {', '.join(logged)} and more."
            )
        if monitor.startswith("val/") and not validates and isinstance(callback, EarlyStopping):
            raise ConfigError(
                f"{name} watches '{monitor}', but no epoch is validated: limit_val_batches is "
                f"{settings.limit_val_batches}, check_val_every_n_epoch {settings.check_val_every_n_epoch}."
            )


def refuse_doubles(callbacks: list[Callback], own: Mapping[type[Callback], str]) -> None:
    """Refuse callbacks that every run has anyway.

    Args:
        callbacks: that a user adds.
        own: what every run has, and the option that sets it.

    Raises:
        ConfigError: one of them, with the option that sets it.
    """
    for kind, option in own.items():
        if holds(callbacks, kind):
            raise ConfigError(
                f"Each run has a {kind.__name__} already, so trainer.callbacks can't add one. Set it with --{option}.*."
            )


def holds(values: list[Any], kind: type) -> bool:
    return any(isinstance(value, kind) for value in values)


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
