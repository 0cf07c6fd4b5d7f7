"""What an epoch of stage 2 spends beside the network: drawing, checkpoints, looks at the attention, Lightning.

`spx fit` with the wide configuration of minesweeper-sim, one thread a process, as it is and at the last commit before,
by turns. The network is forward, backward, optimiser and validation; what is beside them is the rest of the time from
one epoch's start to the next one's: by the CPU time of the thread that trains, which other processes of a busy machine
don't change. A draw in a thread of its own is on another core then.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.common import arguments, report
from benchmarks.startup import ROOT, checkout

BEFORE = "5bd0258"
DATASET = "minesweeper-sim"
FIRST = 5  # epochs that are left out: kernels are compiled and every one is the best
PARTS = {
    "forward and backward": r".*\.(training_step|backward)",
    "optimiser": r".*\.optimizer_step",  # all of the step; without the above below
    "validation": r".*\.validation_step",
    "waiting for the draw": r".*\.train_dataloader",
    "checkpoints": r"\[Callback\]BestCheckpoint.*\.on_(train_epoch|validation)_end",
    "attention": r"\[Callback\]AttentionMonitor\.on_validation_batch_end",
}
"""What Lightning's profiler calls them."""


def fit(epochs: int, kind: str, folder: str, *more: str) -> list[str]:
    """Arguments of the command."""
    settings = ["--config", f"configs/{DATASET}/{kind}.yaml", "--runs_dir", folder, "--data.data_dir", folder]
    return ["fit", *settings, "--trainer.max_epochs", str(epochs), "--trainer.profiler", "simple", *more]


def measure(case: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of CPU an epoch, of this process' thread."""
    from lightning.pytorch.profilers import SimpleProfiler

    from spx.cli import SpxCLI
    from spx.training.callbacks import checkpoint

    checkpoint.time = SimpleNamespace(monotonic=time.thread_time)  # by which it is 2 s since the last was written
    calls: dict[str, list[tuple[float, float]]] = {}

    def start(_: SimpleProfiler, action_name: str) -> None:
        calls.setdefault(action_name, []).append((time.thread_time(), 0.0))

    def stop(_: SimpleProfiler, action_name: str) -> None:
        started, _ = calls[action_name][-1]
        calls[action_name][-1] = (started, time.thread_time() - started)

    SimpleProfiler.start, SimpleProfiler.stop, SimpleProfiler.describe = start, stop, lambda _: None
    SpxCLI(args=case["command"])
    starts = [started for started, _ in calls["run_training_epoch"]]
    first, last = starts[FIRST], starts[-1]

    def spent(pattern: str) -> float:
        matching = [values for name, values in calls.items() if re.fullmatch(pattern, name)]
        seconds = sum(taken for values in matching for started, taken in values if first <= started < last)
        return 1e3 * seconds / (len(starts) - 1 - FIRST)

    figures = {name: spent(pattern) for name, pattern in PARTS.items()}
    figures["optimiser"] -= figures["forward and backward"]
    epoch = 1e3 * (last - first) / (len(starts) - 1 - FIRST)
    network = sum(figures[name] for name in ("forward and backward", "optimiser", "validation"))
    figures["the rest"] = epoch - sum(figures.values())
    return {"epoch": epoch, **figures, "beside the network": (epoch - network) / epoch}


def in_tree(tree: Path, command: list[str]) -> dict[str, float]:
    """The same in a process that imports `spx` from a checkout."""
    variables = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, __file__, "--case", json.dumps({"command": command})]
    done = subprocess.run(words, cwd=tree, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    epochs, repeats = (8, 1) if options.small else (20, 1)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name, checkout(Path(name, "before"), not options.small, BEFORE) as before:
        in_tree(ROOT, fit(FIRST + 2, "estimator", name))
        scores = f"{name}/{DATASET}/estimator/version_0/scores.safetensors"
        trees = {"now": ROOT} if before is None else {f"at {BEFORE}": before, "now": ROOT}
        for _ in range(repeats):
            for label, tree in trees.items():
                found.setdefault(label, []).append(in_tree(tree, fit(epochs, "wide", name, "--data.scores", scores)))
                print(label, found[label][-1], flush=True)
    rows = [
        {"spx": label} | {column: statistics.median(each[column] for each in values) for column in values[0]}
        for label, values in found.items()
    ]
    headline = {"beside_the_network": rows[-1]["beside the network"]}
    if len(rows) > 1:
        headline["beside_the_network_before"] = rows[0]["beside the network"]
        headline["epoch_vs_before"] = rows[1]["epoch"] / rows[0]["epoch"]
    report("epoch", rows, headline, options.small)


if __name__ == "__main__":
    main()
