"""How a run does on nodes that it never saw: a share of them hidden in training with all their edges, then predicted
on the whole graph, beside the same nodes' figure of a run that saw all (transductive).

Judged are the hidden nodes of the test part. The wide network draws by scores that the estimator gives the whole graph
anew; a GCN is treated the same. The standard error is that of the difference over the judged nodes, by the bootstrap of
pairs: other weights at the start would vary the figures besides. An hour and more. Rows that the results hold, and
studies that were run before, are taken again, so that the command goes on where it was stopped.
"""

import itertools
import math
import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torchmetrics.functional import auroc

from benchmarks.common import arguments, kept_rows, report
from spx.datasets import NodeDataset, load_dataset
from spx.datasets.hidden import hidden_nodes
from spx.experiments.plan import WIDE, Study
from spx.experiments.study import run_study
from spx.inference.run import load

RUNS = Path("lightning_logs", "hidden")
CASES = {"photo": (0, 1), "cs": (0,), "minesweeper": (0, 1), "actor": (0, 1, 2, 3, 4)}
"""Dataset and its splits."""
SHARES, CONFIGS = (0.1, 0.3), (WIDE, "gcn")
CASE = ("dataset", "network", "share", "split")
"""What tells rows apart."""
RESAMPLES = 500


def main() -> None:
    small = arguments(__doc__).small
    cases = {"minesweeper-sim": (0,)} if small else CASES
    rows = [] if small else kept_rows("hidden")
    done = {tuple(row[column] for column in CASE) for row in rows}
    for share, name in itertools.product(SHARES, cases):
        for split, config in itertools.product(cases[name], CONFIGS):
            if (name, config, share, split) not in done:
                rows.append(row(name, config, share, split, 5 if small else None))
                report("hidden", rows, headline(rows), small, "python -m benchmarks.hidden")


def row(name: str, config: str, share: float, split: int, max_epochs: int | None) -> dict[str, Any]:
    """The figures of one dataset, network and split, in percent."""
    dataset = load_dataset(name, "data", "public", split)
    is_hidden = torch.zeros(dataset.num_nodes, dtype=torch.bool)
    is_hidden[hidden_nodes(dataset.num_nodes, share, split)] = True
    nodes = dataset.split.test[is_hidden[dataset.split.test]]
    seen, unseen = (
        load(folders(name, config, (split,), of_run, max_epochs)[split], dataset=name).predict(nodes).probabilities
        for of_run in (0.0, share)
    )
    y = dataset.y[nodes]
    figures = {"transductive": metric(dataset, seen, y), "hidden": metric(dataset, unseen, y)}
    figures["difference"] = figures["hidden"] - figures["transductive"]
    figures["standard error"] = standard_error(dataset, seen, unseen, y)
    case = dict(zip(CASE, (name, config, share, split), strict=True))
    return {**case, "nodes": nodes.numel(), **{kind: round(value, 2) for kind, value in figures.items()}}


def folders(
    name: str,
    config: str,
    splits: tuple[int, ...],
    share: float,
    max_epochs: int | None,
    init_from: str | None = None,
) -> dict[int, str]:
    """The run of each split."""
    extra = ("--data.hidden", str(share), *(("--trainer.max_epochs", str(max_epochs)) if max_epochs else ()))
    extra += ("--init_from", init_from) if init_from else ()
    runs_dir, found = str(RUNS / (f"{share}" if init_from is None else "going-on")), {}
    for split in splits:
        study = Study(name, splits=(split,), config=config, runs_dir=runs_dir, extra=extra)
        found[split] = run_study(study, console=Console(quiet=True))["folders"][-1]
    return found


def metric(dataset: NodeDataset, probabilities: Tensor, y: Tensor) -> float:
    """Of nodes with labels y [B] and predictions [B, C], in percent."""
    if dataset.metric == "roc_auc":
        return 100 * float(auroc(probabilities[:, 1], y, task="binary"))
    return 100 * float((probabilities.argmax(1) == y).float().mean())


def standard_error(dataset: NodeDataset, one: Tensor, other: Tensor, y: Tensor) -> float:
    """Of the difference of two predictions' metric, over the nodes."""
    stream = torch.Generator().manual_seed(0)
    differences = []
    for _ in range(RESAMPLES):
        drawn = torch.randint(len(y), (len(y),), generator=stream)
        differences.append(metric(dataset, one[drawn], y[drawn]) - metric(dataset, other[drawn], y[drawn]))
    return statistics.stdev(differences)


def headline(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The mean difference over a dataset's splits, and its standard error."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['dataset']}, {row['network']}, {row['share']:.0%} hidden", []).append(row)
    return {
        case: f"{statistics.fmean(row['difference'] for row in group):+.2f} +- "
        f"{math.hypot(*(row['standard error'] for row in group)) / len(group):.2f}, splits: {len(group)}"
        for case, group in groups.items()
    }


if __name__ == "__main__":
    main()
