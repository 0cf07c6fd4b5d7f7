"""A trained run on its graph as it has become since: one node in a hundred is new, one edge in a hundred is gone.

`spx predict` as a process of its own: it reads the changed graph, matches the nodes, augments, scores by the estimator
that the run keeps, draws what the nodes reach, predicts. The graph has the shape of Amazon2M, 100 features, 47 classes.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import arguments, generated_dataset, report, saved_dataset, trained
from spx.dataset_names import OWN, run_name
from spx.datasets.types import NodeDataset, Split
from spx.experiments.plan import ESTIMATOR, WIDE

CONFIGS = Path(__file__).parents[1] / "configs" / OWN
MEAN_DEGREE, CHANGED = 36, 0.01
BRIEF = ("--trainer.max_epochs", "1", "--model.num_layers", "2", "--then_test", "false")
STAGES = {ESTIMATOR: BRIEF, WIDE: (*BRIEF, "--data.k", "[10,10]", "--data.batch_size", "1000")}


def before(num_nodes: int) -> NodeDataset:
    """The graph that is trained on; one node in a hundred each is trained on, validated and judged."""
    dataset = generated_dataset(num_nodes, MEAN_DEGREE, num_features=100, num_classes=47)
    few = Split(*(part[: num_nodes // 100] for part in dataset.split))
    return dataset._replace(split=few)


def after(dataset: NodeDataset) -> NodeDataset:
    """The same graph a while later."""
    stream = torch.Generator().manual_seed(1)
    new = int(CHANGED * dataset.num_nodes)
    stayed = torch.rand(dataset.edge_index.shape[1], generator=stream) >= CHANGED
    known = torch.randint(0, dataset.num_nodes, (new * MEAN_DEGREE // 2,), generator=stream)
    fresh = dataset.num_nodes + torch.arange(known.numel()) % new
    edges = torch.cat((dataset.edge_index[:, stayed], torch.stack((known, fresh)), torch.stack((fresh, known))), 1)
    x = torch.cat((dataset.x, torch.randn(new, dataset.num_features, generator=stream)))
    y = torch.cat((dataset.y, torch.randint(0, dataset.num_classes, (new,), generator=stream)))
    return dataset._replace(name=f"{dataset.name}-later", x=x, edge_index=edges, y=y, split=dataset.split)


def measured(command: list[str]) -> dict[str, Any]:
    """Seconds, CPU seconds and peak memory of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "CPU s": usage.ru_utime + usage.ru_stime, "peak GB": usage.ru_maxrss * 1024 / 1e9}


def measure(num_nodes: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each number of nodes that are predicted."""
    dataset = before(num_nodes)
    source = saved_dataset(folder, dataset)
    later = after(dataset)
    num_edges = int(later.edge_index.shape[1] + 31 * later.num_nodes)
    newer = saved_dataset(folder, later)
    total = later.num_nodes
    del dataset, later
    for stage, settings in STAGES.items():
        trained(CONFIGS, stage, source, folder / "runs", *settings)
        print(f"{stage} trained", flush=True)
    run = folder / "runs" / run_name(source) / WIDE / "version_0"
    rows = []
    for count in (1, 1000):
        nodes = folder / "nodes.txt"
        chosen = torch.randperm(total, generator=torch.Generator().manual_seed(3))[:count]
        nodes.write_text("\n".join(map(str, chosen.tolist())))
        command = [sys.executable, "-m", "spx", "predict", str(run), "--dataset", newer, "--nodes", str(nodes)]
        row = {"nodes": total, "attention edges": num_edges, "predicted": count}
        rows.append(row | measured([*command, "--output", str(folder / "predictions.csv")]))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    small = arguments(__doc__).small
    with tempfile.TemporaryDirectory(dir=".") as name:
        rows = measure(20_000 if small else 2_400_000, Path(name))
    report(
        "changed",
        rows,
        {"seconds": rows[-1]["seconds"], "peak_gb": rows[-1]["peak GB"]},
        small,
        "python -m benchmarks.changed",
    )


if __name__ == "__main__":
    main()
