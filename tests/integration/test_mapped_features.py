"""Features that the memory has no room for: both stages, predictions and the check read them from the disk."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

NUM_NODES = 8_000
FEATURE_BYTES = 800_000_000
ROOM = 600_000_000  # bytes that the process may take besides what its libraries take


def write_folder(folder: Path, dtype: str) -> None:
    """A ring of two classes that the first two features tell apart; the other features are holes in the file."""
    folder.mkdir()
    numbers = np.arange(NUM_NODES)
    pl.DataFrame({"id": numbers, "label": numbers % 2}).write_csv(folder / "nodes.csv")
    pl.DataFrame({"source": numbers, "target": (numbers + 2) % NUM_NODES}).write_csv(folder / "edges.csv")
    num_features = FEATURE_BYTES // NUM_NODES // np.dtype(dtype).itemsize
    x = np.lib.format.open_memmap(folder / "features.npy", "w+", dtype, (NUM_NODES, num_features))
    x[numbers, numbers % 2] = 3


@pytest.mark.full
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit counts private memory alone on Linux")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_graph_with_more_features_than_memory(dtype: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "graph", dtype)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = pl.read_csv(tmp_path / "predictions.csv")
    assert (table["prediction"] == table["node"] % 2).mean() > 0.9


def train_and_predict_in_little_memory() -> None:
    import spx.inference.command
    import spx.training  # noqa: F401 - what its libraries take is not counted
    from spx.__main__ import main

    limit_memory(ROOM)
    refuses_to_load(Path("graph", "features.npy"))
    sys.argv = ["spx"]  # LightningCLI looks at it
    model = ["--model.width", "8", "--model.num_layers", "2", "--model.lr", "0.05", "--model.warmup_epochs", "0"]
    shared = ["--data.dataset", "./graph", "--runs_dir", "runs", "--trainer.max_epochs", "1", *model]
    shared += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    stage = ["--model", "AttentionEstimator", "--data", "AugmentedGraphData", "--data.expander_degree", "2"]
    main(["fit", "--name", "estimator", *stage, *shared])
    stage = ["--model", "Spexphormer", "--data", "ResampledGraphData", "--data.k", "[1,1]", "--data.batch_size", "100"]
    main(["fit", "--name", "wide", *stage, *shared])
    main(["predict", "runs/graph/wide/version_0", "--output", "predictions.csv", "--draws", "1", "--batch_size", "200"])
    main(["check", "./graph", "--facts"])


def limit_memory(room: int) -> None:
    import resource

    status = Path("/proc/self/status").read_text().splitlines()
    taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (taken + room, taken + room))


def refuses_to_load(file: Path) -> None:
    try:
        np.load(file)
    except MemoryError:
        return
    raise AssertionError(f"{file} fits into memory: the limit shows nothing")


if __name__ == "__main__":
    train_and_predict_in_little_memory()
