"""Memory and time of both stages on one, two and three processes of one machine.

The graph has the mean degree and the feature width of Amazon2M (2.4 million nodes), the settings are the authors' for
it, and stage 2 does a few batches an epoch.

What processes share is counted once: a process's own memory is what no other maps (Private_* of smaps_rollup), and the
memory of all is the sum of their proportional shares (Pss). Linux.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks.common import arguments, generated_dataset, report
from spx.data import AugmentedGraphData, graph_data
from spx.datasets.types import NodeDataset, Split
from spx.files import read_json
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores

RANKS = (1, 2, 3)
FOLDER = "SPX_BENCHMARK_FOLDER"
"""Environment variable by which the script knows that it is to act as `spx` on the graph in that folder."""
ESTIMATOR_WIDTH = 4
EXPANDER_DEGREE, LAYERS, K, BATCH_SIZE, BATCHES = 15, 2, (10, 10), 1000, 10
ESTIMATOR = {"model": "spx.training.AttentionEstimator", "data": "spx.data.AugmentedGraphData"}
WIDE = {"model": "spx.training.Spexphormer", "data": "spx.data.ResampledGraphData"}


def write_dataset(folder: Path, num_nodes: int, mean_degree: int, num_features: int) -> None:
    """The generated graph as tensors that every process maps, and scores over it."""
    dataset = generated_dataset(num_nodes, mean_degree, num_features)
    tensors = {name: getattr(dataset, name) for name in ("x", "edge_index", "y")}
    save_file({**tensors, **dataset.split._asdict()}, folder / "graph.safetensors")
    graph_data.load_dataset = lambda *_: dataset
    data = AugmentedGraphData("generated", expander_degree=EXPANDER_DEGREE)
    weights = torch.rand(data.graph.num_edges)
    sums = torch.segment_reduce(weights, "sum", offsets=data.graph.indptr)
    weights /= torch.repeat_interleave(sums, data.graph.degrees())
    header = ArtifactHeader("generated", "public", 0, 0, data.data_fingerprint, 4, 1, "accuracy", 0.5, 0, 1.0)
    save_scores(folder / "scores.safetensors", AttentionScores(data.graph, weights.expand(LAYERS, -1)), header)


def read_dataset(folder: Path) -> NodeDataset:
    """The graph as `write_dataset` left it, memory-mapped."""
    with safe_open(folder / "graph.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    split = Split(*(tensors.pop(name) for name in Split._fields))
    facts = {"split_index": 0, "num_classes": 10, "task": "multiclass", "metric": "accuracy"}
    return NodeDataset(name="generated", protocol="public", split=split, **tensors, **facts)


def fit_command(stage: dict[str, str], ranks: int, folder: Path, epochs: int = 2) -> list[str]:
    """A short fit of a stage on the generated graph of the folder, by this script's `fit`."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.distributed",
        "fit",
        "--model",
        stage["model"],
        "--data",
        stage["data"],
    ]
    command += ["--data.dataset", "generated", "--model.num_layers", str(LAYERS), "--trainer.max_epochs", str(epochs)]
    command += ["--runs_dir", str(folder / "runs"), "--name", f"ranks{ranks}", "--trainer.accelerator", "cpu"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.devices", str(ranks), "--attention.every", "0"]
    if stage is ESTIMATOR:
        command += [
            "--model.width",
            str(ESTIMATOR_WIDTH),
            "--data.expander_degree",
            str(EXPANDER_DEGREE),
            "--data.shard",
            "true",
        ]
    else:
        command += ["--model.width", "128", "--model.num_heads", "1", "--data.k", str(list(K))]
        command += ["--data.scores", str(folder / "scores.safetensors"), "--data.batch_size", str(BATCH_SIZE)]
        for part in ("train", "val"):
            command += [f"--trainer.limit_{part}_batches", str(BATCHES)]
    return command + (["--trainer.strategy", "ddp"] if ranks > 1 else [])


def processes_of(session: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    yield int(entry.name)
            except ProcessLookupError:
                continue


def memory_of(pid: int) -> tuple[int, int]:
    """Proportional and own memory in bytes; (0, 0) of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return kilobytes["Pss"] * 1024, (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) * 1024


def watched(command: list[str], folder: Path) -> dict[str, float]:
    """Run it; peaks over time of the memory of all its processes together, and of the own memory of each."""
    environment = {**os.environ, FOLDER: str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    total, own = 0, {}
    while process.poll() is None:
        of_now = {pid: memory_of(pid) for pid in processes_of(process.pid)}
        total = max(total, sum(pss for pss, _ in of_now.values()))
        own |= {pid: max(own.get(pid, 0), private) for pid, (_, private) in of_now.items()}
        time.sleep(0.2)
    reader.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {errors[0][-500:]}")
    ranks = sorted(own.values(), reverse=True)
    return {"all processes GB": total / 1e9, "largest process's own GB": ranks[0] / 1e9}


def measure(folder: Path) -> list[dict]:
    rows = []
    for name, stage in (("stage 1, sharded", ESTIMATOR), ("stage 2", WIDE)):
        for ranks in RANKS:
            command = fit_command(stage, ranks, folder)
            command += ["--version", "0" if stage is ESTIMATOR else "1"]
            peaks = watched(command, folder)
            run = folder / "runs" / "generated" / f"ranks{ranks}" / f"version_{command[-1]}"
            record = read_json(run / "run.json")
            rows.append({"stage": name, "processes": ranks, **peaks, "s/epoch": record["seconds_per_epoch"]})
    for row in rows:
        alone = next(each for each in rows if each["stage"] == row["stage"])["all processes GB"]
        if row["processes"] > 1:
            extra = (row["all processes GB"] - alone) / (row["processes"] - 1)
            row["extra process / first"] = extra / alone
    return rows


def main() -> None:
    if FOLDER in os.environ:
        from spx.__main__ import main as spx

        graph_data.load_dataset = lambda *_: read_dataset(Path(os.environ[FOLDER]))
        spx()
        return
    small = arguments(__doc__).small
    with tempfile.TemporaryDirectory() as name:
        write_dataset(Path(name), *((20_000, 10, 32) if small else (1_000_000, 51, 100)))
        rows = measure(Path(name))
    ratios = {
        row["processes"]: row["extra process / first"]
        for row in rows
        if row["stage"] == "stage 2" and row["processes"] > 1
    }
    report("distributed", rows, {"extra_process_stage_2": ratios}, small)


if __name__ == "__main__":
    main()
