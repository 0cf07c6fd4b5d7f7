"""How well `spx check` foretells the peak memory of both stages: its estimate beside the trainings themselves."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import arguments, generated_dataset, report
from spx.checking.facts import attention_edges, edge_facts
from spx.checking.trial import estimate_stages
from spx.datasets import load_dataset
from spx.experiments.plan import ESTIMATOR, WIDE
from spx.files import read_json
from spx.naming import OWN, is_path, run_name
from spx.run_folder import RECORD_FILE

CONFIGS = Path(__file__).parents[1] / "configs"
EXPANDER_DEGREE = 15  # of all the configurations that are used here


def measured(source: str, configs: Path, folder: Path, epochs: int | None) -> dict[str, dict]:
    """`run.json` of both stages, trained as their configurations say; `epochs` instead of theirs."""
    records = {}
    for stage in (ESTIMATOR, WIDE):
        command = [sys.executable, "-m", "spx", "fit", "--config", str(configs / f"{stage}.yaml"), "--name", stage]
        command += ["--data.dataset", source, "--runs_dir", str(folder), "--then_test", str(stage == WIDE).lower()]
        command += ["--trainer.max_epochs", str(epochs)] if epochs else []
        command += ["--trainer.enable_progress_bar", "false"]
        subprocess.run(command, check=True, capture_output=True)
        records[stage] = read_json(folder / run_name(source) / stage / "version_0" / RECORD_FILE)
    return records


def compare(source: str, epochs: int | None, folder: Path) -> list[dict]:
    """A row for each stage."""
    dataset = load_dataset(source)
    configs = CONFIGS / (OWN if is_path(source) else source)
    num_edges = attention_edges(edge_facts(dataset).distinct, dataset.num_nodes, EXPANDER_DEGREE)
    estimates = estimate_stages(dataset, source, num_edges, configs)
    records = measured(source, configs, folder / "measured", epochs)
    rows = []
    for estimate in estimates:
        record = records[estimate.stage]
        rows.append(
            {
                "graph": run_name(source),
                "nodes": dataset.num_nodes,
                "attention edges": num_edges,
                "stage": estimate.stage,
                "estimated MB": estimate.peak_rss_mb,
                "measured MB": record["peak_rss_mb"],
                "memory ratio": estimate.peak_rss_mb / record["peak_rss_mb"],
                "estimated s/epoch": estimate.seconds_per_epoch,
                "measured s/epoch": record["seconds_per_epoch"],
            }
        )
    return rows


def generated(folder: Path, num_nodes: int, mean_degree: int, num_features: int) -> str:
    """An own .npz; returns its path."""
    dataset = generated_dataset(num_nodes, mean_degree, num_features)
    path = folder / f"generated-{num_nodes}-{mean_degree}.npz"
    masks = {}
    for name, nodes in dataset.split._asdict().items():
        masks[f"{name}_mask"] = np.isin(np.arange(num_nodes), nodes.numpy())
    np.savez(path, x=dataset.x.numpy(), edge_index=dataset.edge_index.numpy(), y=dataset.y.numpy(), **masks)
    return str(path)


def main() -> None:
    small = arguments(__doc__).small
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graphs = [(2000, 10, 16)] if small else [(200_000, 10, 32), (60_000, 50, 128)]
        for number, shape in enumerate(graphs):
            rows += compare(generated(folder, *shape), 2, folder / str(number))
        for source in [] if small else ["actor", "minesweeper"]:
            rows += compare(source, None, folder / source)
    ratios = [row["memory ratio"] for row in rows]
    report("check", rows, {"least_ratio": min(ratios), "largest_ratio": max(ratios)}, small)


if __name__ == "__main__":
    main()
