"""What is tried: the parameters of a file of configs/tune, their values, and the settings that they make."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spx.configurations import TUNE
from spx.errors import ConfigError
from spx.experiments.plan import merged_settings

Value = str | int | float | bool | None
K_FIRST, K_REST, AVERAGING = "k_first", "k_rest", "averaging"
"""Parameters that are no setting by themselves: k of the first layer, of the others; the decay of averaged weights."""
SECTIONS = ("model", "data")
AVERAGE = "spx.training.callbacks.WeightAverage"
AVERAGE_DECAY = 0.99
"""What a configuration has that names averaged weights and no decay."""


@dataclass(frozen=True)
class Parameter:
    """One setting that is searched over: by a list of values, or between two ends.

    Args:
        name: `model.NAME`, `data.NAME`, or one of `k_first`, `k_rest`, `averaging`.
        values: to choose from; empty: a range.
        low, high: ends of the range, both included.
        log: whether the range is even in the logarithm.
        default: what a configuration has that doesn't say.
        when: values of earlier parameters without which this one stays as the configuration has it.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    default: Value = None
    when: Mapping[str, Value] = field(default_factory=dict)

    def with_value(self, value: Value) -> "Parameter":
        """The same, wide enough for the value."""
        if self.values:
            return self if value in self.values else replace(self, values=(*self.values, value))
        return replace(self, low=min(self.low, value), high=max(self.high, value))

    def is_asked(self, chosen: Mapping[str, Value]) -> bool:
        """Whether it matters beside what was chosen of the others."""
        return all(chosen.get(name) == value for name, value in self.when.items())


class Recipe(NamedTuple):
    """One of the first trials: a configuration, or one with other values of some parameters.

    Args:
        name: of the trial.
        of: the configuration.
        changed: other values, by parameter.
    """

    name: str
    of: str
    changed: Mapping[str, Value] = {}


@dataclass(frozen=True)
class Space:
    """All that a file of configs/tune says.

    Args:
        base: configuration that the parameters change.
        recipes: the first trials.
        epochs: of each trial.
        parameters: in their order.
    """

    base: str
    recipes: tuple[Recipe, ...]
    epochs: int
    parameters: tuple[Parameter, ...]


def space_file(configs_dir: str, kind: str) -> Path:
    """That of a kind.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(configs_dir) / TUNE
    file = folder / f"{kind}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"There is no {file}. Kinds that can be searched: {known}.")
    return file


def read_space(file: Path) -> Space:
    """Read a file of configs/tune.

    Raises:
        ConfigError: it can't be read, or holds what no search has.
    """
    content = merged_settings([file])
    wanted = {"base": str, "recipes": list, "epochs": int, "parameters": dict}
    for name, kind in wanted.items():
        if not isinstance(content.get(name), kind):
            raise ConfigError(f"{file} has no '{name}' that is a {kind.__name__}; see configs/tune/wide.yaml.")
    if unknown := content.keys() - wanted.keys():
        raise ConfigError(f"{file} has '{min(unknown)}', which is none of {', '.join(wanted)}.")
    if content["epochs"] < 1:
        raise ConfigError(f"{file} has epochs: {content['epochs']}; a trial needs at least 1.")
    parameters: list[Parameter] = []
    for name, settings in content["parameters"].items():
        parameters.append(_parameter(file, name, settings, [each.name for each in parameters]))
    recipes = tuple(_recipe(file, each, {parameter.name for parameter in parameters}) for each in content["recipes"])
    return Space(content["base"], recipes, content["epochs"], tuple(parameters))


def _recipe(file: Path, content: Any, known: Set[str]) -> Recipe:
    if isinstance(content, str):
        return Recipe(content, content)
    if not isinstance(content, dict) or content.keys() != {"name", "of", "with"}:
        raise ConfigError(f"{file}: {content} is no recipe; give a configuration, or name, of and with.")
    changed = content["with"]
    if not isinstance(changed, dict) or not changed.keys() <= known:
        raise ConfigError(f"{file}: recipe {content['name']} has with: {changed}; give values of parameters by name.")
    return Recipe(str(content["name"]), str(content["of"]), changed)


def _parameter(file: Path, name: str, settings: Any, before: list[str]) -> Parameter:
    known = set(Parameter.__dataclass_fields__) - {"name"}
    section, _, setting = str(name).partition(".")
    if name not in (K_FIRST, K_REST, AVERAGING) and (section not in SECTIONS or not setting):
        raise ConfigError(f"{file}: '{name}' is no parameter: model.NAME, data.NAME, k_first, k_rest or averaging.")
    if not isinstance(settings, dict) or not settings.keys() <= known:
        raise ConfigError(f"{file}: {name} takes {', '.join(sorted(known))} alone.")
    values = settings.get("values", ())
    if not isinstance(values, list | tuple) or not all(isinstance(each, Value) for each in values):
        raise ConfigError(f"{file}: {name} has values: {values}, no list of plain values.")
    if bool(values) == ("low" in settings or "high" in settings):
        raise ConfigError(f"{file}: {name} needs values, or low and high; one of the two.")
    low, high = settings.get("low", 0.0), settings.get("high", 0.0)
    if not values and not (isinstance(low, int | float) and isinstance(high, int | float) and low < high):
        raise ConfigError(f"{file}: {name} is from {low} to {high}; give numbers, low below high (1.0e-05, not 1e-5).")
    if settings.get("log") and low <= 0:
        raise ConfigError(f"{file}: {name} is searched by its logarithm from {low}; low must be above 0.")
    when = settings.get("when", {})
    if not isinstance(when, dict) or not when.keys() <= set(before):
        raise ConfigError(f"{file}: {name} depends on {when}; it takes parameters that stand before it.")
    return Parameter(name, **{**settings, "values": tuple(values)})


def within(space: Space, settings: Mapping[str, Mapping[str, Any]], max_edges: int | None) -> Space:
    """The space, wide enough for the recipes and bounded by edges.

    Args:
        space: as its file has it.
        settings: of each configuration that a recipe is of.
        max_edges: of a node in any layer; none: unbounded.

    Raises:
        ConfigError: no value is left.
    """
    parameters = []
    for each in space.parameters:
        values = [value_in(of, each) for of in settings.values()]
        values += [recipe.changed[each.name] for recipe in space.recipes if each.name in recipe.changed]
        for value in values:
            each = each if value is None and None not in each.values else each.with_value(value)
        if each.name in (K_FIRST, K_REST) and max_edges is not None:
            fitting = tuple(value for value in each.values if value <= max_edges)
            if not fitting:
                raise ConfigError(f"--max_edges is {max_edges}: no value of {each.name} is as low, of {each.values}.")
            each = replace(each, values=fitting)
        parameters.append(each)
    return replace(space, parameters=tuple(parameters))


def first_trials(space: Space, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Value]]:
    """Values of the recipes by name, in their order; one that is alike to an earlier one is left out.

    Args:
        space: from `within`.
        settings: of each configuration that a recipe is of.
    """
    found: dict[str, dict[str, Value]] = {}
    for recipe in space.recipes:
        values = recipe_values(space, settings[recipe.of], recipe.changed)
        if values not in found.values():
            found[recipe.name] = values
    return found


def recipe_values(
    space: Space, settings: Mapping[str, Any], changed: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """The parameters' values by which the space gives a recipe; too many edges become the most that there may be."""
    chosen: dict[str, Value] = {}
    for each in space.parameters:
        if each.is_asked(chosen):
            value = (changed or {}).get(each.name, value_in(settings, each))
            chosen[each.name] = value if not each.values or value in each.values else max(each.values)
    return chosen


def value_in(settings: Mapping[str, Any], parameter: Parameter) -> Value:
    """What a configuration has for a parameter."""
    if parameter.name == AVERAGING:
        callbacks = settings.get("trainer", {}).get("callbacks") or []
        found = [each for each in callbacks if str(each.get("class_path", "")).endswith("WeightAverage")]
        return found[0].get("init_args", {}).get("decay", AVERAGE_DECAY) if found else 0.0
    if parameter.name in (K_FIRST, K_REST):
        k = settings.get("data", {}).get("init_args", {}).get("k") or [None]
        return k[0] if parameter.name == K_FIRST or len(k) == 1 else k[1]
    section, _, name = parameter.name.partition(".")
    return settings.get(section, {}).get("init_args", {}).get(name, parameter.default)


def changes(chosen: Mapping[str, Value], num_layers: int | None = None) -> dict[str, Any]:
    """The settings that chosen values stand for, as a configuration has them.

    Args:
        chosen: values by parameter.
        num_layers: where the depth is no parameter.
    """
    made: dict[str, Any] = {section: {"init_args": {}} for section in SECTIONS}
    for name, value in chosen.items():
        section, _, setting = name.partition(".")
        if section in SECTIONS:
            made[section]["init_args"][setting] = value
    if K_FIRST in chosen:
        rest = made["model"]["init_args"].get("num_layers", num_layers or 1) - 1
        made["data"]["init_args"]["k"] = [chosen[K_FIRST], *[chosen.get(K_REST, chosen[K_FIRST])] * rest]
    if chosen.get(AVERAGING):
        average = {"class_path": AVERAGE, "init_args": {"decay": chosen[AVERAGING]}}
        made["trainer"] = {"callbacks": [average]}
    return {section: value for section, value in made.items() if value != {"init_args": {}}}


def write_settings(settings: Mapping[str, Any]) -> str:
    """As YAML, in the order that is given."""
    return yaml.safe_dump(dict(settings), sort_keys=False)
