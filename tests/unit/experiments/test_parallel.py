"""Several runs at once, with made-up processes: order, reuse, failure, stopping."""

import json
from pathlib import Path

import pytest

from spx.experiments import parallel, runs
from spx.experiments.parallel import Job, Processes, run_jobs
from spx.experiments.plan import Stage, Study
from spx.experiments.runs import StageError

from .conftest import write_artifact

ESTIMATOR = Stage("estimator", "analysis-w4", (Path("estimator.yaml"),), (), {"name": "estimator"})


class MadeUpProcess:
    """In the place of a run's process: leaves what a run leaves, or fails."""

    started: list[dict]
    failing: set[str]

    def __init__(self, command: list[str], environment: dict[str, str], log: Path):
        arguments = command[command.index("fit") + 1 :]
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        self.started.append({**options, "threads": environment["OMP_NUM_THREADS"]})
        self.code = 3 if options["--seed_everything"] in self.failing else 0
        log.write_text(f"a line\nseed {options['--seed_everything']} {'failed' if self.code else 'is done'}\n")
        if not self.code:
            folder = Path(options["--runs_dir"], "toy", options["--name"], f"version_{options['--version']}")
            (folder / runs.RECORD_FILE).write_text(json.dumps({"test": 0.5}))
            write_artifact(folder / runs.SCORES_FILE)

    def wait(self) -> int:
        return self.code


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> type[MadeUpProcess]:
    made_up = type("Made", (MadeUpProcess,), {"started": [], "failing": set()})
    monkeypatch.setattr(parallel, "start_process", made_up)
    return made_up


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("toy", runs_dir=str(tmp_path))


def jobs(*seeds: int) -> list[Job]:
    return [Job(ESTIMATOR, seed) for seed in seeds]


def test_folders_come_in_the_order_of_the_jobs(processes, study: Study, capsys) -> None:
    folders = run_jobs(study, jobs(2, 0, 1), processes=2, threads=3)
    seeds = [json.loads((folder / runs.SETTINGS_FILE).read_text())["seed"] for folder in folders]
    assert seeds == [2, 0, 1]
    assert len(set(folders)) == 3
    assert {options["threads"] for options in processes.started} == {"3"}
    shown = capsys.readouterr().out
    assert "3 runs: 0 done before, 3 to do, 2 at a time" in shown
    assert "[3/3] analysis-w4, seed" in shown
    assert shown.count("to go") == 2
    assert (folders[0] / parallel.LOG_FILE).read_text() == "a line\nseed 2 is done\n"


def test_finished_runs_are_taken_again(processes, study: Study, capsys) -> None:
    first = run_jobs(study, jobs(0, 1))
    again = run_jobs(study, jobs(0, 1, 2))
    assert again[:2] == first
    assert len(processes.started) == 3
    assert "3 runs: 2 done before, 1 to do" in capsys.readouterr().out
    assert run_jobs(study, jobs(0), reuse=False)[0] not in again
    assert len(processes.started) == 4


def test_a_stopped_run_goes_on(processes, study: Study) -> None:
    (folder,) = run_jobs(study, jobs(5))
    (folder / runs.SCORES_FILE).unlink()
    assert run_jobs(study, jobs(5)) == [folder]
    assert processes.started[1]["--resume"] == "true"


def test_a_damaged_run_is_set_aside_and_made_anew(processes, study: Study, capsys) -> None:
    (folder,) = run_jobs(study, jobs(5))
    (folder / runs.SCORES_FILE).write_bytes(b"\xff" * 8)
    (anew,) = run_jobs(study, jobs(5))
    assert anew.name == "version_1"
    assert "--resume" not in processes.started[1]
    assert (folder.parent / "damaged/version_0").is_dir()
    assert f"{folder} is damaged" in capsys.readouterr().out
    assert run_jobs(study, jobs(5)) == [anew]


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / parallel.LOG_FILE).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        Processes(threads=1).start(["--help"], tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_failed_run_ends_the_study_with_its_words(processes, study: Study) -> None:
    processes.failing.add("1")
    with pytest.raises(
        StageError, match=r"version_\d.*seed 1.*exit code 3.*fit\.log ends: a line \| seed 1 failed"
    ) as caught:
        run_jobs(study, jobs(0, 1, 2, 3, 4, 5), processes=1)
    assert caught.value.code == 3
    assert len(processes.started) <= 3, "nothing more is started"
    processes.failing.clear()
    folders = run_jobs(study, jobs(0, 1, 2), processes=1)
    assert len(folders) == 3, "the same command goes on"


def test_stopping_ends_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    ended = []
    running = Processes(threads=1)
    running._running.add(type("Running", (), {"terminate": lambda self: ended.append(self)})())
    running.stop()
    assert len(ended) == 1
    assert running.start(["fit"], tmp_path) == -1
