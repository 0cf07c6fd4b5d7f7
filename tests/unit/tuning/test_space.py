"""Spaces: what their files may hold, and the settings that values stand for."""

from pathlib import Path

import pytest
import yaml
from daily import every_day

from spx.configurations import TUNE
from spx.errors import ConfigError
from spx.experiments.plan import Study, config_files, merge, merged_settings
from spx.graph_check.full_settings import class_defaults
from spx.tuning.space import (
    AVERAGING,
    K_FIRST,
    Parameter,
    changes,
    first_trials,
    read_space,
    recipe_values,
    value_in,
    within,
)

CONFIGS = Path(__file__).parents[3] / "configs"
KINDS = sorted(path.stem for path in (CONFIGS / TUNE).glob("*.yaml"))
GOOD = {"base": "wide", "recipes": [], "epochs": 3, "parameters": {"model.lr": {"low": 0.1, "high": 1}}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_are_the_code_s_own(kind: str) -> None:
    """A recipe's files leave them out, and the search reads no code."""
    space = read_space(CONFIGS / TUNE / f"{kind}.yaml")
    settings = merged_settings(config_files(Study("cora", configs_dir=str(CONFIGS)), space.base))
    defaults = {section: class_defaults(settings[section]["class_path"]) for section in ("model", "data")}
    for each in space.parameters:
        section, _, name = each.name.partition(".")
        if section in defaults:
            assert each.default == defaults[section][name], each.name


@every_day("dataset", ["cora", "photo", "minesweeper", "actor"], 2)
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_trials_are_the_recipes(kind: str, dataset: str) -> None:
    """Values of a recipe make its own settings again, but for epochs and an early end."""
    study = Study(dataset, configs_dir=str(CONFIGS))
    space = read_space(CONFIGS / TUNE / f"{kind}.yaml")
    recipes = {each.of: merged_settings(config_files(study, each.of)) for each in space.recipes}
    space = within(space, recipes, None)
    base = merged_settings(config_files(study, space.base))
    for settings in recipes.values():
        made = merge(base, changes(recipe_values(space, settings)))
        for section in ("model", "data"):
            defaults = class_defaults(settings[section]["class_path"])
            wanted, found = (defaults | each[section]["init_args"] for each in (settings, made))
            searched = {each.name.partition(".")[2] for each in space.parameters} | {"k"}
            assert {name: found[name] for name in wanted.keys() & searched} == {
                name: wanted[name] for name in wanted.keys() & searched
            }
        averaging = next(each for each in space.parameters if each.name == AVERAGING)
        assert value_in(made, averaging) == value_in(settings, averaging)


def test_a_setting_stays_where_its_condition_is_not_met() -> None:
    parameter = Parameter("data.expander_degree", values=(1, 3), when={"data.sampler": "uniform"})
    assert parameter.is_asked({"data.sampler": "uniform"})
    assert not parameter.is_asked({"data.sampler": "attention"})
    assert not parameter.is_asked({})


def test_k_has_a_value_for_each_layer() -> None:
    chosen = {"model.num_layers": 3, "k_first": 12, "k_rest": 5, "model.norm": None}
    assert changes(chosen) == {
        "model": {"init_args": {"num_layers": 3, "norm": None}},
        "data": {"init_args": {"k": [12, 5, 5]}},
    }
    assert changes({"k_first": 4}, num_layers=2)["data"]["init_args"]["k"] == [4, 4]
    average = changes({"averaging": 0.9})["trainer"]["callbacks"]
    assert average == [{"class_path": "spx.training.callbacks.WeightAverage", "init_args": {"decay": 0.9}}]
    assert changes({"averaging": 0.0}) == {}


def test_edges_are_bounded() -> None:
    study = Study("minesweeper", configs_dir=str(CONFIGS))  # 12 and 5 in its paper configuration
    space = read_space(CONFIGS / TUNE / "wide.yaml")
    recipe = merged_settings(config_files(study, "wide"))
    bounded = within(space, {"wide": recipe}, 8)
    first = next(each for each in bounded.parameters if each.name == K_FIRST)
    assert max(first.values) == 8
    assert recipe_values(bounded, recipe)[K_FIRST] == 8, "as many as there may be"
    assert recipe_values(within(space, {"wide": recipe}, None), recipe)[K_FIRST] == 12
    with pytest.raises(ConfigError, match="--max_edges is 1: no value of k_first is as low"):
        within(space, {}, 1)


@pytest.mark.parametrize("dataset", ["photo", "minesweeper"])
def test_both_branches_of_plus_are_tried_whichever_its_rule_chose(dataset: str) -> None:
    study = Study(dataset, configs_dir=str(CONFIGS))
    space = read_space(CONFIGS / TUNE / "wide.yaml")
    known = {each.of: merged_settings(config_files(study, each.of)) for each in space.recipes}
    tried = first_trials(within(space, known, None), known)
    assert list(tried) == ["wide", "graph first", "plus, four layers", "plus, residual", "plus, concat", "plus, scores"]
    layers = {name: (tried[name]["model.layer"], tried[name]["model.dropout"]) for name in tried if "plus" in name}
    chosen = ("residual", 0.7) if dataset == "photo" else ("concat", 0.2)  # by the rule of plus
    assert layers == {
        "plus, four layers": chosen,
        "plus, residual": ("residual", 0.7),
        "plus, concat": ("concat", 0.2),
        "plus, scores": chosen,
    }
    assert tried["graph first"] == tried["wide"] | {
        "data.sampler": "uniform",
        "data.graph_first": True,
        "data.expander_degree": 3,
    }
    assert "data.expander_degree" not in tried["plus, scores"], "the estimator's"


def test_of_two_recipes_that_are_alike_the_first_is_tried(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    alike = {"name": "alike", "of": "wide", "with": {"model.lr": 0.2}}
    file.write_text(yaml.safe_dump(GOOD | {"recipes": ["wide", alike]}))
    settings = {"wide": {"model": {"init_args": {"lr": 0.2}}}}
    assert list(first_trials(within(read_space(file), settings, None), settings)) == ["wide"]


def test_a_recipe_s_values_widen_the_space(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    recipe = {"name": "fast", "of": "wide", "with": {"model.lr": 2.0}}
    file.write_text(yaml.safe_dump(GOOD | {"recipes": ["wide", recipe]}))
    settings = {"wide": {"model": {"init_args": {"lr": 0.2}}}}
    space = within(read_space(file), settings, None)
    assert space.parameters[0].high == 2.0
    assert first_trials(space, settings) == {"wide": {"model.lr": 0.2}, "fast": {"model.lr": 2.0}}


def test_a_recipe_outside_widens_the_space() -> None:
    space = read_space(CONFIGS / TUNE / "wide.yaml")
    settings = {"model": {"init_args": {"width": 56, "lr": 0.1}}, "data": {"init_args": {"k": [50, 30]}}}
    wider = {each.name: each for each in within(space, {"a": settings}, None).parameters}
    assert 56 in wider["model.width"].values
    assert wider["model.lr"].high == 0.1
    assert 50 in wider[K_FIRST].values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base": 3}, "no 'base' that is a str"),
        ({"more": 1}, "has 'more', which is none of base, recipes"),
        ({"epochs": 0}, "epochs: 0"),
        ({"recipes": [3]}, "3 is no recipe; give a configuration, or name, of and with"),
        ({"recipes": [{"name": "a", "of": "wide"}]}, "is no recipe"),
        ({"recipes": [{"name": "a", "of": "wide", "with": {"lr": 1}}]}, "recipe a has with: {'lr': 1}"),
        ({"parameters": {"lr": {"low": 0.1, "high": 1}}}, "'lr' is no parameter"),
        ({"parameters": {"trainer.max_epochs": {"low": 1, "high": 2}}}, "'trainer.max_epochs' is no parameter"),
        ({"parameters": {"model.lr": {"lo": 1}}}, "model.lr takes default, high, log, low, values, when alone"),
        ({"parameters": {"model.lr": None}}, "model.lr takes"),
        ({"parameters": {"model.lr": {}}}, "needs values, or low and high"),
        ({"parameters": {"model.lr": {"values": [1], "low": 0}}}, "one of the two"),
        ({"parameters": {"model.lr": {"values": [[1]]}}}, "no list of plain values"),
        ({"parameters": {"model.lr": {"values": "ab"}}}, "no list of plain values"),
        ({"parameters": {"model.lr": {"low": 1, "high": 0.5}}}, "is from 1 to 0.5"),
        ({"parameters": {"model.lr": {"low": "1e-5", "high": 0.5}}}, "is from 1e-5 to 0.5; give numbers"),
        ({"parameters": {"model.lr": {"low": 0, "high": 1, "log": True}}}, "low must be above 0"),
        ({"parameters": {"model.lr": {"values": [1], "when": {"model.a": 1}}}}, "parameters that stand before it"),
    ],
)
def test_a_file_that_is_no_space(change: dict, words: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(GOOD | change))
    with pytest.raises(ConfigError, match=words):
        read_space(file)
