"""Epochs until a fit reaches the validation metric of an older run: from that run's weights, against from scratch.

The older run saw the graph without a tenth of its nodes (those of `benchmarks.hidden`, whose runs are taken again where
they are). The graph as it is today is trained on twice, by the same configuration.

Its figure is the best of a hundred epochs over the validation nodes that it had. So there is a second target: what its
weights, as they are, reach on the validation nodes of today's graph, which `spx predict --dataset` scores anew.
"""

import itertools
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.common import arguments, report
from benchmarks.hidden import folders, metric
from spx.datasets import load_dataset
from spx.experiments.plan import ESTIMATOR, WIDE
from spx.files import read_json
from spx.inference.run import load
from spx.run_folder import RECORD_FILE

CASES = {"actor": (0, 1), "photo": (0,)}
"""Dataset and its splits."""
SHARE = 0.1
STAGES = (ESTIMATOR, WIDE)
HOW = ("from scratch", "from the older run")
ROUNDING = 1e-4


def main() -> None:
    given = arguments(__doc__)
    rows = []
    for name, splits in ({"minesweeper-sim": (0,)} if given.small else CASES).items():
        rows += compare(name, splits, 5 if given.small else None)
        report("going_on", rows, headline(rows), given.small, "python -m benchmarks.going_on")


def compare(name: str, splits: tuple[int, ...], max_epochs: int | None) -> list[dict[str, Any]]:
    """A row for each split and stage."""
    older, scratch = (folders(name, WIDE, splits, share, max_epochs) for share in (SHARE, 0.0))
    rows = []
    for split in splits:
        going_on = folders(name, WIDE, (split,), 0.0, max_epochs, older[split])[split]
        for stage in STAGES:
            before, anew, on = (of_stage(Path(each), stage) for each in (older[split], scratch[split], going_on))
            row: dict[str, Any] = {"dataset": name, "split": split, "stage": stage}
            targets = {"then": 100 * read_json(before / RECORD_FILE)["val"], "today": figure_today(before, name, split)}
            for when, target in targets.items():
                row[f"target, {when}"] = round(target, 2)
                row |= {f"{how}, {when}": epochs_until(run, target) for how, run in zip(HOW, (anew, on), strict=True)}
            rows.append(row)
    return rows


def figure_today(run: Path, name: str, split: int) -> float:
    """Of the run's weights on the validation nodes of the whole graph, in percent."""
    dataset = load_dataset(name, "data", "public", split)
    nodes = dataset.split.val
    found = load(run, dataset=name).predict(nodes, draws=1)  # as a fit validates
    return metric(dataset, found.probabilities, dataset.y[nodes])


def of_stage(wide: Path, stage: str) -> Path:
    """The run of that stage beside a run of stage 2: the one whose scores it drew by."""
    return wide if stage == WIDE else Path(read_json(wide / RECORD_FILE)["scores"]).parent


def epochs_until(run: Path, target: float) -> int | None:
    """The first epoch, from 1, whose validation metric is the target, in percent, or above; None: none is."""
    events = EventAccumulator(str(run), {"scalars": 0})
    events.Reload()
    values = [event.value for event in events.Scalars(f"val/{read_json(run / RECORD_FILE)['metric']}")]
    return next((epoch for epoch, value in enumerate(values, start=1) if 100 * value >= target - ROUNDING), None)


def headline(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each stage the share of the epochs, over the rows in which both came there, and how often which didn't."""
    found = {}
    for stage, when in itertools.product(STAGES, ("then", "today")):
        epochs = [tuple(row[f"{how}, {when}"] for how in HOW) for row in rows if row["stage"] == stage]
        both = [(anew, on) for anew, on in epochs if anew and on]
        share = sum(on for _, on in both) / sum(anew for anew, _ in both) if both else None
        found[f"{stage}, {when}: share of the epochs"] = share
        for how, of_fit in zip(HOW, zip(*epochs, strict=True), strict=True):
            found[f"{stage}, {when}: not reached {how}"] = sum(each is None for each in of_fit)
    return found


if __name__ == "__main__":
    main()
