"""Folders of runs: each number once, each run in one process's hands."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from spx.errors import ArtifactError, ConfigError
from spx.experiments import folders, runs
from spx.experiments.plan import Stage, Study
from spx.run_folder import next_version
from spx.training.resuming import lock_run

from .conftest import write_artifact

STAGE = Stage("wide", "wide", (Path("wide.yaml"),))
TWO_STUDIES = """
import sys, time
from pathlib import Path
from spx.experiments.plan import Stage, Study
from spx.experiments.runs import reusable_runs, run_stage, settings_of

def start(command, folder):
    print(folder.name, "--resume" in command, flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "run.json").write_text('{"test": 0.5}')
    return 0

study, stage = Study("toy", runs_dir=sys.argv[1]), Stage("wide", "wide", (Path("wide.yaml"),))
ended, stopped = reusable_runs(study.folder / "wide", settings_of(study, stage, 0, 0, None), stage)
run_stage(study, stage, 0, 0, None, stopped, start)
"""


def test_each_run_claims_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "version_4").mkdir()
    (tmp_path / "version_old").mkdir()
    assert [folders.claim_version(tmp_path).name for _ in range(2)] == ["version_5", "version_6"]
    assert folders.claim_version(tmp_path / "new" / "wide").name == "version_0"


def test_a_number_that_was_set_aside_is_not_given_again(tmp_path: Path) -> None:
    (tmp_path / "damaged/version_7").mkdir(parents=True)
    assert next_version(tmp_path) == 8
    assert folders.claim_version(tmp_path).name == "version_8"


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/wide.*--runs_dir"):
        folders.claim_version(tmp_path / "file" / "wide")


def test_a_run_that_a_study_holds_is_left_alone(tmp_path: Path) -> None:
    known = [tmp_path / "version_3", tmp_path / "version_2"]
    for run in known:
        run.mkdir()
    with folders.held_run(tmp_path, known) as (first, was_there):
        assert (first, was_there) == (known[0], True)
        assert not folders.can_resume(first)
        with folders.held_run(tmp_path, known) as (second, was_there):
            assert (second, was_there) == (known[1], True)
            with folders.held_run(tmp_path, known) as (third, was_there):
                assert (third.name, was_there) == ("version_4", False)
    assert all(folders.can_resume(run) for run in known)
    assert list(known[0].iterdir()) == [], "no lock is left behind"


def test_a_run_that_its_own_process_holds_is_left_alone(tmp_path: Path) -> None:
    (run := tmp_path / "version_0").mkdir()
    lock = lock_run(run)
    with folders.held_run(tmp_path, [run]) as (other, was_there):
        assert (other.name, was_there) == ("version_1", False)
    lock.release()
    with folders.held_run(tmp_path, [run]) as (same, was_there):
        assert (same, was_there) == (run, True)


def test_a_study_holds_its_run_before_its_process_does(tmp_path: Path) -> None:
    study, seen = Study("toy", runs_dir=str(tmp_path)), []

    def start(command: list[str], folder: Path) -> int:
        settings = runs.settings_of(study, STAGE, 0, 0, None)
        assert runs.find_runs(folder.parent, settings) == [folder], "it can be found already"
        seen.append(runs.reusable_runs(folder.parent, settings, STAGE))
        (folder / runs.RECORD_FILE).write_text('{"test": 0.5}')
        return 0

    run = runs.run_stage(study, STAGE, 0, 0, None, (), start)
    assert seen == [(None, [])], "but not taken for a stopped one"
    assert runs.reusable_runs(run.parent, runs.settings_of(study, STAGE, 0, 0, None), STAGE) == (run, [])


def test_a_run_that_ended_since_it_was_looked_for_is_not_run_again(tmp_path: Path) -> None:
    study = Study("toy", runs_dir=str(tmp_path))
    run = folders.claim_version(study.folder / "wide")
    (run / runs.RECORD_FILE).write_text('{"test": 0.5}')
    assert runs.run_stage(study, STAGE, 0, 0, None, [run], start=lambda *_: pytest.fail("started")) == run


@pytest.mark.full
def test_two_studies_started_one_after_the_other_both_end_well(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TWO_STUDIES, str(tmp_path)]
    first = subprocess.Popen([*command, "3"], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "toy/wide/version_0/study.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = subprocess.run([*command, "0"], capture_output=True, text=True, timeout=60)
    assert second.returncode == 0, second.stderr
    assert second.stdout.split() == ["version_1", "False"]
    assert first.communicate(timeout=60)[0].split() == ["version_0", "False"]
    assert first.returncode == 0


def test_a_lock_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (run := tmp_path / "version_0").mkdir()
    (tmp_path / "precious").write_text("mine")
    for name in (folders.STUDY_LOCK, folders.LOCK_FILE):
        (run / name).symlink_to(tmp_path / "precious")
        assert not folders.can_resume(run)
        with folders.held_run(tmp_path, [run]) as (other, _):
            assert other != run
        (run / name).unlink()
    (run / folders.LOCK_FILE).symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match="symbolic links"):
        lock_run(run)
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("length", [0, 1, 10**6, 2**40, 2**63, 2**64 - 1])
def test_a_damaged_length_in_the_header_names_the_file(tmp_path: Path, length: int) -> None:
    path = write_artifact(tmp_path / "scores.safetensors")
    content = path.read_bytes()
    assert folders.scores_digest(path) == folders.scores_digest(write_artifact(tmp_path / "other"))
    path.write_bytes(length.to_bytes(8, "little") + content[8:])
    with pytest.raises(ArtifactError, match=rf"scores\.safetensors is no score file, or .* header of {length:,}"):
        folders.scores_digest(path)
    path.write_bytes(content[:4])
    with pytest.raises(ArtifactError, match=r"scores\.safetensors"):
        folders.scores_digest(path)
    path.unlink()
    with pytest.raises(ArtifactError, match="can't be read: No such file"):
        folders.scores_digest(path)
