"""Does attention explain? Removing the neighbour that a node attends to most against a random other one of its row.

The rows are those of one draw, and what ten draws have together; an edge is taken out of the node's row in every layer,
and the distance between the predictions with and without it is their total variation. Of the other edges the mean is
taken, which is what a random one does on average. The node's edge to itself is no neighbour, and stands apart.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import torch

import spx
from benchmarks.common import arguments, report
from spx.inference.run import TrainedRun

DATASETS, NODES, DRAWS = ("actor", "minesweeper", "photo"), 200, 10
SMALL_DATASETS, SMALL_NODES = ("minesweeper-sim",), 20
RUNS = Path("lightning_logs")
ALL = 1 << 30


def finished_run(dataset: str) -> TrainedRun:
    """The paper's wide network of seed 0, trained if there is none."""
    command = [sys.executable, "-m", "spx", "study", dataset, "--seeds", "0", "--config", "wide"]
    subprocess.run([*command, "--runs_dir", str(RUNS)], check=True, stdout=subprocess.DEVNULL)
    return spx.load(max((RUNS / dataset / "wide").glob("version_*"), key=lambda folder: folder.stat().st_mtime))


def judged_nodes(run: TrainedRun, number: int) -> torch.Tensor:
    """Test nodes, the same at each call."""
    test = run.data.dataset.split.test
    return test[torch.randperm(test.numel(), generator=torch.Generator().manual_seed(0))[:number]].sort().values


def measures(edges: pl.DataFrame, by: str) -> dict[str, Any]:
    """Means over nodes of at least two edges: what removing the first edge by a column moves, another, the best one.

    Args:
        edges: `node`, `moved` and the column, a row for each edge.
        by: attention or rollout.
    """
    edges = edges.filter(pl.len().over("node") > 1)
    moved, first = pl.col("moved"), pl.col(by).arg_max()
    nodes = edges.group_by("node", maintain_order=True).agg(
        pl.len().alias("edges"),
        moved.get(first).alias("first"),
        ((moved.sum() - moved.get(first)) / (pl.len() - 1)).alias("random"),
        moved.max().alias("largest"),
        (moved.arg_max() == first).alias("is_largest"),
        pl.corr(by, "moved", method="spearman").fill_nan(None).alias("rank"),
    )
    gain = nodes["first"] - nodes["random"]
    return {
        "nodes": nodes.height,
        "edges of a node": nodes["edges"].mean(),
        "most: moved": nodes["first"].mean(),
        "random other: moved": nodes["random"].mean(),
        "ratio": nodes["first"].mean() / nodes["random"].mean(),
        "difference, in standard errors": gain.mean() / (gain.std() / nodes.height**0.5),
        "largest: moved": nodes["largest"].mean(),
        "is the largest, of nodes": nodes["is_largest"].mean(),
        "by chance": (1 / nodes["edges"]).mean(),
        "rank correlation": nodes["rank"].mean(),
    }


def rows_of(dataset: str, number: int) -> list[dict[str, Any]]:
    """A row for each number of draws and each way of naming the first of a node's edges."""
    run = finished_run(dataset)
    nodes, rows = judged_nodes(run, number), []
    for draws in (1, DRAWS):
        told = run.explain(nodes, draws=draws, most=ALL)
        shares = told.rollout.select("node", neighbor="input", rollout="share")
        edges = told.neighbors.join(shares, on=["node", "neighbor"], how="left").fill_null(0.0)
        neighbors, itself = edges.filter(pl.col("edge") != "itself"), edges.filter(pl.col("edge") == "itself")
        for by in ("attention", "rollout"):
            row = {"dataset": dataset, "draws": draws, "most by": by} | measures(neighbors, by)
            rows.append(row | {"itself: moved": itself["moved"].mean()})
    return rows


def main() -> None:
    small = arguments(__doc__).small
    rows = [
        row
        for dataset in (SMALL_DATASETS if small else DATASETS)
        for row in rows_of(dataset, SMALL_NODES if small else NODES)
    ]
    headline = {
        row["dataset"]: {
            "most attended": row["most: moved"],
            "random other": row["random other: moved"],
            "largest": row["largest: moved"],
            "most attended is the largest": row["is the largest, of nodes"],
            "by chance": row["by chance"],
        }
        for row in rows
        if (row["draws"], row["most by"]) == (1, "attention")
    }
    report("explanations", rows, headline, small)


if __name__ == "__main__":
    main()
