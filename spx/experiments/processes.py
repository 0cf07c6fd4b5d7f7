"""Runs as processes of their own, forked from a server that has imported what a fit needs: that takes longer than many
a run.

Where that can't be, each is a process that starts anew: other systems than Linux, processes of multiprocessing, and
programs other than the command `spx`, whose main file multiprocessing would run again in each process. A forked process
that can't use what the server imported, because its environment is another one or a GPU's context is there already,
starts itself anew.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

PRELOAD = "spx.preload"
TOLD_SECONDS, GRACE_SECONDS = 1.0, 5.0

_lock = threading.Lock()  # multiprocessing keeps account of processes for the thread that started them alone


class ForkedProcess:
    """A run forked from the server, with those methods of `subprocess.Popen` that are needed here.

    Args:
        command: arguments of `spx`.
        environment: of the process.
        log: takes its output.

    Raises:
        OSError, EOFError: there is no server, nor can one be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path | None):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOAD])
        self._process = context.Process(target=_become, args=(list(command), dict(environment), log))
        with _lock:
            with _environment(environment):
                forkserver.ensure_running()
            self._process.start()
        self.pid = self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, as soon as the process has ended.

        Raises:
            subprocess.TimeoutExpired: it hasn't within so many seconds.
        """
        if not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired("spx", timeout)
        with _lock:
            self._process.join()
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


RunningProcess = subprocess.Popen | ForkedProcess


def start_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None
) -> RunningProcess:
    """Start `spx` with these arguments.

    Args:
        command: the arguments.
        environment: of the process; default: that of this one.
        log: takes its output, behind what the file holds; default: the output of this process.

    Raises:
        OSError: the log can't be written.
    """
    environment = dict(os.environ if environment is None else environment)
    if log is not None:
        _open_log(log).close()
    if _can_fork():
        with contextlib.suppress(OSError, EOFError):
            return ForkedProcess(command, environment, log)
    with contextlib.nullcontext() if log is None else _open_log(log) as output:
        errors = None if log is None else subprocess.STDOUT
        return subprocess.Popen(_anew(command), stdout=output, stderr=errors, env=environment)


def run_process(command: Sequence[str]) -> int:
    """Run `spx` with these arguments to its end, its output on the terminal; returns its exit code.

    It ends with this process, if that is stopped meanwhile.
    """
    process = start_process(command)
    try:
        return process.wait()
    except BaseException as stop:
        end_process(process, told=isinstance(stop, KeyboardInterrupt))
        raise


def end_process(process: RunningProcess, told: bool = False) -> None:
    """End a run, and what it has started with it; `told` where Ctrl-C has reached it, too."""
    try:
        if told:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TOLD_SECONDS)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    finally:
        process.kill()
        process.wait()


def _can_fork() -> bool:
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", None) or Path(getattr(main, "__file__", "")).name
    is_the_first = multiprocessing.parent_process() is None  # others are children of a server already
    return sys.platform == "linux" and name in ("spx.__main__", "spx") and is_the_first


@contextlib.contextmanager
def _environment(environment: Mapping[str, str]):
    """The environment for a server, which libraries read when they are imported."""
    before = dict(os.environ)
    _set_environment(environment)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})


def _become(command: list[str], environment: dict[str, str], log: Path | None) -> None:
    """In a forked process: be what `python -m spx` would be."""
    if not multiprocessing.parent_process().is_alive():  # stopped while the server was importing
        return
    if log is not None:
        with _open_log(log) as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
    if not _is_like_a_new_one(environment):
        words = _anew(command)
        os.execve(words[0], words, environment)
    import numpy as np

    from spx.preload import leave, pages
    from spx.resident import map_pages

    atexit.unregister(leave)
    map_pages(pages)
    multiprocessing.set_start_method(None, force=True)  # the server's would be that of a DataLoader's workers, too
    np.random.seed()  # other generators begin anew by themselves
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    sys.argv = ["spx", *command]
    sys.modules.pop("spx.__main__", None)  # it is run as __main__
    try:
        runpy.run_module("spx", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


def _is_like_a_new_one(environment: dict[str, str]) -> bool:
    preload, torch = sys.modules.get(PRELOAD), sys.modules.get("torch")
    if preload is None or torch is None or preload.environment != environment:
        return False
    return not torch.cuda._is_in_bad_fork()


def _anew(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "spx", *command]


def _open_log(path: Path):
    return open(path, "a", opener=_no_follow)


def _no_follow(path: str, flags: int) -> int:
    """Open a file, but not what a link in its place leads to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
