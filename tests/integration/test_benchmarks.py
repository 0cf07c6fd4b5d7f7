"""The small version of two benchmarks end to end, and what every script promises; no time is asserted."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import common

ROOT = Path(__file__).parents[2]
NAMES = (
    *("sampling", "attention", "estimator", "training", "growth", "batches", "compile", "distributed", "sharding"),
    *("features", "check", "gpu", "memory", "correction", "explanations", "startup", "ablation", "lazy"),
    "epoch",
)
HEADLINES = {
    "sampling": {"speedup_vs_loop", "edges_per_second_per_core", "big_graph_seconds"},
    "attention": {"speedup_vs_plain", "memory_ratio_vs_plain"},
}


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_has_a_target_a_script_and_kept_results(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").main
    assert f" {name}" in next(line for line in (ROOT / "Makefile").read_text().splitlines() if "BENCHMARKS :=" in line)
    kept = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert kept["command"] == f"make bench-{name}"
    assert kept["rows"]
    assert kept["headline"]
    assert {"cpu", "versions"} <= kept.keys()


@pytest.mark.full
@pytest.mark.parametrize("name", HEADLINES)
def test_the_small_version_writes_its_table(name: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmarks import common\n"
        f"common.RESULTS = Path({str(tmp_path)!r})\n"
        f"sys.argv = ['x', '--small']; from benchmarks.{name} import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / f"{name}-small.json").read_text())
    assert HEADLINES[name] <= written["headline"].keys()
    assert written["command"] == f"make bench-{name} SMALL=1"
    for key in HEADLINES[name]:
        assert f"{key}: " in done.stdout


def test_peak_memory_sees_what_a_call_takes_and_gives_back() -> None:
    import numpy as np

    taken = common.peak_bytes(lambda: np.ones(20_000_000).sum())
    assert 150e6 < taken < 200e6
    assert common.peak_bytes(lambda: None) < 20e6


@pytest.mark.full
def test_a_failing_case_is_a_row() -> None:
    found = common.in_fresh_process("benchmarks/training.py", {"model": "gcn", "graph": {"name": "no-such-dataset"}})
    assert "exit code" in found["error"]


def test_a_benchmark_of_hours_keeps_each_row_and_goes_on_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import hidden

    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["hidden"])
    monkeypatch.setattr(hidden, "CASES", {"one": (0, 1)})
    monkeypatch.setattr(hidden, "SHARES", (0.1,))
    made: list[tuple] = []

    def row(name: str, config: str, share: float, split: int, _epochs: None) -> dict:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append((name, config, share, split))
        case = dict(zip(hidden.CASE, made[-1], strict=True))
        return {**case, "difference": float(split), "standard error": 3.0 + split}

    monkeypatch.setattr(hidden, "row", row)
    with pytest.raises(KeyboardInterrupt):
        hidden.main()
    assert len(json.loads((tmp_path / "hidden.json").read_text())["rows"]) == 3
    before = made.copy()
    made.clear()
    hidden.main()
    assert len(made) == 1
    assert {*before, *made} == {("one", config, 0.1, split) for config in hidden.CONFIGS for split in (0, 1)}
    headline = json.loads((tmp_path / "hidden.json").read_text())["headline"]
    assert headline["one, wide, 10% hidden"] == "+0.50 +- 2.50, splits: 2", "the root of 3^2 + 4^2, halved"
