"""What a run reached, as its record says it: a table for a notebook."""

from pathlib import Path

import polars as pl

from spx.errors import ArtifactError
from spx.files import read_json
from spx.run_folder import RECORD_FILE

FACTS = ("dataset", "split_origin", "seed", "epochs", "best_epoch", "seconds", "attention_edges")


def recorded_figures(folder: Path) -> pl.DataFrame:
    """The figures of a test, one a row: `figure` and `value`; the metric that chose the weights comes first.

    Raises:
        ArtifactError: the run has no record, or wasn't tested.
    """
    record = read_json(folder / RECORD_FILE)
    if not isinstance(record, dict) or not isinstance(record.get("test"), float):
        raise ArtifactError(
            f"The run {folder} has no figure of a test. Test it: spx test --config {folder}/config.yaml --ckpt_path "
            f"{folder}/checkpoints/best.ckpt, or fit with --then_test true."
        )
    metric, more = str(record.get("metric")), record.get("test_figures")
    figures = {f"test {metric}": record["test"], f"validation {metric}": record.get("val")}
    means = more.items() if isinstance(more, dict) else ()
    figures |= {f"test {name}": value for name, value in means if isinstance(value, float) and name != metric}
    return pl.DataFrame(
        {"figure": list(figures), "value": list(figures.values())}, schema_overrides={"value": pl.Float64}
    )


def facts(folder: Path) -> pl.DataFrame:
    """What the run is, one fact a row: `fact` and `value`, as text."""
    record = read_json(folder / RECORD_FILE)
    known = record if isinstance(record, dict) else {}
    rows = {"run": str(folder)} | {name: str(known[name]) for name in FACTS if known.get(name) is not None}
    return pl.DataFrame({"fact": list(rows), "value": list(rows.values())})
