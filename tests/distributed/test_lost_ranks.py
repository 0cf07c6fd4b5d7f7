"""A rank that is killed or fails: the others end with an error, and the run goes on, also with other devices."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from integration.processes import ENVIRONMENT, run_spx, start_spx, wait_for, write_graph, write_own_configs

DDP = ("--trainer.strategy", "ddp", "--trainer.devices")
SETTINGS = ("--trainer.precision", "64-true", "--data.batch_size", "50", "--data.sampler", "uniform")
FIT = ("fit", "--config", "wide.yaml", "--model.norm", "none", "--model.dropout", "0", *SETTINGS)
FAILS_ON_ONE_RANK = """
import sys
from spx.__main__ import main
from spx.training import Spexphormer

usual = Spexphormer.training_step

def training_step(self, batch, batch_idx):
    if self.global_rank == {rank} and self.current_epoch == 2:
        raise ValueError("a fault of this rank alone")
    return usual(self, batch, batch_idx)

Spexphormer.training_step = training_step
main()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_own_configs(tmp_path, write_graph(tmp_path / "own.npz"))
    return tmp_path


def children_of(pid: int) -> Iterator[int]:
    """Processes started by it that still run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                yield int(entry.name)


def weights(run: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


@pytest.mark.full
def test_a_killed_rank_ends_the_run_which_goes_on_with_another_number_of_ranks(home: Path) -> None:
    epochs = ("--trainer.max_epochs", "25")
    process = start_spx(*FIT, *epochs, "--name", "killed", *DDP, "2", cwd=home)
    run = home / "lightning_logs" / "own" / "killed" / "version_0"
    wait_for(run / "checkpoints" / "last.ckpt", process)
    (child,) = (pid for pid in children_of(process.pid) if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes())
    started = time.monotonic()
    os.kill(child, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
    assert time.monotonic() - started < 60

    resumed = run_spx("resume", run, *DDP, "3", cwd=home)
    assert resumed.returncode == 0, resumed.stderr
    whole = run_spx(*FIT, *epochs, "--name", "whole", cwd=home)
    assert whole.returncode == 0, whole.stderr
    expected, found = (weights(folder, "last") for folder in (run.parents[1] / "whole" / "version_0", run))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_on_one_rank_leaves_no_process_behind(home: Path, rank: int) -> None:
    script = home / "faulty.py"
    script.write_text(FAILS_ON_ONE_RANK.format(rank=rank))
    command = [sys.executable, str(script), *FIT, "--trainer.max_epochs", "1000", *DDP, "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=home, env=ENVIRONMENT, start_new_session=True, **pipes)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "a fault of this rank alone" in output
    end = time.monotonic() + 30
    while still_there(process.pid) and time.monotonic() < end:
        time.sleep(0.2)
    assert not still_there(process.pid)


def still_there(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True
