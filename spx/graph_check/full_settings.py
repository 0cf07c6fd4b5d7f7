"""What a configuration asks for, said or not: its files leave out what is the code's own default."""

from importlib import import_module
from pathlib import Path
from typing import Any

from spx.configurations import config_layers
from spx.experiments.plan import merged_settings


def full_settings(folder: Path, kind: str) -> dict[str, Any]:
    """The settings of one kind of configuration, with the defaults of the classes of its model and its data.

    Args:
        folder: of what differs for a dataset; the base lies beside it.
        kind: name of the files without `.yaml`.
    """
    settings = merged_settings(config_layers(folder, kind))
    for section in ("model", "data"):
        given = settings.setdefault(section, {})
        defaults = class_defaults(given["class_path"]) if "class_path" in given else {}
        given["init_args"] = {**defaults, **given.get("init_args", {})}
    return settings


def class_defaults(class_path: str) -> dict[str, Any]:
    """The default of each setting that the command line knows of a class, those of its bases included."""
    from jsonargparse import ArgumentParser

    module, _, name = class_path.rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(import_module(module), name), fail_untyped=False)
    return vars(parser.get_defaults())
