"""Both stages of minesweeper-sim on one CPU process and on two: metrics, memory and time side by side."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.common import shown
from spx.files import read_json
from spx.run_folder import next_version

DATASET, PROCESSES = "minesweeper-sim", (1, 2)
RUNS = Path("lightning_logs", "ddp-demo")


def study(processes: int) -> list[dict]:
    """Run both stages; their records."""
    command = [sys.executable, "-m", "spx", "study", DATASET, "--runs_dir", str(RUNS), "--no-reuse"]
    names = ["estimator", "wide"]
    if processes > 1:
        command += ["--overlay", "ddp", f"--extra=--trainer.devices {processes} --trainer.accelerator cpu"]
        names = ["estimator-ddp", "wide-ddp"]
    threads = max(1, (os.cpu_count() or 1) // processes)
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True)
    folders = [RUNS / DATASET / name for name in names]
    return [read_json(folder / f"version_{next_version(folder) - 1}" / "run.json") for folder in folders]


def main() -> None:
    lines = []
    for processes in PROCESSES:
        first, second = study(processes)
        lines.append(
            f"{processes} process{'es' if processes > 1 else ''}: test {second['metric']} {100 * second['test']:.2f}, "
            f"peak {shown(max(each['peak_rss_mb'] for each in (first, second)))} MB a process, seconds an epoch "
            f"{shown(first['seconds_per_epoch'])} (stage 1) and {shown(second['seconds_per_epoch'])} (stage 2)"
        )
    print("\n" + "; ".join(lines))


if __name__ == "__main__":
    main()
