"""Commands of runs, their folders, and when a run that was made before is taken again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spx.errors import ConfigError
from spx.experiments import runs
from spx.experiments.plan import Stage, Study, make_plan
from spx.training.resuming import lock_run

STUDY = Study("toy", protocol="paper")
WIDE = Stage("wide", "wide", (Path("wide.yaml"),), ("--trainer.max_epochs", "2"), {"model": {"width": 8}})
ESTIMATOR = Stage("estimator", "estimator", (Path("estimator.yaml"),))


def finish(folder: Path, settings: dict, *, scores: bool = False) -> Path:
    folder.mkdir(parents=True)
    (folder / runs.RECORD_FILE).write_text("{}")
    (folder / runs.SETTINGS_FILE).write_text(json.dumps(settings))
    if scores:
        (folder / runs.SCORES_FILE).write_bytes(b"")
    return folder


def artifact(path: Path, header: bytes, body: bytes = b"") -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)
    return path


def test_arguments_of_stage_2():
    arguments = runs.fit_arguments(STUDY, WIDE, 3, 1, Path("s.safetensors"), Path("runs/version_7"))
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert arguments[0] == "fit"
    assert options == {
        "--config": "wide.yaml",
        "--name": "wide",
        "--runs_dir": "lightning_logs",
        "--version": "7",
        "--seed_everything": "3",
        "--data.protocol": "paper",
        "--data.split": "1",
        "--data.data_dir": "data",
        "--data.dataset": "toy",
        "--data.scores": "s.safetensors",
        "--then_test": "true",
        "--trainer.max_epochs": "2",
    }


def test_a_dataset_that_a_file_names_is_not_named_again():
    stage = replace(WIDE, settings={"data": {"init_args": {"dataset": "toy"}}})
    assert "--data.dataset" not in runs.fit_arguments(STUDY, stage, 3, 1, None, Path("runs/version_7"))


def test_stage_1_is_not_tested_and_takes_no_scores():
    arguments = runs.fit_arguments(STUDY, ESTIMATOR, 0, 0, None, Path("version_0"))
    assert "--then_test" not in arguments
    assert "--data.scores" not in arguments


def test_runs_of_the_same_settings_are_found_newest_first(tmp_path):
    settings = runs.settings_of(STUDY, WIDE, 0, 1, None)
    older = finish(tmp_path / "version_2", settings)
    newest = finish(tmp_path / "version_10", settings)
    finish(tmp_path / "version_11", settings | {"seed": 9})
    assert runs.find_runs(tmp_path, settings) == [newest, older]
    assert runs.find_runs(tmp_path / "nowhere", settings) == []


@pytest.mark.parametrize("name", ["files", "arguments", "protocol", "seed", "split", "scores", "spx"])
def test_any_other_setting_is_another_run(tmp_path, name):
    settings = runs.settings_of(STUDY, WIDE, 0, 1, None)
    finish(tmp_path / "version_0", settings | {name: "other"})
    assert runs.find_runs(tmp_path, settings) == []


def test_a_run_has_ended_when_it_left_what_the_study_needs(tmp_path):
    folder = finish(tmp_path / "version_0", {})
    assert not runs.has_ended(folder, ESTIMATOR), "an estimator without its score file"
    artifact(folder / runs.SCORES_FILE, b"{}")
    assert runs.has_ended(folder, ESTIMATOR)
    assert not runs.has_ended(folder, WIDE), "without a test figure"
    (folder / runs.RECORD_FILE).write_text('{"test": 0.5}')
    assert runs.has_ended(folder, WIDE)
    for damaged in ("", "[1]", "{"):
        (folder / runs.RECORD_FILE).write_text(damaged)
        assert not runs.has_ended(folder, WIDE)
        assert not runs.has_ended(folder, ESTIMATOR)


def test_a_run_that_still_goes_on_is_left_alone(tmp_path):
    assert runs.can_resume(tmp_path)
    lock = lock_run(tmp_path)
    holds = "import sys; from pathlib import Path; from spx.experiments.runs import can_resume; "
    asks = [sys.executable, "-c", holds + "print(can_resume(Path(sys.argv[1])))", str(tmp_path)]
    assert subprocess.run(asks, capture_output=True, text=True, check=True).stdout.strip() == "False"
    lock.release()
    assert runs.can_resume(tmp_path), "the file of a killed process is left, its lock is not"


def test_settings_follow_the_files_the_arguments_and_the_scores(tmp_path, configs_dir):
    def settings(scores: bytes = b"one", **changes):
        study = Study("toy", configs_dir=str(configs_dir), **changes)
        path = artifact(tmp_path / "scores", scores, b"tensors")
        return runs.settings_of(study, make_plan(study).stages[-1], 0, 0, path)

    first = settings()
    assert settings(data_dir="elsewhere", seeds=(0, 1)) == first
    assert settings(scores=b"two") != first
    assert settings(extra=("--trainer.max_epochs=2",)) != first
    file = configs_dir / "toy/wide.yaml"
    file.write_text("# a comment changes nothing\n" + file.read_text())
    assert settings() == first
    file.write_text(file.read_text().replace("width: 8", "width: 16"))
    assert settings() != first


def test_a_folder_that_cant_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        runs.write_json(tmp_path / "file" / "summary.json", {})


def test_writing_leaves_no_temporary_file(tmp_path):
    runs.write_json(tmp_path / "a" / "b.json", {"x": 1})
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
    assert runs.read_json(tmp_path / "a" / "b.json") == {"x": 1}
    (tmp_path / "half.json").write_text('{"x":')
    assert runs.read_json(tmp_path / "half.json") is None
    assert runs.read_json(tmp_path / "none.json") is None
