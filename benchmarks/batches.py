"""Batches of core nodes on a graph of 2.4M nodes: the time to build one beside the training step that it feeds."""

import os
import statistics
import time
from pathlib import Path

import torch

from benchmarks.common import arguments, report
from benchmarks.sampling import random_graph
from spx.data.core_nodes import CoreNodeBatches
from spx.graph.blocks import build_blocks
from spx.graph.sampling import sample_neighbors
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

FEATURES, CLASSES = 100, 47


def private_bytes(pid: int) -> int:
    """Memory of a process that it shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private"))


def measure(dataset: CoreNodeBatches, num_core: int, width: int, repeats: int) -> dict:
    """Median seconds of building a batch and of the step on it, by turns."""
    torch.manual_seed(0)
    k = [table.neighbors.shape[1] for table in dataset.draws[0]]
    network = GraphTransformer(
        FEATURES, CLASSES, TransformerSettings(width=width, num_layers=len(k), num_heads=4, dropout=0.2)
    )
    optimizer = torch.optim.AdamW(network.parameters())
    building, blocks, steps = [], [], []
    for turn in range(repeats + 1):
        chosen = torch.randperm(len(dataset))[:num_core].tolist()
        started = time.perf_counter()
        build_blocks(dataset.draws[0], dataset.nodes[chosen])
        alone = time.perf_counter()
        (batch,) = dataset.__getitem__(chosen)
        built = time.perf_counter()
        optimizer.zero_grad()
        logits = network(batch.x, batch.neighborhoods)
        torch.nn.functional.cross_entropy(logits, batch.y).backward()
        optimizer.step()
        stepped = time.perf_counter()
        if turn:
            blocks.append(alone - started)
            building.append(built - alone)
            steps.append(stepped - built)
    seconds = {"blocks": blocks, "batch": building, "step": steps}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "nodes": dataset.x.shape[0],
        "core nodes": num_core,
        "k": ", ".join(map(str, k)),
        "width": width,
        "input nodes": batch.x.shape[0],
        "blocks s": medians["blocks"],
        "batch with features s": medians["batch"],
        "step s": medians["step"],
        "batch / step": medians["batch"] / medians["step"],
    }


def memory_of_workers(dataset: CoreNodeBatches, num_workers: int) -> list[int]:
    """Private memory of each worker while it builds batches."""
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=1000, num_workers=num_workers, collate_fn=lambda batches: os.getpid()
    )
    found: dict[int, int] = {}
    for number, pid in enumerate(loader):
        found[pid] = private_bytes(pid)
        if number == 10:
            break
    return list(found.values())


def main() -> None:
    small = arguments(__doc__).small
    num_nodes, repeats = (100_000, 3) if small else (2_400_000, 9)
    graph, scores = random_graph(num_nodes, 20 if small else 67)
    tables = tuple(sample_neighbors(graph, scores, 10, layer) for layer in (0, 1))
    del graph, scores
    x = torch.randn(num_nodes, FEATURES)
    y = torch.randint(0, CLASSES, (num_nodes,))
    dataset = CoreNodeBatches(torch.arange(num_nodes), [tables], x, y)
    settings = [(1000, 128)] if small else [(1000, 128), (250, 128), (4000, 128), (1000, 64)]
    rows = [measure(dataset, num_core, width, repeats) for num_core, width in settings]
    held = sum(t.numel() * t.element_size() for table in tables for t in table) + x.numel() * 4
    workers = memory_of_workers(dataset, 2)
    headline = {
        "batch_over_step": rows[0]["batch / step"],
        "shared_mb": held / 1e6,
        "private_mb_per_worker": max(workers) / 1e6,
    }
    report("batches", rows, headline, small)


if __name__ == "__main__":
    main()
