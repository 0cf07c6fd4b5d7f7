"""Epochs until a fit reaches the validation metric of an older run: from that run's weights, against from scratch.

The older run saw the graph without a tenth of its nodes (those of `benchmarks.hidden`, whose runs are taken again where
they are). The graph as it is today is trained on twice, by the same configuration.
"""

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.common import arguments, report
from benchmarks.hidden import folders
from spx.experiments.plan import ESTIMATOR, WIDE
from spx.files import read_json
from spx.run_folder import RECORD_FILE

CASES = {"actor": (0, 1), "photo": (0,)}
"""Dataset and its splits."""
SHARE = 0.1
STAGES = (ESTIMATOR, WIDE)


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
            target = read_json(before / RECORD_FILE)["val"]
            epochs = {"from scratch": epochs_until(anew, target), "from the older run": epochs_until(on, target)}
            rows.append({"dataset": name, "split": split, "stage": stage, "target": round(100 * target, 2), **epochs})
    return rows


def of_stage(wide: Path, stage: str) -> Path:
    """The run of that stage beside a run of stage 2: the one whose scores it drew by."""
    return wide if stage == WIDE else Path(read_json(wide / RECORD_FILE)["scores"]).parent


def epochs_until(run: Path, target: float) -> int | None:
    """The first epoch, from 1, whose validation metric is the target's or above; None: none is."""
    events = EventAccumulator(str(run), {"scalars": 0})
    events.Reload()
    values = [event.value for event in events.Scalars(f"val/{read_json(run / RECORD_FILE)['metric']}")]
    return next((epoch for epoch, value in enumerate(values, start=1) if value >= target), None)


def headline(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each stage the share of the epochs, over the rows in which both came there, and how often which didn't."""
    found = {}
    for stage in STAGES:
        of_stage = [(row["from the older run"], row["from scratch"]) for row in rows if row["stage"] == stage]
        both = [(on, anew) for on, anew in of_stage if on and anew]
        found[f"{stage}: share of the epochs"] = (
            sum(on for on, _ in both) / sum(anew for _, anew in both) if both else None
        )
        found[f"{stage}: not reached from scratch"] = sum(anew is None for _, anew in of_stage)
        found[f"{stage}: not reached from the older run"] = sum(on is None for on, _ in of_stage)
    return found


if __name__ == "__main__":
    main()
