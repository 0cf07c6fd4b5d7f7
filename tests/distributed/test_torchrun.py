"""Two machines, played by two torchrun agents on one: the metrics are those of one process."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from integration.processes import ENVIRONMENT, run_spx, write_graph, write_own_configs

from spx.files import read_json

OVERLAYS = Path(__file__).parents[2] / "configs" / "overlays"
SETTINGS = ("--trainer.precision", "64-true", "--model.dropout", "0", "--trainer.max_epochs", "5")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_two_machines(home: Path, *arguments: str) -> None:
    port = free_port()
    agents = []
    for node in range(2):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
        torchrun += [f"--node_rank={node}", "--master_addr=127.0.0.1", f"--master_port={port}"]
        command = [*torchrun, "-m", "spx", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        agents.append(subprocess.Popen(command, cwd=home, env=ENVIRONMENT, **pipes))
    outputs = [agent.communicate(timeout=300)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs


@pytest.mark.full
def test_two_nodes_are_as_one_process(tmp_path: Path) -> None:
    write_own_configs(tmp_path, write_graph(tmp_path / "own.npz"))
    wide = (*SETTINGS, "--model.norm", "none", "--data.batch_size", "60", "--then_test", "true")
    overlay = ("--config", str(OVERLAYS / "multi-node.yaml"), "--trainer.devices", "1")
    shard = ("--config", str(OVERLAYS / "multi-node.estimator.yaml"))
    runs = {}
    for name, folder in (("one", "runs1"), ("two", "runs2")):
        first = ("fit", "--config", "estimator.yaml", "--runs_dir", folder, *SETTINGS)
        second = ("fit", "--config", "wide.yaml", "--runs_dir", folder, *wide)
        if name == "one":
            for command in (first, second):
                result = run_spx(*command, cwd=tmp_path)
                assert result.returncode == 0, result.stderr
        else:
            on_two_machines(tmp_path, *first, *overlay, *shard)
            on_two_machines(tmp_path, *second, *overlay)
        runs[name] = [
            read_json(tmp_path / folder / "own" / stage / "version_0" / "run.json") for stage in ("estimator", "wide")
        ]
    for one, two in zip(runs["one"], runs["two"], strict=True):
        assert two["devices"] == 2
        assert two["val"] == pytest.approx(one["val"], abs=1e-6)
    assert runs["two"][1]["test"] == pytest.approx(runs["one"][1]["test"], abs=1e-6)
