"""Processes that have imported torch, Lightning and `spx` before they start: forked from a server that did so once.

What a process is asked for here, `python -m spx ...` or `python -c ...`, runs as it would in a process of its own, with
its own folder, streams, arguments and exit code. What a fork can't show needs a process that starts anew, as
`processes.start_spx` gives it: limits on memory, its peak, what is imported, and a stop by a signal.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

PRELOAD = [
    *("spx.cli", "spx.training", "spx.graph_check.command", "spx.inference.command"),
    *("numba", "torch.distributed", "torch.utils.tensorboard"),  # what a fit imports when it needs it
]


def server() -> multiprocessing.context.BaseContext:
    """Where processes are forked from. It imports once, in the first call of a run of the tests."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def run_forked(
    what: list[str], environment: dict[str, str], cwd: Path | str = ".", timeout: float = 300
) -> subprocess.CompletedProcess:
    """As `subprocess.run([sys.executable, *what], capture_output=True, text=True, ...)`; `what` begins -m or -c."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        process = server().Process(target=_run, args=(what, environment, str(cwd), *map(str, streams)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(what, timeout, *(path.read_bytes() for path in streams))
        return subprocess.CompletedProcess(what, process.exitcode, *(path.read_text() for path in streams))


def _run(what: list[str], environment: dict[str, str], cwd: str, stdout: str, stderr: str) -> None:
    import torch
    from lightning.pytorch.utilities import rank_zero_only

    for stream, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    multiprocessing.set_start_method(None, force=True)  # the server's would be that of a DataLoader's workers, too
    os.environ.update(environment)
    rank_zero_only.rank = int(environment.get("LOCAL_RANK", 0))  # which Lightning asks for when it is imported
    os.chdir(cwd)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    warnings.simplefilter(environment["PYTHONWARNINGS"])
    kind, what, *arguments = what
    sys.path[0] = ""
    sys.argv = [what if kind == "-m" else kind, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
