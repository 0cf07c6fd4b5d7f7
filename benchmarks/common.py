"""What the benchmarks share: timing side by side, peak memory, generated graphs, the report."""

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spx.configurations import config_layers
from spx.dataset_names import run_name
from spx.datasets.types import NodeDataset, Split
from spx.files import read_json
from spx.run_folder import RECORD_FILE

NOT_MEASURED = "not measured"
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("spx", "torch", "numba", "lightning", "torch-geometric", "numpy")


def arguments(description: str, large: str | None = None) -> argparse.Namespace:
    """`--small` for a version of less than a minute; `--case` is how a script calls itself in a fresh process; where a
    script says what for, `--large`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="a version of less than a minute")
    if large is not None:
        parser.add_argument("--large", action="store_true", help=large)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def medians(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each function, in turns: a slow moment of the machine meets all; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_bytes(function: Callable[[], Any]) -> int:
    """Resident memory that a call takes beyond what is resident before it, at its peak. Linux."""
    settle()
    before = resident("VmRSS")
    function()
    return resident("VmHWM") - before


def settle() -> None:
    """Give freed memory back to the system and start the peak anew."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def in_fresh_process(script: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run a script's `--case` alone in a process; its last line is the answer. A failure is a row too."""
    command = [sys.executable, "-m", f"benchmarks.{Path(script).stem}", "--case", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return {"error": f"exit code {done.returncode}: {last[:200]}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(
    name: str, rows: list[dict[str, Any]], headline: dict[str, Any], small: bool, command: str | None = None
) -> None:
    """Print the table and the headline, and write `results/<name>.json` (`<name>-small.json` for a small run)."""
    table = Table(title=name)
    columns = columns_of(rows)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(shown(row.get(column, "")) for column in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for key, value in headline.items():
        print(f"{key}: {shown(value)}")
    RESULTS.mkdir(exist_ok=True)
    content = {
        "command": command or f"make bench-{name}" + (" SMALL=1" if small else ""),
        "versions": versions(),
        "cpu": cpu(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "not measured",
        "rows": rows,
        "headline": headline,
    }
    path = RESULTS / (f"{name}-small.json" if small else f"{name}.json")
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"Written: {path}")


def kept_rows(name: str, small: bool = False) -> list[dict[str, Any]]:
    """Those of a benchmark's result file, for one that measures a part anew; none if there is no file."""
    return (read_json(RESULTS / f"{name}{'-small' if small else ''}.json") or {"rows": []})["rows"]


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def cpu() -> str:
    """Model and number of cores, and the threads that torch uses."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    """Names of all columns, in the order in which they turn up."""
    return list(dict.fromkeys(column for row in rows for column in row))


def shown(value: Any) -> str:
    """A value as a table shows it: three digits, thousands apart."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def power_law_edges(num_nodes: int, num_edges: int, seed: int = 0) -> Tensor:
    """Undirected random graph with a power-law degree sequence (configuration model): [2, about num_edges] int64."""
    stream = torch.Generator().manual_seed(seed)
    share = torch.rand(num_nodes, generator=stream).pow_(-0.5)
    degrees = (share * (num_edges / 2 / share.sum())).long().clamp_(1, num_nodes // 10)
    stubs = torch.repeat_interleave(degrees)
    other = stubs[torch.randperm(stubs.numel(), generator=stream)]
    return torch.stack((torch.cat((stubs, other)), torch.cat((other, stubs))))


def generated_dataset(
    num_nodes: int, mean_degree: float, num_features: int = 64, num_classes: int = 10, seed: int = 0
) -> NodeDataset:
    """A power-law graph with random features and labels, half of the nodes to train on and a quarter each to judge."""
    stream = torch.Generator().manual_seed(seed)
    order = torch.randperm(num_nodes, generator=stream)
    half, quarter = num_nodes // 2, num_nodes // 4
    split = Split(
        *(part.sort().values for part in (order[:half], order[half : half + quarter], order[half + quarter :]))
    )
    return NodeDataset(
        name=f"generated-{num_nodes}-{mean_degree:g}",
        protocol="public",
        x=torch.randn(num_nodes, num_features, generator=stream),
        edge_index=power_law_edges(num_nodes, int(num_nodes * mean_degree), seed),
        y=torch.randint(0, num_classes, (num_nodes,), generator=stream),
        split=split,
        split_index=0,
        num_classes=num_classes,
        task="multiclass",
        metric="accuracy",
    )


def saved_dataset(folder: Path, dataset: NodeDataset) -> str:
    """Write it as an `.npz` of a user's own graph, and return the path."""
    path = folder / f"{dataset.name}.npz"
    nodes = np.arange(dataset.num_nodes)
    masks = {f"{name}_mask": np.isin(nodes, part.numpy()) for name, part in dataset.split._asdict().items()}
    np.savez(path, x=dataset.x.numpy(), edge_index=dataset.edge_index.numpy(), y=dataset.y.numpy(), **masks)
    return str(path)


def trained(configs: Path, kind: str, source: str, runs_dir: Path, *more: str) -> dict[str, Any]:
    """`run.json` of `spx fit` with the configuration of that kind for the folder `configs`, in a process of its own."""
    files = [word for file in config_layers(configs, kind) for word in ("--config", str(file))]
    command = [sys.executable, "-m", "spx", "fit", *files, "--name", kind]
    command += ["--data.dataset", source, "--runs_dir", str(runs_dir), "--trainer.enable_progress_bar", "false", *more]
    subprocess.run(command, check=True, capture_output=True)
    return read_json(runs_dir / run_name(source) / kind / "version_0" / RECORD_FILE)
