"""Peak memory of `plus.yaml` beside the paper's configuration, on generated graphs of the published datasets' sizes.

Two epochs and a test of each; the paper's draws uniformly, so that no estimator is needed.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import arguments, generated_dataset, report, saved_dataset, trained
from spx.experiments.plan import WIDE

CONFIGS = Path(__file__).parents[1] / "configs"
BRIEF = ("--trainer.max_epochs", "2", "--then_test", "true", "--data.sampler", "uniform")


class Size(NamedTuple):
    num_nodes: int
    mean_degree: float
    num_features: int


SIZES = {
    "actor": Size(7600, 3.9, 932),
    "amazon-ratings": Size(24_492, 7.6, 300),
    "citeseer": Size(3327, 2.7, 3703),
    "computer": Size(13_752, 35.8, 767),
    "cora": Size(2708, 3.9, 1433),
    "cs": Size(18_333, 8.9, 6805),
    "minesweeper": Size(10_000, 7.9, 7),
    "photo": Size(7650, 31.1, 745),
    "physics": Size(34_493, 14.4, 8415),
    "pubmed": Size(19_717, 4.5, 500),
    "questions": Size(48_921, 6.3, 301),
    "roman-empire": Size(22_662, 2.9, 300),
    "tolokers": Size(11_758, 88.3, 10),
    "wikics": Size(11_701, 36.9, 300),
}


def row(name: str, folder: Path) -> dict:
    source = saved_dataset(folder, generated_dataset(*SIZES[name]))
    paper, plus = (trained(CONFIGS / name / f"{config}.yaml", source, folder, *BRIEF) for config in (WIDE, "plus"))
    return {
        "size of": name,
        "nodes": SIZES[name].num_nodes,
        "mean degree": SIZES[name].mean_degree,
        "features": SIZES[name].num_features,
        "edges a layer": paper["attention_edges"],
        "plus: edges": plus["attention_edges"],
        "peak MB": paper["peak_rss_mb"],
        "plus: MB": plus["peak_rss_mb"],
        "plus / paper": plus["peak_rss_mb"] / paper["peak_rss_mb"],
    }


def main() -> None:
    small = arguments(__doc__).small
    rows = []
    for name in ["cora"] if small else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(name, Path(folder)))
    report("memory", rows, {"largest_ratio": max(row["plus / paper"] for row in rows)}, small)


if __name__ == "__main__":
    main()
