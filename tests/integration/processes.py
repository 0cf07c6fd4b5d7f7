"""`spx` as a process of its own, on a small graph of one's own, for what can't be done to the tests' own process."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from .conftest import CONFIGS
from .forked import run_forked

NUM_NODES = 300
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
SPX = [sys.executable, "-m", "spx"]


def write_graph(path: Path) -> Path:
    """An own .npz whose labels follow from the features of a node and its neighbours."""
    random = np.random.default_rng(0)
    x = random.normal(size=(NUM_NODES, 6)).astype(np.float32)
    edges = random.integers(NUM_NODES, size=(2, 4 * NUM_NODES))
    seen = x.copy()
    np.add.at(seen, edges[1], x[edges[0]])
    np.savez(path, x=x, edge_index=edges, y=seen[:, :3].argmax(1))
    return path


def write_own_configs(folder: Path, graph: Path) -> None:
    """The toy configurations, for `graph`, with dropout in both stages."""
    for name in ("estimator", "wide"):
        config = yaml.safe_load(yaml.safe_dump(CONFIGS[name]))
        config["data"]["init_args"]["dataset"] = str(graph)
        config["model"]["init_args"]["dropout"] = 0.3
        config["checkpoint"] = {"last_seconds": 0}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


def run_spx(*arguments: object, cwd: Path | str = ".") -> subprocess.CompletedProcess:
    """Run the command to its end, in the folder `cwd`."""
    return run_forked(["-m", "spx", *map(str, arguments)], ENVIRONMENT, cwd)


def run_spx_on_ranks(ranks: int, *arguments: object, cwd: Path | str = ".") -> list[subprocess.CompletedProcess]:
    """Run the command on `ranks` processes of one machine, which are started from outside, as a cluster would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        of_all = {**ENVIRONMENT, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    several = ("--trainer.strategy", "ddp", "--trainer.devices", str(ranks))
    command = ["-m", "spx", *map(str, arguments), *several]
    with ThreadPoolExecutor(ranks) as pool:
        environments = [{**of_all, "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)} for rank in range(ranks)]
        return list(pool.map(lambda environment: run_forked(command, environment, cwd), environments))


def run_python(code: str, *arguments: object, cwd: Path | str = ".") -> subprocess.CompletedProcess:
    """Run some lines of Python to their end, in the folder `cwd`."""
    return run_forked(["-c", code, *map(str, arguments)], ENVIRONMENT, cwd)


def start_spx(*arguments: object, **settings: object) -> subprocess.Popen:
    """Start the command, which Ctrl-C reaches even if the tests themselves run in the background of a shell."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    heeds_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([*SPX, *map(str, arguments)], env=ENVIRONMENT, preexec_fn=heeds_ctrl_c, **pipes, **settings)


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    """Until the process has written the file."""
    end = time.monotonic() + seconds
    while not path.is_file():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(f"no {path}: {process.communicate()[0]}")
        time.sleep(0.01)
