"""Peak memory of `plus.yaml` beside the paper's configuration, on generated graphs of the published datasets' sizes.

Two epochs and a test of each; the paper's draws uniformly, so that no estimator is needed.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import arguments, generated_dataset, report, saved_dataset, trained
from spx.experiments.plan import WIDE
from spx.graph_check.plus_rule import MOST_TRAINING_NODES

CONFIGS = Path(__file__).parents[1] / "configs"
BRIEF = ("--trainer.max_epochs", "2", "--then_test", "true", "--data.sampler", "uniform")


class Size(NamedTuple):
    """Of a published dataset; training nodes are those of its first public split."""

    num_nodes: int
    num_training_nodes: int
    mean_degree: float
    num_features: int


SIZES = {
    "actor": Size(7600, 3648, 3.9, 932),
    "amazon-ratings": Size(24_492, 12_246, 7.6, 300),
    "amazon2m": Size(2_449_029, 1_224_514, 50.5, 100),
    "citeseer": Size(3327, 120, 2.7, 3703),
    "computer": Size(13_752, 8251, 35.8, 767),
    "cora": Size(2708, 140, 3.9, 1433),
    "cs": Size(18_333, 11_000, 8.9, 6805),
    "minesweeper": Size(10_000, 5000, 7.9, 7),
    "minesweeper-sim": Size(10_000, 5000, 7.9, 7),
    "ogbn-arxiv": Size(169_343, 90_941, 13.7, 128),
    "ogbn-products": Size(2_449_029, 196_615, 50.5, 100),
    "ogbn-proteins": Size(132_534, 86_619, 597, 8),
    "photo": Size(7650, 4590, 31.1, 745),
    "physics": Size(34_493, 20_696, 14.4, 8415),
    "pokec": Size(1_632_803, 163_280, 18.8, 65),
    "pubmed": Size(19_717, 60, 4.5, 500),
    "questions": Size(48_921, 24_460, 6.3, 301),
    "roman-empire": Size(22_662, 11_331, 2.9, 300),
    "tolokers": Size(11_758, 5879, 88.3, 10),
    "wikics": Size(11_701, 580, 36.9, 300),
}
LARGE = {name for name, size in SIZES.items() if size.num_training_nodes > MOST_TRAINING_NODES}
MEASURED = sorted(SIZES.keys() - LARGE - {"minesweeper-sim"})


def row(name: str, folder: Path) -> dict:
    """Both configurations of the dataset, trained on a generated graph of its size."""
    size = SIZES[name]
    source = saved_dataset(folder, generated_dataset(size.num_nodes, size.mean_degree, size.num_features))
    paper, plus = (trained(CONFIGS / name, config, source, folder, *BRIEF) for config in (WIDE, "plus"))
    return {
        "size of": name,
        "nodes": size.num_nodes,
        "mean degree": size.mean_degree,
        "features": size.num_features,
        "edges a layer": paper["attention_edges"],
        "plus: edges": plus["attention_edges"],
        "peak MB": paper["peak_rss_mb"],
        "plus: MB": plus["peak_rss_mb"],
        "plus / paper": plus["peak_rss_mb"] / paper["peak_rss_mb"],
    }


def main() -> None:
    small = arguments(__doc__).small
    rows = []
    for name in ["cora"] if small else MEASURED:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(name, Path(folder)))
    report("memory", rows, {"largest_ratio": max(row["plus / paper"] for row in rows)}, small)


if __name__ == "__main__":
    main()
