"""What a command takes before it does anything, and two short stages of minesweeper-sim: CPU seconds of all processes.

`spx study` forks its runs from one process that has imported everything; beside it, runs that are processes of their
own, and the last commit at which all were and every help imported Lightning.
"""

import contextlib
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import arguments, report

ROOT = Path(__file__).parents[1]
BEFORE = "00f7d5a"
PR_SET_CHILD_SUBREAPER = 36
SPX = [sys.executable, "-m", "spx"]
SEPARATE = [sys.executable, "-c", "from spx.__main__ import main; main()"]  # no main module that could be forked
HELPS = {
    **{f"spx {words}": [*SPX, *words.split()] for words in ("--help", "--version", "foo")},
    **{f"spx {name} --help": [*SPX, name, "--help"] for name in ("study", "analyze", "check", "predict", "results")},
    "make help": ["make", "help"],
}


class Case(NamedTuple):
    """A command, the checkout whose `spx` it runs, and its exit code."""

    command: list[str]
    tree: Path
    code: int = 0


def seconds_of(case: Case) -> tuple[float, float]:
    """CPU seconds of the command and all that it starts, also what outlives it, and its wall seconds."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    variables = {
        **os.environ,
        "PYTHONPATH": str(case.tree),
        "OMP_NUM_THREADS": "1",
    }  # work, not threads that wait awake
    before, started = _children(), time.perf_counter()
    done = subprocess.run(case.command, cwd=case.tree, env=variables, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    if done.returncode != case.code:
        raise RuntimeError(f"{' '.join(case.command)} ended with exit code {done.returncode}: {done.stderr[-500:]}")
    return _children() - before, wall


def compare(cases: dict[str, Case], repeats: int) -> list[dict]:
    """A row for each case, of medians by turns; a first round fills the caches."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            seconds = seconds_of(case)
            found[name] += [seconds] if turn else []
    rows = []
    for name, values in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*values, strict=True))
        rows.append({"command": name, "CPU s": cpu, "wall s": wall})
    return rows


def studies(tree: Path, before: Path | None, folder: Path) -> dict[str, Case]:
    """Two stages of minesweeper-sim, three epochs each."""
    given = ["study", "minesweeper-sim", "--no-reuse", "--data_dir", str(folder), "--extra=--trainer.max_epochs 3"]
    cases = {
        "two stages, forked": Case([*SPX, *given, "--runs_dir", str(folder / "forked")], tree),
        "two stages, processes of their own": Case([*SEPARATE, *given, "--runs_dir", str(folder / "own")], tree),
    }
    if before is not None:
        name = f"two stages at {BEFORE}"
        cases[name] = Case([*SPX, *given, "--runs_dir", str(folder / "before")], before)
    return cases


@contextlib.contextmanager
def checkout(folder: Path, wanted: bool, commit: str = BEFORE) -> Iterator[Path | None]:
    """The files of a commit; none where they aren't wanted or there is no such history."""
    if not wanted:
        yield None
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    made = subprocess.run([*git, "add", "--detach", str(folder), commit], capture_output=True, check=False)
    try:
        yield folder if made.returncode == 0 else None
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], capture_output=True, check=False)


def _case(command: list[str], tree: Path) -> Case:
    return Case(command, tree, 2 if command[-1] == "foo" else 0)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    small = arguments(__doc__).small
    rows = compare({name: _case(command, ROOT) for name, command in HELPS.items()}, 1 if small else 5)
    slowest = max(row["CPU s"] for row in rows)
    with tempfile.TemporaryDirectory() as name, checkout(Path(name, "before"), wanted=not small) as before:
        cases = {"spx fit --help": _case([*SPX, "fit", "--help"], ROOT)}
        if before is not None:
            old = ("--help", "study --help", "analyze --help", "fit --help", "foo")
            cases |= {f"spx {words} at {BEFORE}": _case([*SPX, *words.split()], before) for words in old}
        rows += [] if small else compare(cases, 2)
        runs = compare(studies(ROOT, before, Path(name)), 1 if small else 4)
    seconds = [row["CPU s"] for row in runs]
    headline = {
        "slowest_help_cpu_seconds": slowest,
        "two_stages_cpu_seconds": seconds[0],
        "saved_by_forking_cpu_seconds": seconds[1] - seconds[0],
    }
    if len(seconds) > 2:
        headline["saved_since_before_cpu_seconds"] = seconds[2] - seconds[0]
        headline["share_of_before"] = seconds[0] / seconds[2]
    report("startup", [*rows, *runs], headline, small)


if __name__ == "__main__":
    main()
