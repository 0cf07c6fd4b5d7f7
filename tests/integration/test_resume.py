"""Runs that are killed, stopped or started twice, as processes of their own: they go on as if nothing had happened."""

import json
import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from .processes import run_spx, start_spx, wait_for, write_graph, write_own_configs

pytestmark = pytest.mark.full

EPOCHS = 80


class Home(NamedTuple):
    """A folder with a graph, configurations, and `whole/`: both stages run without interruption."""

    folder: Path

    def run(self, runs: str, stage: str) -> Path:
        return self.folder / runs / "graph" / stage / "version_0"

    def fit(self, runs: str, stage: str, *more: object) -> list[object]:
        scores = self.run("whole", "estimator") / "scores.safetensors"
        fit = ["fit", "--config", f"{stage}.yaml", "--runs_dir", runs, "--trainer.max_epochs", EPOCHS]
        if stage == "wide":
            fit += ["--data.scores", scores, "--then_test", "true", "--data.batch_size", 120]
        return [*fit, "--trainer.enable_progress_bar", "false", *more]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("resume"))
    write_own_configs(home.folder, write_graph(home.folder / "graph.npz"))
    for stage in ("estimator", "wide"):
        ended = run_spx(*home.fit("whole", stage), cwd=home.folder)
        assert ended.returncode == 0, ended.stderr
    return home


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def record(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def assert_same(run: Path, whole: Path) -> None:
    for name in ("last", "best"):
        one, other = weights(run, name), weights(whole, name)
        assert one.keys() == other.keys()
        assert [key for key in one if not one[key].equal(other[key])] == [], name
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    same = ("val", "test", "best_epoch", "epochs", "scores_fingerprint", "data_fingerprint")
    assert {key: record(run)[key] for key in same} == {key: record(whole)[key] for key in same}
    scores = [folder / "scores.safetensors" for folder in (run, whole)]
    assert scores[0].is_file() == scores[1].is_file()
    if scores[0].is_file():
        assert scores[0].read_bytes() == scores[1].read_bytes()


def stop_fit(home: Home, runs: str, stage: str, stop: signal.Signals, *more: object) -> tuple[int, str]:
    """Stop the fit at a random moment after its first checkpoint; its exit code and output."""
    run = home.run(runs, stage)
    process = start_spx(*home.fit(runs, stage, *more), cwd=home.folder)
    wait_for(run / "checkpoints" / "last.ckpt", process)
    pause = random.uniform(0, 0.8)
    print(f"stopped {pause:.3f} s after the first checkpoint")
    time.sleep(pause)
    process.send_signal(stop)
    output = process.communicate(timeout=120)[0]
    assert not (run / "run.json").is_file(), "it had not ended"
    return process.returncode, output


def assert_resumes(home: Home, runs: str, stage: str, whole: str = "whole") -> None:
    run = home.run(runs, stage)
    ended = run_spx("resume", run, cwd=home.folder)
    assert ended.returncode == 0, ended.stderr
    assert_same(run, home.run(whole, stage))


@pytest.mark.parametrize("stage", ["estimator", "wide"])
def test_a_fit_that_is_killed_and_resumed_ends_the_same(home: Home, stage: str) -> None:
    code, _ = stop_fit(home, "killed", stage, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert_resumes(home, "killed", stage)


def test_a_fit_with_a_worker_that_is_killed_and_resumed_ends_as_one_without(home: Home) -> None:
    """Each epoch starts a process or two, so there are few."""
    few = ("--trainer.max_epochs", 15)
    ended = run_spx(*home.fit("whole15", "wide", *few), cwd=home.folder)
    assert ended.returncode == 0, ended.stderr
    code, _ = stop_fit(home, "worker", "wide", signal.SIGKILL, *few, "--data.num_workers", 1)
    assert code == -signal.SIGKILL
    assert_resumes(home, "worker", "wide", "whole15")


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fit_that_is_stopped_says_how_to_go_on(home: Home, stop: signal.Signals, code: int) -> None:
    runs = f"stopped{code}"
    ended, output = stop_fit(home, runs, "wide", stop)
    assert ended == code
    run = home.run(runs, "wide").relative_to(home.folder)
    assert f"checkpoint {run}/checkpoints/last.ckpt. Go on with: spx resume {run}\n" in output
    assert "Traceback" not in output
    if stop == signal.SIGINT:
        assert_resumes(home, runs, "wide")


def test_a_run_that_ended_may_be_resumed_and_stays_what_it_was(home: Home) -> None:
    run = home.run("whole", "wide")
    before = record(run)
    ended = run_spx("resume", run, cwd=home.folder)
    assert ended.returncode == 0, ended.stderr
    assert_same(run, run)
    assert {key: record(run)[key] for key in ("val", "test", "best_epoch")} == {
        key: before[key] for key in ("val", "test", "best_epoch")
    }


def test_a_run_that_goes_on_is_not_resumed_a_second_time(home: Home) -> None:
    run = home.run("twice", "wide")
    process = start_spx(*home.fit("twice", "wide"), cwd=home.folder)
    try:
        wait_for(run / "checkpoints" / "last.ckpt", process)
        process.send_signal(signal.SIGSTOP)
        second = run_spx("resume", run, cwd=home.folder)
    finally:
        process.kill()
        process.communicate()
    assert second.returncode == 2
    assert second.stderr.endswith(
        f"spx: error: The run {run} is still going on in another process. Wait for it, or stop it.\n"
    )
