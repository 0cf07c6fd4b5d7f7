"""Many runs at once, each a process of its own with a log in its folder; what ended well before is taken again."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from spx.experiments.plan import Stage, Study
from spx.experiments.processes import RunningProcess, start_process
from spx.experiments.runs import StageError, reusable_runs, run_stage, settings_of

LOG_FILE = "fit.log"
SHOWN_LINES = 3  # of a failed run's log


@dataclass(frozen=True)
class Job:
    """One run: a stage with a seed on a split."""

    stage: Stage
    seed: int
    split: int = 0

    def __str__(self) -> str:
        return f"{self.stage.name}, seed {self.seed}"


class Processes:
    """Starts processes with a given number of threads each, and stops those that still run when it is told to."""

    def __init__(self, threads: int):
        self.threads = threads
        self._running: set[RunningProcess] = set()
        self._lock, self._stopped = threading.Lock(), False

    def start(self, command: list[str], folder: Path) -> int:
        """Run `spx` with these arguments, its output in the folder's log; returns its exit code."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        with self._lock:
            if self._stopped:
                return -1
            process = start_process(command, environment, folder / LOG_FILE)
            self._running.add(process)
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        self._stopped = True  # for those, too, that wait for their turn to start
        with self._lock:
            for process in self._running:
                process.terminate()


def run_jobs(
    study: Study, jobs: Sequence[Job], processes: int | None = None, threads: int = 1, reuse: bool = True
) -> list[Path]:
    """Run the jobs, several at a time; returns their folders in the same order.

    A finished run of the same settings is taken again, a stopped one goes on, so a command that was stopped goes on
    with what is left. Prints a line for each finished run. A run that fails stops the others.

    Args:
        study: folders, protocol and dataset of all.
        jobs: what to run; the longest first makes the best use of the processes.
        processes: at a time; default: the machine's cores over `threads`.
        threads: that each computes with.
        reuse: take finished and stopped runs again.

    Raises:
        StageError: a run failed.
        ConfigError: the runs' folder can't be written.
    """
    processes = processes or max(1, (os.cpu_count() or 1) // threads)
    folders: dict[int, Path] = {}
    stopped: dict[int, list[Path]] = {}
    for number, job in enumerate(jobs):
        settings = settings_of(study, job.stage, job.seed, job.split, None)
        folder = study.folder / job.stage.name
        ended, stopped[number] = reusable_runs(folder, settings, job.stage) if reuse else (None, [])
        if ended is not None:
            folders[number] = ended
    waiting = [number for number in range(len(jobs)) if number not in folders]
    print(f"{len(jobs)} runs: {len(folders)} done before, {len(waiting)} to do, {processes} at a time", flush=True)

    running, started = Processes(threads), time.monotonic()
    with ThreadPoolExecutor(processes) as pool:
        futures = {}
        for number in waiting:
            futures[pool.submit(_run, study, jobs[number], stopped[number], running)] = number
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                number = futures[future]
                folders[number] = future.result()
                print(_line(jobs[number], done, len(waiting), time.monotonic() - started), flush=True)
        except BaseException:
            running.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [folders[number] for number in range(len(jobs))]


def _run(study: Study, job: Job, stopped: list[Path], processes: Processes) -> Path:
    logs: list[Path] = []

    def start(command: list[str], folder: Path) -> int:
        logs.append(folder / LOG_FILE)
        return processes.start(command, folder)

    try:
        return run_stage(study, job.stage, job.seed, job.split, None, stopped, start)
    except StageError as error:
        raise StageError(f"{error} {_tail(logs[-1])}", error.code) from error


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{log} ends: {' | '.join(lines[-SHOWN_LINES:])}" if lines else f"{log} is empty."


def _line(job: Job, done: int, total: int, seconds: float) -> str:
    left = seconds / done * (total - done)
    return f"[{done}/{total}] {job}: done after {_clock(seconds)}" + (f", about {_clock(left)} to go" if left else "")


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
