"""The recipe of `plus.yaml` less one of its steps at a time. Hours; studies that were run before are taken again.

Validation chose the recipe, so its column is the one that judges a step; test is beside it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.common import arguments, report
from spx.experiments.plan import WIDE, Study
from spx.experiments.study import run_study

RUNS = Path("lightning_logs", "ablation")
EARLY_END = {"class_path": "spx.training.callbacks.EarlyEnd", "init_args": {"patience": 150}}


@dataclass(frozen=True)
class Case:
    """A dataset, the K and the layer of its recipe, and the runs that judge a step on it."""

    dataset: str
    k: int
    other_layer: str
    protocol: str = "public"
    seeds: tuple[int, ...] = (0,)
    splits: tuple[int, ...] = (0,)
    max_epochs: int | None = None

    @property
    def name(self) -> str:
        """As a row of the table has it."""
        notes = [] if self.protocol == "public" else [self.protocol]
        notes += [f"{self.max_epochs} epochs"] if self.max_epochs else []
        return f"{self.dataset} ({', '.join(notes)})" if notes else self.dataset


CASES = (
    Case("cora", 4, "concat", seeds=(0, 1, 2)),
    Case("actor", 2, "concat", "paper", seeds=(0, 1, 2)),
    Case("actor", 2, "concat", splits=(0, 1)),
    Case("minesweeper", 8, "residual", max_epochs=900),
)
SMALL = (Case("minesweeper-sim", 8, "residual"),)


def steps(case: Case) -> dict[str, tuple[str, ...]]:
    """What each row changes of the recipe: arguments of `spx fit`."""
    adjustment = {"the recipe": (), "logits not adjusted": ("--model.logit_adjustment", "false")}
    if case.protocol == "paper":  # where training nodes have another class balance than the rest
        return adjustment
    return adjustment | {
        "the paper's layer": ("--model.layer", "transformer"),
        f"{case.other_layer} layers": ("--model.layer", case.other_layer),
        "4 layers": ("--model.num_layers", "4", "--data.k", json.dumps([case.k] * 4)),
        "graph edges not first": ("--data.graph_first", "false"),
        "drawn by the estimator's scores, D = 15": ("--data.sampler", "attention", "--data.expander_degree", "15"),
        "D = 15": ("--data.expander_degree", "15"),
        "features not dropped": ("--model.drop_features", "false"),
        "weight decay 0.001": ("--model.weight_decay", "1e-3"),
        "weights not averaged": ("--trainer.callbacks", json.dumps([EARLY_END])),
        "cosine schedule over 300 epochs": ("--model.lr_schedule", "cosine", "--trainer.max_epochs", "300"),
        "100 epochs": ("--trainer.max_epochs", "100"),
        "a hidden layer with unit rows before the first": ("--model.num_pre_layers", "1"),
        "drawn every tenth epoch": ("--data.resample_every", "10"),
    }


def row(case: Case, step: str, changes: tuple[str, ...]) -> dict:
    """Run the study, or take its finished runs."""
    if case.max_epochs and "--trainer.max_epochs" not in changes:
        changes += ("--trainer.max_epochs", str(case.max_epochs))
    study = Study(case.dataset, case.seeds, case.splits, case.protocol, "plus", runs_dir=str(RUNS), extra_wide=changes)
    summary = run_study(study, console=Console(quiet=True))
    stage = summary["stages"][WIDE]
    return {
        "dataset": case.name,
        "step": step,
        "validation %": summary["val_mean"],
        "test %": summary["test_mean"],
        "test +-": summary["test_std"] if len(summary["test"]) > 1 else "-",
        "runs": len(summary["test"]),
        "edges a layer": summary["attention_edges"],
        "s an epoch": stage["seconds_per_epoch"],
        "peak MB": stage["peak_rss_mb"],
        "command": summary["command"],
    }


def main() -> None:
    small = arguments(__doc__).small
    brief = ("--trainer.max_epochs", "2") if small else ()
    rows = []
    for case in SMALL if small else CASES:
        for step, changes in list(steps(case).items())[: 2 if small else None]:
            rows.append(row(case, step, changes + brief))
    recipe = {each["dataset"]: each["test %"] for each in rows if each["step"] == "the recipe"}
    report("ablation", rows, {"recipe_test_percent": recipe}, small)


if __name__ == "__main__":
    main()
