"""How a run does on nodes that it never saw: a share of them hidden in training with all their edges, then predicted
on the whole graph, beside the same nodes' figure of a run that saw all (transductive).

Judged are the hidden nodes of the test part. The wide network draws by scores that the estimator gives the whole graph
anew; a GCN is treated the same. Tens of minutes; studies that were run before are taken again.
"""

import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torchmetrics.functional import auroc

from benchmarks.common import arguments, report
from spx.datasets import NodeDataset, load_dataset
from spx.datasets.hidden import hidden_nodes
from spx.experiments.plan import WIDE, Study
from spx.experiments.study import run_study
from spx.inference.run import load

RUNS = Path("lightning_logs", "hidden")
CASES = {"actor": (0, 1, 2, 3, 4), "minesweeper": (0, 1), "photo": (0,)}
"""Dataset and its splits."""
SHARES, CONFIGS = (0.1, 0.3), (WIDE, "gcn")


def main() -> None:
    given = arguments(__doc__)
    rows: list[dict[str, Any]] = []
    for name, splits in ({"minesweeper-sim": (0,)} if given.small else CASES).items():
        rows += [row(name, config, splits, 5 if given.small else None) for config in CONFIGS]
        headline = {
            f"{network}, {share:.0%} hidden: difference": {
                each["dataset"]: each[f"difference, {share:.0%}"] for each in rows if each["network"] == network
            }
            for network in CONFIGS
            for share in SHARES
        }
        report("hidden", rows, headline, given.small, "python -m benchmarks.hidden")


def row(name: str, config: str, splits: tuple[int, ...], max_epochs: int | None) -> dict[str, Any]:
    """The figures of one dataset and network, in percent."""
    seen = folders(name, config, splits, 0.0, max_epochs)
    result: dict[str, Any] = {"dataset": name, "network": config, "splits": str(len(splits))}
    for share in SHARES:
        unseen = folders(name, config, splits, share, max_epochs)
        figures = {
            kind: [judged(runs[split], name, split, share) for split in splits]
            for kind, runs in (("transductive", seen), ("hidden", unseen))
        }
        for kind, values in figures.items():
            result[f"{kind}, {share:.0%}"] = round(statistics.fmean(values), 2)
        differences = [one - other for one, other in zip(figures["hidden"], figures["transductive"], strict=True)]
        result[f"difference, {share:.0%}"] = round(statistics.fmean(differences), 2)
    return result


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


def judged(folder: str, name: str, split: int, share: float) -> float:
    """Metric of the run on the hidden nodes of the test part, on the whole graph."""
    run, dataset = load(folder, dataset=name), load_dataset(name, "data", "public", split)
    hidden = torch.zeros(dataset.num_nodes, dtype=torch.bool)
    hidden[hidden_nodes(dataset.num_nodes, share, split)] = True
    nodes = dataset.split.test[hidden[dataset.split.test]]
    return 100 * metric(dataset, run.predict(nodes).probabilities, nodes)


def metric(dataset: NodeDataset, probabilities: Tensor, nodes: Tensor) -> float:
    if dataset.metric == "roc_auc":
        return float(auroc(probabilities[:, 1], dataset.y[nodes], task="binary"))
    return float((probabilities.argmax(1) == dataset.y[nodes]).float().mean())


if __name__ == "__main__":
    main()
