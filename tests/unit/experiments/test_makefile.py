"""The Makefile's targets and how it hands its variables on; nothing is run."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from daily import every_day

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
    assert not {"overlays", "tune"} & lines


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


def test_help_lists_every_target_with_a_hyphen(help_text):
    """Those of the rules, as make itself knows them."""
    known = re.findall(r"^([a-z0-9]+-[a-z0-9-]+):", make("-pn", "help"), re.MULTILINE)
    assert {"ddp-demo", "test-all", "analyze-mine", "analyze-cora", "tune-mine", "tune-cora", "bench-startup"} <= set(
        known
    )
    assert set(known) <= set(help_text.split())


def test_help_lists_configurations_and_overlays(help_text):
    line = next(line for line in help_text.splitlines() if line.strip().startswith("CONFIG"))
    assert line.endswith(": exphormer gat gcn gnn mlp plus polynormer sage sgformer wide")
    line = next(line for line in help_text.splitlines() if line.strip().startswith("OVERLAY"))
    assert line.partition(": ")[2].split() == overlay_names(ROOT / "configs")


def test_variables_reach_the_search():
    more = ("MINUTES=5", "KIND=gnn", "SPLITS=2 3", "SEEDS=4", "PROTOCOL=paper", "RUNS_DIR=runs", "EXTRA=--max_edges 5")
    command = " ".join(make("-n", "tune-photo", *more).split())
    wanted = 'spx tune photo --minutes 5 --kind gnn --protocol paper --split 2 --seed 4 --data_dir "$DATA_DIR"'
    assert f'{wanted} --runs_dir "$RUNS_DIR" $EXTRA' in command
    assert "needs the path of your graph" in make("-n", "tune-mine")
    assert 'spx tune "$DATASET" --minutes 60' in make("-n", "tune-mine", "DATASET=a b.npz")


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
    for part in (
        "spx analyze --config configs/base/analysis.yaml --dataset actor",
        "--protocol paper",
        "--split 2",
        "--reuse false",
    ):
        assert part in command
    assert command.rstrip().endswith("$EXTRA"), "each word an argument; the shell reads it from the environment"
    composed = "--config configs/base/analysis.yaml --config configs/cora/analysis.yaml"
    assert composed in " ".join(make("-n", "analyze-cora").split())
    assert "--reuse" not in make("-n", "analyze-cora").partition("set -f")[2]


AWKWARD = [
    "/data/my$graph",
    "$$",
    "$(shell touch ran)",
    "${HOME}",
    "$(touch ran)",
    "`touch ran`",
    "a;touch ran",
    "a'b",
    'a"b',
]
AWKWARD += ["a\nb", "a #b", "a\\b", "a, b", "a ", "*", "a&&touch ran", "%", "a=b"]


@pytest.fixture
def told(tmp_path: Path):
    """told(*arguments, **environment): the arguments of each `spx` that make would start, by one that tells them."""
    spx = tmp_path / "bin/spx"
    spx.parent.mkdir()
    spx.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    spx.chmod(0o755)
    (tmp_path / "installed").touch()

    def run(*arguments: str, **environment: str) -> list[list[str]]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), *arguments]
        command += [f"BIN={spx.parent}", f"READY={tmp_path / 'installed'}"]
        done = subprocess.run(command, cwd=tmp_path, env=own | environment, capture_output=True, text=True)
        assert not (tmp_path / "ran").exists()
        if done.returncode:
            raise ValueError(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / "installed").touch()
    (tmp_path / "configs/actor").mkdir(parents=True)
    return run


def options(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=")[::2] for word in words if word.startswith("--extra")]
    return dict(itertools.pairwise(words)) | dict(pairs)


@every_day(
    ("value", "from_environment"),
    itertools.product(AWKWARD, (False, True)),
    {*itertools.product(("$(shell touch ran)", "a'b"), (False, True)), ("a\nb", False), ("*", True)},
)
def test_what_is_given_is_taken_as_it_is(told, value: str, from_environment: bool) -> None:
    names = ("DATASET", "DATA_DIR", "RUNS_DIR", "EXTRA", "EXTRA_ESTIMATOR", "EXTRA_WIDE")
    given = dict.fromkeys(names, value)
    if from_environment:
        checked, studied = told("mine", **given)
    else:
        checked, studied = told("mine", *(f"{name}={value}" for name, value in given.items()))
    assert checked == ["check", value]
    assert studied[:2] == ["study", value]
    found = options(studied)
    assert {found[name] for name in ("--data_dir", "--runs_dir", "--extra", "--extra_estimator", "--extra_wide")} == {
        value
    }
    assert told("actor", f"DATA_DIR={value}")[0][:2] == ["study", "actor"]


@every_day("name", ("SEEDS", "SPLITS", "PROTOCOL", "CONFIG", "OVERLAY", "REUSE", "SMALL"), ("SEEDS", "CONFIG", "REUSE"))
@every_day("value", [value for value in AWKWARD if value not in ("a\nb", "a ")], AWKWARD[2:8])
def test_what_stands_in_a_recipe_is_words_alone(told, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is '.*': give words of letters"):
        told("actor", f"{name}={value}")
    with pytest.raises(ValueError, match=f"{name} is"):
        told("help", **{name: value})


def test_words_may_stand_on_several_lines(told) -> None:
    (study,) = told("actor", "SEEDS=0\ntouch ran", " SPLITS= 1  2 ".strip())
    assert study[study.index("--seeds") + 1 : study.index("--splits")] == ["0", "touch", "ran"]
    assert study[study.index("--splits") + 1 : study.index("--protocol")] == ["1", "2"]


def test_python_is_taken_as_it_is() -> None:
    assert "$PYTHON -m venv" in make("-n", "-W", "pyproject.toml", "lint"), "the shell reads it from the environment"
    assert " my$thon " in make("help", "PYTHON=my$thon")


def test_demo_is_the_study_without_a_download():
    assert "spx study minesweeper-sim --seeds 0 --splits 0" in make("-n", "demo")


def test_environment_is_made_from_the_project_files():
    text = make("-n", "-W", "pyproject.toml", "lint")
    assert "-m venv .venv" in text
    assert "-c constraints.txt -e '.[dev,tune]'" in text
