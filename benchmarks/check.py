"""How well `spx check` foretells the peak memory of both stages: its estimate beside the trainings themselves."""

import tempfile
from pathlib import Path

from benchmarks.common import arguments, generated_dataset, report, saved_dataset, trained
from spx.dataset_names import OWN, is_path, run_name
from spx.datasets import load_dataset
from spx.experiments.plan import ESTIMATOR, WIDE
from spx.graph_check.facts import attention_edges, edge_facts
from spx.graph_check.trial import estimate_stages

CONFIGS = Path(__file__).parents[1] / "configs"
EXPANDER_DEGREE = 15  # of all the configurations that are used here


def measured(source: str, configs: Path, folder: Path, epochs: int | None) -> dict[str, dict]:
    """`run.json` of both stages, trained as their configurations say; `epochs` instead of theirs."""
    brief = ["--trainer.max_epochs", str(epochs)] if epochs else []
    return {
        stage: trained(configs, stage, source, folder, "--then_test", str(stage == WIDE).lower(), *brief)
        for stage in (ESTIMATOR, WIDE)
    }


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


def main() -> None:
    small = arguments(__doc__).small
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graphs = [(2000, 10, 16)] if small else [(200_000, 10, 32), (60_000, 50, 128)]
        for number, shape in enumerate(graphs):
            rows += compare(saved_dataset(folder, generated_dataset(*shape)), 2, folder / str(number))
        for source in [] if small else ["actor", "minesweeper"]:
            rows += compare(source, None, folder / source)
    ratios = [row["memory ratio"] for row in rows]
    report("check", rows, {"least_ratio": min(ratios), "largest_ratio": max(ratios)}, small)


if __name__ == "__main__":
    main()
