"""Settings of a model's and a data module's own, which `--help` shows once a configuration names their classes."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from spx.configurations import config_files

SECTIONS = ("model", "data")
WITHOUT_CONFIG = (
    "The settings of the network and of the data (--model.width, --data.k, ...) depend on what is trained. Give its "
    "configuration before --help: spx fit --config configs/actor/wide.yaml --help"
)


def class_settings_help(arguments: list[str], skipped: Iterable[str]) -> str:
    """What to add to the help of a command.

    Args:
        arguments: of the command, in which `--config` files may name classes.
        skipped: settings of a model that follow from the data.

    Returns:
        The options of the classes that the files name, with their types, defaults and explanations; without files one
        sentence, which says how to see them.
    """
    classes: dict[str, str] = {}
    for file in config_files(arguments):
        settings = _read(file)
        named = {section: settings.get(section) for section in SECTIONS}
        classes |= {section: value["class_path"] for section, value in named.items() if _names_class(value)}
    if not classes:
        return WITHOUT_CONFIG
    parser = ArgumentParser(add_help=False, usage="")
    for section, path in classes.items():
        module, _, name = path.rpartition(".")
        parser.add_class_arguments(getattr(import_module(module), name), section, skip=set(skipped), fail_untyped=False)
    return parser.format_help().strip()


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file) as stream:
            settings = yaml.safe_load(stream)
    except (OSError, ValueError, yaml.YAMLError):  # said where it is read to be used
        return {}
    return settings if isinstance(settings, dict) else {}


def _names_class(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_path"), str) and "." in value["class_path"]
