"""The figures of a study: means over its runs, for people, programs and `docs/results.md`."""

import os
import platform
import re
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spx.dataset_names import OWN, is_path
from spx.experiments.plan import ESTIMATOR, WIDE, Study
from spx.experiments.published import published_figure
from spx.experiments.runs import write_json

Record = dict[str, Any]
"""What a run's `run.json` holds."""

SUMMARIES = "summaries"
STAGE_FIGURES = ("seconds", "seconds_per_epoch", "peak_rss_mb", "peak_cuda_mb")

MAKE_VARIABLES = ("seeds", "splits", "protocol", "config", "overlay", "extra", "extra_estimator", "extra_wide")
"""What of a study changes its figures; in capitals, the Makefile's variables."""


@dataclass(frozen=True)
class FinishedRun:
    """One seed on one split: the records of stage 1 (None where it isn't needed) and of stage 2."""

    wide: Record
    estimator: Record | None = None


def summarize(study: Study, runs: Sequence[FinishedRun], overlay_changes_method: bool = False) -> dict[str, Any]:
    """Means and sample standard deviations over the runs; metrics and published figures in percent.

    Args:
        study: that was run.
        runs: at least one, in the order of splits, then seeds.
        overlay_changes_method: whether a published figure would be another method's.
    """
    wide = [run.wide for run in runs]
    estimators = [run.estimator for run in runs if run.estimator is not None]
    test = [100 * record["test"] for record in wide]
    figure = published_figure(study.name, study.config, study.protocol, list(study.splits))
    stages = {ESTIMATOR: estimators} if estimators else {}
    stages[WIDE] = wide
    return {
        "dataset": study.name,
        "source": study.dataset,
        "config": study.config,
        "overlay": study.overlay,
        "protocol": study.protocol,
        "splits": list(study.splits),
        "seeds": list(study.seeds),
        "metric": wide[0]["metric"],
        "test_mean": statistics.fmean(test),
        "test_std": statistics.stdev(test) if len(test) > 1 else 0.0,
        "test": test,
        "val_mean": mean([None if record["val"] is None else 100 * record["val"] for record in wide]),
        "published": None if figure is None or overlay_changes_method else figure.mean,
        "attention_edges": mean([record["attention_edges"] for record in wide]),
        "attention_edge_share": mean([record["attention_edge_share"] for record in wide]),
        "stages": {
            kind: {name: mean([record.get(name) for record in records]) for name in STAGE_FIGURES}
            for kind, records in stages.items()
        },
        "folders": [record["folder"] for run in runs for record in (run.estimator, run.wide) if record is not None],
        "target": make_target(study),
        "command": make_command(study),
        "machine": machine(),
        "versions": wide[-1].get("versions", {}),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is missing."""
    return None if None in values else statistics.fmean(values)


def write_summary(study: Study, summary: dict[str, Any]) -> Path:
    """Write the summary where a program looks for it, and its copy for `make results`; returns the first path.

    Raises:
        ConfigError: the folder can't be written.
    """
    name = study.config + (f"-{study.overlay}" if study.overlay else "")
    path = study.folder / ("summary.json" if name == WIDE else f"summary-{name}.json")
    write_json(path, summary)
    write_json(study.folder / SUMMARIES / f"{name}-{study.protocol}.json", summary)
    return path


def make_target(study: Study) -> str:
    """The `make` command of the dataset, without what this study changes."""
    own = is_path(study.dataset)
    return f"make {OWN} DATASET={shlex.quote(study.dataset)}" if own else f"make {study.dataset}"


def make_command(study: Study) -> str:
    """The `make` command of this study; folders are left out, they don't change its figures."""
    defaults = Study(study.dataset)
    words = [make_target(study)]
    for name in MAKE_VARIABLES:
        value = getattr(study, name)
        if value != getattr(defaults, name):
            text = value if isinstance(value, str) else " ".join(_as_argument(str(part)) for part in value)
            words.append(f"{name.upper()}={_as_word(text)}")
    return " ".join(words)


def _as_argument(text: str) -> str:
    """Quoted where `shlex.split` would take it for something else."""
    return shlex.quote(text) if not text or re.search(r"[\s'\"\\]", text) else text


def _as_word(text: str) -> str:
    """Quoted for a shell; the Makefile takes what it is given as it is."""
    quoted = shlex.quote(text)
    return quoted if quoted == text or set('"$`\\!') & set(text) else f'"{text}"'


def machine() -> dict[str, Any]:
    """The processor's name and its number of cores."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or a processor that doesn't tell
    return {"cpu": name, "cores": os.cpu_count()}
