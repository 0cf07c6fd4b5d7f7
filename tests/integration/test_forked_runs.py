"""A run that is forked is what a process of its own would be, and a study that is stopped leaves nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from daily import every_day

from spx.experiments import processes
from spx.run_folder import RECORD_FILE

from .processes import ENVIRONMENT, start_spx, write_graph, write_own_configs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux alone")

PROBE = """
import json, multiprocessing, os, sys, threading
from pathlib import Path
import __main__
import torch
from lightning import Callback

class Probe(Callback):
    def on_fit_start(self, trainer, pl_module):
        names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SHOWN")
        seen = {name: os.environ.get(name) for name in names}
        seen |= {"argv": sys.argv[:2], "main": __main__.__spec__.name, "path": sys.path[0], "cwd": os.getcwd()}
        seen["workers"] = multiprocessing.get_start_method()
        seen |= {"threads": torch.get_num_threads(), "active": threading.active_count()}
        Path(pl_module.trainer.logger.log_dir, "seen.json").write_text(json.dumps(seen))
"""

DRIVE = """
import json, os, subprocess, sys, time
from pathlib import Path
from spx.experiments.processes import ForkedProcess

home, environment = Path.cwd(), {**os.environ, "OMP_NUM_THREADS": "1", "SHOWN": "yes", "CUDA_VISIBLE_DEVICES": ""}
fit = ["fit", "--config", "estimator.yaml", "--trainer.callbacks", "probe.Probe", "--runs_dir"]
codes = {}
for name, command in {"fit": [*fit, "forked"], "foo": ["foo"], "debug": ["fit", "--model", "Foo", "--debug"]}.items():
    codes[name] = ForkedProcess(command, environment, home / f"{name}.log").wait()
other = ForkedProcess(["--version"], environment | {"SHOWN": "no"}, home / "other.log")
codes["other"] = other.wait()
killed = ForkedProcess([*fit, "killed", "--trainer.max_epochs", "100000"], environment, home / "killed.log")
while not list(home.glob("killed/*/*/*/checkpoints/*")):
    time.sleep(0.02)
killed.kill()
codes["killed"] = killed.wait()
codes["own"] = subprocess.run([sys.executable, "-m", "spx", *fit, "own"], env=environment, check=False).returncode
print(json.dumps(codes))
"""


def folders(parent: Path) -> Path:
    (run,) = parent.glob("*/estimator/version_0")
    return run


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a program has forked some runs and has started one as a process of its own."""
    home = tmp_path_factory.mktemp("driven")
    write_own_configs(home, write_graph(home / "graph.npz"))
    (home / "probe.py").write_text(PROBE)
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", DRIVE]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (home / "codes.json").write_text(done.stdout.splitlines()[-1])
    return home


@pytest.mark.full
def test_a_forked_run_gives_the_numbers_of_a_process_of_its_own(driven: Path) -> None:
    forked, own = (folders(driven / name) for name in ("forked", "own"))
    assert (forked / "scores.safetensors").read_bytes() == (own / "scores.safetensors").read_bytes()
    one, other = (json.loads((run / RECORD_FILE).read_text()) for run in (forked, own))
    for key in ("val", "best_epoch", "epochs", "attention_edges", "seed", "config_files", "cwd", "versions"):
        assert one[key] == other[key], key


@pytest.mark.full
def test_a_forked_run_sees_what_a_process_of_its_own_sees(driven: Path) -> None:
    one, other = (json.loads((folders(driven / name) / "seen.json").read_text()) for name in ("forked", "own"))
    assert one == other
    assert one["SHOWN"] == "yes"
    assert one["main"] == "spx.__main__", "what Lightning starts the other ranks as"


@pytest.mark.full
def test_the_peak_memory_of_a_forked_run_is_its_own(driven: Path) -> None:
    one, other = (json.loads((folders(driven / n) / RECORD_FILE).read_text())["peak_rss_mb"] for n in ("forked", "own"))
    assert one == pytest.approx(other, rel=0.05)


@pytest.mark.full
def test_exit_codes_and_logs_are_those_of_the_command(driven: Path) -> None:
    codes = json.loads((driven / "codes.json").read_text())
    assert codes == {"fit": 0, "foo": 2, "debug": 1, "other": 0, "killed": -signal.SIGKILL, "own": 0}
    logs = {name: (driven / f"{name}.log").read_text() for name in ("fit", "foo", "debug", "other")}
    assert "Run: " in logs["fit"]
    assert logs["foo"].startswith("spx: error: 'foo' is no command")
    assert "Traceback" in logs["debug"]
    assert logs["other"].startswith("spx ")
    assert not any("RuntimeWarning" in log for log in logs.values())


@pytest.mark.parametrize("change", ["none", "environment", "no server", "GPU"])
def test_what_a_fork_cant_use_starts_anew(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"A": "b"}
    if change != "no server":
        monkeypatch.setitem(sys.modules, processes.PRELOAD, SimpleNamespace(environment={"A": "b"}))
    if change == "environment":
        environment["OMP_NUM_THREADS"] = "3"
    monkeypatch.setattr("torch.cuda._is_in_bad_fork", lambda: change == "GPU")
    assert processes._is_like_a_new_one(environment) == (change == "none")


def processes_of(session: int) -> list[int]:
    """The processes that belong to the session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def has_begun_to_import(number: int) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{number}/maps").read_text()
    except OSError:
        return False


def wait_until(ready, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


@every_day(
    ("when", "stop", "code"),
    [
        ("importing", signal.SIGTERM, 143),
        ("importing", signal.SIGINT, 130),
        ("training", signal.SIGTERM, 143),
        ("training", signal.SIGINT, 130),
    ],
    1,
)
def test_a_stopped_study_leaves_no_process(tmp_path: Path, when: str, stop: int, code: int) -> None:
    graph = write_graph(tmp_path / "graph.npz")
    (tmp_path / "configs" / "mine").mkdir(parents=True)
    write_own_configs(tmp_path / "configs" / "mine", graph)
    study = start_spx(
        *("study", graph, "--configs_dir", tmp_path / "configs", "--runs_dir", tmp_path / "runs"),
        "--extra=--trainer.max_epochs 100000 --trainer.enable_progress_bar false",
        start_new_session=True,
    )
    begun = {
        "importing": lambda: any(map(has_begun_to_import, processes_of(study.pid))),
        "training": lambda: any((tmp_path / "runs").glob("*/*/*/checkpoints/*")),
    }
    try:
        wait_until(begun[when])
        os.kill(study.pid, stop)
        shown = study.communicate(timeout=60)[0]
        assert study.returncode == code
        assert "Traceback" not in shown
        wait_until(lambda: not processes_of(study.pid), seconds=10)
    finally:  # a test that failed would leave a training of 100,000 epochs beside the others
        for process in processes_of(study.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
