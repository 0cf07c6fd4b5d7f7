"""`spx tune` with real trials, on a graph of one's own, killed and gone on with, and its choice trained."""

import csv
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from .processes import ENVIRONMENT, SPX, write_graph

ASKED = ("graph.npz", "--kind", "gnn", "--epochs", "3", "--trials", "3", "--side_by_side", "2", "--minutes", "30")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    """A process of its own, whose trials are forked; those of a forked one would each start anew."""
    return subprocess.run([*SPX, *words], env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.full
def test_a_search_that_is_killed_goes_on_and_its_choice_is_trained(tmp_path: Path) -> None:
    write_graph(tmp_path / "graph.npz")
    runs = tmp_path / "lightning_logs" / "graph"
    process = subprocess.Popen([*SPX, "tune", *ASKED], env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not list(runs.glob("tune-gnn/version_*/validation.csv")) and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ended = run("tune", *ASKED, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader((runs / "tune-gnn-search" / "trials.csv").read_text().splitlines()))
    assert [row["recipe"] for row in rows] == ["gnn", "gcn", "mlp"]
    for config in runs.glob("tune-*/version_*/config.yaml"):
        assert yaml.safe_load(config.read_text())["data"]["init_args"]["hide_test"] is True
    for record in runs.glob("tune-*/version_*/run.json"):
        assert json.loads(record.read_text())["test"] is None
    assert f"Settings:    {Path('lightning_logs/graph/tuned.yaml')}" in ended.stdout
    assert "spx study graph.npz --config tuned --seeds 0 1 2 3 4" in ended.stdout
    ended = run("study", "graph.npz", "--config", "tuned", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads((runs / "summary-tuned.json").read_text())
    assert summary["test_mean"] > 0
