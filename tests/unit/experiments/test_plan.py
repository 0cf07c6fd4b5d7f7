"""Which stages a study runs, from which files and under which names."""

import subprocess
import sys
from pathlib import Path

import pytest

from spx.dataset_names import PUBLISHED
from spx.errors import ConfigError
from spx.experiments.plan import Study, dataset_names, make_plan, merged_settings, option, overlay_names
from spx.experiments.runs import fit_arguments


def plan_of(configs_dir: Path, **settings):
    return make_plan(Study("toy", configs_dir=str(configs_dir), **settings))


def names_of(plan) -> list[tuple[str, str]]:
    return [(stage.kind, stage.name) for stage in plan.stages]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, [("estimator", "estimator"), ("wide", "wide")]),
        ({"config": "gcn"}, [("wide", "gcn")]),
        ({"overlay": "uniform"}, [("wide", "wide-uniform")]),
        ({"overlay": "hot"}, [("estimator", "estimator-hot"), ("wide", "wide-hot")]),
        ({"overlay": "short"}, [("estimator", "estimator-short"), ("wide", "wide-short")]),
        ({"config": "gcn", "overlay": "short"}, [("wide", "gcn-short")]),
        ({"extra_wide": ("--data.sampler", "uniform")}, [("wide", "wide")]),
        ({"extra": ("--data.sampler=uniform",)}, [("wide", "wide")]),
        ({"extra_wide": ("--data.scores", "file")}, [("wide", "wide")]),
        ({"overlay": "uniform", "extra_wide": ("--data.sampler=top",)}, [("estimator",) * 2, ("wide", "wide-uniform")]),
    ],
)
def test_stages_and_names(configs_dir, settings, names):
    assert names_of(plan_of(configs_dir, **settings)) == names


def test_overlay_of_one_stage_comes_after_the_common_one(configs_dir):
    estimator, wide = plan_of(configs_dir, overlay="both").stages
    assert [file.name for file in estimator.files] == ["estimator.yaml", "both.yaml"]
    assert [file.name for file in wide.files] == ["wide.yaml", "both.yaml", "both.wide.yaml"]
    assert wide.settings["trainer"]["max_epochs"] == 5
    assert estimator.settings["trainer"]["max_epochs"] == 3


def test_the_base_comes_first_and_stands_alone_where_nothing_differs(configs_dir):
    (configs_dir / "base").mkdir()
    (configs_dir / "base/wide.yaml").write_text("name: wide\nmodel: {init_args: {width: 4, dropout: 0.5}}\n")
    (configs_dir / "base/plus.yaml").write_text("name: plus\n")
    wide = plan_of(configs_dir, overlay="both").stages[-1]
    assert [file.parent.name for file in wide.files] == ["base", "toy", "overlays", "overlays"]
    assert wide.settings["model"]["init_args"] == {"width": 8, "dropout": 0.5}
    (plus,) = plan_of(configs_dir, config="plus").stages
    assert plus.files == (configs_dir / "base/plus.yaml",)


@pytest.mark.parametrize("dataset", ["cora", "./graph.npz"])
def test_a_dataset_needs_no_folder(configs_dir, dataset):
    (configs_dir / "base").mkdir()
    (configs_dir / "base/gcn.yaml").write_text("name: gcn\n")
    study = Study(dataset, config="gcn", configs_dir=str(configs_dir))
    (stage,) = make_plan(study).stages
    assert stage.files == (configs_dir / "base/gcn.yaml",)
    words = fit_arguments(study, stage, 0, 0, None, Path("version_0"))
    assert option(tuple(words), "--data.dataset") == dataset


def test_a_file_that_names_the_dataset_is_taken_at_its_word(configs_dir):
    study = Study("toy", config="gcn", configs_dir=str(configs_dir))
    words = fit_arguments(study, make_plan(study).stages[0], 0, 0, None, Path("version_0"))
    assert option(tuple(words), "--data.dataset") is None


def test_datasets_are_the_published_ones_and_further_folders(configs_dir):
    for name in ("base", "mine"):
        (configs_dir / name).mkdir()
    assert dataset_names(configs_dir) == sorted([*PUBLISHED, "toy"])


def test_extra_arguments_go_to_their_stage(configs_dir):
    estimator, wide = plan_of(configs_dir, extra=("a",), extra_estimator=("b",), extra_wide=("c",)).stages
    assert (estimator.arguments, wide.arguments) == (("a", "b"), ("a", "c"))


def test_only_overlays_of_model_or_data_change_the_method(configs_dir):
    changes = {name: plan_of(configs_dir, overlay=name).overlay_changes_method for name in overlay_names(configs_dir)}
    assert changes == {"both": False, "hot": True, "short": False, "uniform": True}


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"config": "wied"}, ["configuration 'wied'", "Did you mean wide?", "estimator, gcn, wide"]),
        ({"overlay": "unifrom"}, ["overlay 'unifrom'", "uniform", "both, hot, short, uniform"]),
        ({"config": "gcn", "overlay": "hot"}, ["'hot'", "stage 1", "gcn"]),
    ],
)
def test_unknown_names_say_what_there_is(configs_dir, settings, parts):
    with pytest.raises(ConfigError) as error:
        plan_of(configs_dir, **settings)
    assert all(part in str(error.value) for part in parts)


def test_unknown_dataset_suggests_close_ones(configs_dir, tmp_path):
    with pytest.raises(ConfigError, match=r"dataset 'tyo'.*Did you mean toy\?.*There are: actor, .*, toy, wikics\."):
        make_plan(Study("tyo", configs_dir=str(configs_dir)))
    with pytest.raises(ConfigError, match="--configs_dir"):
        make_plan(Study("toy", configs_dir=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("text", ["a: [1", "- 1", "\x00", ""])
def test_broken_file_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        merged_settings([tmp_path / "broken.yaml"])


def test_merging_keeps_what_the_later_file_leaves_out(tmp_path):
    (tmp_path / "a.yaml").write_text("data: {init_args: {k: [1, 2], seed: 3}}\nname: a\n")
    (tmp_path / "b.yaml").write_text("data: {init_args: {k: [4]}}\n")
    merged = merged_settings([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert merged == {"data": {"init_args": {"k": [4], "seed": 3}}, "name": "a"}


def test_last_value_of_an_option_counts():
    assert option(("--x", "1", "--x=2"), "--x") == "2"
    assert option(("--x=1", "--y", "--x", "3"), "--x") == "3"
    assert option(("--xx", "1"), "--x") is None


def test_the_runner_stays_light():
    code = (
        "import sys, spx.experiments.study, spx.experiments.results; print({'torch', 'lightning'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"
