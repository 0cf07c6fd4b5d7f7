"""The Makefile's targets and how it hands its variables on; nothing is run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spx.datasets import DATASETS
from spx.experiments.plan import overlay_names

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> str:
    """What make prints; as if called from a shell, though the tests themselves may run under `make test`."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def help_text() -> str:
    return make("help")


def test_help_lists_every_dataset(help_text):
    lines = {line.strip() for line in help_text.splitlines()}
    assert set(DATASETS) <= lines
    assert "overlays" not in lines


def test_help_lists_every_target_and_variable(help_text):
    words = help_text.split()
    for target in ("demo", "test", "lint", "format", "tensorboard", "results", "bench", "pictures", "clean"):
        assert target in words
    for variable in (
        "SEEDS",
        "SPLITS",
        "DATA_DIR",
        "CONFIG",
        "OVERLAY",
        "EXTRA",
        "PROTOCOL",
        "REUSE",
        "RUNS_DIR",
        "SMALL",
    ):
        assert variable in words


def test_help_lists_configurations_and_overlays(help_text):
    line = next(line for line in help_text.splitlines() if line.strip().startswith("CONFIG"))
    assert line.endswith(": exphormer gcn plus wide")
    line = next(line for line in help_text.splitlines() if line.strip().startswith("OVERLAY"))
    assert line.partition(": ")[2].split() == overlay_names(ROOT / "configs")


def test_variables_reach_the_study():
    text = make("-n", "actor", "SEEDS=0 1", "SPLITS=2", "PROTOCOL=paper", "CONFIG=gcn", "OVERLAY=gpu", "REUSE=0")
    command = text.splitlines()[-1]
    for part in (
        "spx study actor",
        "--seeds 0 1 ",
        "--splits 2 ",
        "--protocol paper",
        "--config gcn",
        "--overlay gpu",
        "--no-reuse",
    ):
        assert part in command
    plain = make("-n", "actor").splitlines()[-1]
    assert "--overlay" not in plain
    assert "--no-reuse" not in plain


def test_variables_reach_the_analysis():
    text = make("-n", "analyze-actor", "SPLITS=2", "PROTOCOL=paper", "REUSE=0", "EXTRA=--runs small")
    command = text[text.index("set -f") :].replace("\\\n", " ")
    for part in ("spx analyze --config configs/actor/analysis.yaml", "--protocol paper", "--split 2", "--reuse false"):
        assert part in command
    assert command.rstrip().endswith("$EXTRA"), "each word an argument; the shell reads it from the environment"
    assert "--reuse" not in make("-n", "analyze-cora").partition("set -f")[2]


def test_demo_is_the_study_without_a_download():
    assert "spx study minesweeper-sim --seeds 0 --splits 0" in make("-n", "demo")


def test_environment_is_made_from_the_project_files():
    text = make("-n", "-W", "pyproject.toml", "lint")
    assert "-m venv .venv" in text
    assert "-c constraints.txt -e '.[dev]'" in text
