"""Stage 1 over several processes: how even its rows are split on real graphs, and what travels between the processes.

Traffic is what the loopback device carries in an epoch, a training step and a validation: the difference between a long
and a short fit on a generated graph, with nothing else on that device. Linux.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.common import arguments, report
from benchmarks.distributed import (
    ESTIMATOR,
    ESTIMATOR_WIDTH,
    EXPANDER_DEGREE,
    FOLDER,
    LAYERS,
    fit_command,
    write_dataset,
)
from spx.data import AugmentedGraphData
from spx.errors import DatasetError
from spx.graph.sharding import edge_bounds

DATASETS, RANKS = ("actor", "cora", "minesweeper"), (2, 3, 8)
SHORT, LONG = 2, 12
IMPORTS = "import os, spx.cli; from benchmarks.distributed import memory_of; print(memory_of(os.getpid())[1])"


def balance() -> list[dict]:
    """The largest distance of a rank's attention edges from the mean over ranks, on the datasets that are here."""
    rows = []
    for name in DATASETS:
        try:
            data = AugmentedGraphData(name, expander_degree=EXPANDER_DEGREE)
            graph, added = data.graph, 2 * EXPANDER_DEGREE + 1
        except DatasetError as error:
            print(f"{name} left out: {error}")
            continue
        for ranks in RANKS:
            bounds = edge_bounds(data.dataset.edge_index, graph.num_nodes, added, ranks)
            edges = graph.indptr[torch.tensor(bounds)].diff().double()
            off = float((edges / edges.mean() - 1).abs().max())
            rows.append({"graph": name, "processes": ranks, "edges off the mean %": 100 * off})
    return rows


def traffic(num_nodes: int, processes: Sequence[int]) -> list[dict]:
    """Bytes of an epoch beside the model's: (P - 1) 4 d N for each gather of a layer's states and for its backward."""
    with tempfile.TemporaryDirectory() as name:
        write_dataset(Path(name), num_nodes, mean_degree=10, num_features=16)
        rows = []
        for ranks in processes:
            carried = [_carried(ranks, epochs, Path(name)) for epochs in (SHORT, LONG)]
            gather = (ranks - 1) * 4 * ESTIMATOR_WIDTH * num_nodes * LAYERS
            rows.append(
                {
                    "graph": f"generated, {num_nodes:,} nodes",
                    "processes": ranks,
                    "MB an epoch": (carried[1] - carried[0]) / (LONG - SHORT) / 1e6,
                    "model, backward as forward": 3 * gather / 1e6,
                    "model, backward twice": 4 * gather / 1e6,
                }
            )
    return rows


def _carried(ranks: int, epochs: int, folder: Path) -> int:
    command = fit_command(ESTIMATOR, ranks, folder, epochs)
    environment = {**os.environ, FOLDER: str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    before = _loopback_bytes()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _loopback_bytes() - before


def _loopback_bytes() -> int:
    return int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text())


def imports_bytes() -> int:
    """Own memory of a process that has imported the program and done nothing."""
    return int(subprocess.check_output([sys.executable, "-c", IMPORTS], text=True))


def main() -> None:
    small = arguments(__doc__).small
    even, carried = balance(), traffic(20_000, (2,)) if small else traffic(200_000, (2, 3))
    headline = {
        "imports_own_gb": imports_bytes() / 1e9,
        "edges_off_the_mean_percent": {
            name: max(row["edges off the mean %"] for row in even if row["graph"] == name)
            for name in dict.fromkeys(row["graph"] for row in even)
        },
        "mb_an_epoch": {row["processes"]: row["MB an epoch"] for row in carried},
    }
    report("sharding", even + carried, headline, small)


if __name__ == "__main__":
    main()
