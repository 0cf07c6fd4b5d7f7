"""`spx advise RUN_FOLDER`: a finished run's test figure beside baselines, and what to try next."""

import argparse
import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from spx.arguments import CommandParser
from spx.dataset_names import is_path
from spx.errors import ArtifactError, ConfigError
from spx.files import read_json
from spx.run_folder import RECORD_FILE, version_numbers

GCN = "gcn"
CLOSE = 0.005
"""Differences of a metric that say nothing."""
MAJORITY = 0.8
UNSURE = 0.1
"""Expected calibration error from which probabilities mislead."""


class Baselines(NamedTuple):
    """Test figures by the run's metric: of always naming the training nodes' frequencies, of the features alone, and of
    a GCN that was run on the same data; None where there is none."""

    majority: float | None
    features: float | None
    gcn: float | None


def advise_main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Raises:
        SpxError: the run isn't finished, wasn't tested, or its data can't be loaded or changed since.
    """
    given = make_parser().parse_args(argv)
    from spx.inference.baselines import features_value, majority_value
    from spx.inference.rebuild import build_data, build_model, class_names
    from spx.inference.run_files import read_run

    files = read_run(given.run_folder)
    record = {"name": files.folder.parent.name, **files.record}
    if record.get("test") is None:
        raise ArtifactError(f"The run {files.folder} holds no test figure. Fit it with --then_test true.")
    network = build_model(files)
    names = class_names(files, network.model.num_outputs)
    data, _, match = build_data(files, network, given.dataset, given.data_dir, names=names)
    if match is not None:
        raise ConfigError(
            f"The graph changed since the run {files.folder} was tested: its figure is of other data than baselines on "
            "this graph would be. Give the graph as it was: --dataset PATH."
        )
    metric, balanced = network.model.metric_name, network.model.class_weights is not None
    console = Console()
    console.print("\nFitting a logistic regression on the features alone ...", highlight=False)
    found = Baselines(
        majority_value(data.dataset, metric),
        features_value(data.dataset, metric, balanced),
        None if record["name"] == GCN else gcn_value(files.folder.parent.parent, record),
    )
    print_advice(record, found, what_next(record, found, balanced, data.source, kept_settings(files.config)), console)


def make_parser() -> argparse.ArgumentParser:
    """The options of `spx advise`."""
    parser = CommandParser("spx advise", description=__doc__, allow_abbrev=False)
    parser.add_argument("run_folder", help="a finished run of stage 2, such as lightning_logs/actor/wide/version_0")
    parser.add_argument("--dataset", default=None, help="new place of a graph of your own, if it was moved")
    parser.add_argument("--data_dir", default=None, help="new place of the datasets' folder")
    return parser


def gcn_value(folder: Path, record: dict[str, Any]) -> float | None:
    """The test figure of the newest GCN among a dataset's runs that has the same data, split and metric."""
    same = ("data_fingerprint", "metric", "split", "protocol")
    for number in sorted(version_numbers(folder / GCN), reverse=True):
        other = read_json(folder / GCN / f"version_{number}" / RECORD_FILE)
        if not isinstance(other, dict) or not isinstance(other.get("test"), float):
            continue
        if all(other.get(name) == record.get(name) for name in same):
            return other["test"]
    return None


def print_advice(record: dict[str, Any], found: Baselines, next_lines: list[str], console: Console) -> None:
    """Print the run's figure beside the baselines', and what to try next."""
    table = Table(f"test {record['metric']}", "", title="against baselines", title_justify="left")
    table.columns[1].justify = "right"
    rows = {
        f"this run ({record['name']})": record["test"],
        "always the training nodes' frequencies": found.majority,
        "features alone, logistic regression": found.features,
        "GCN": found.gcn,
    }
    for name, value in rows.items():
        table.add_row(name, "-" if value is None or value != value else f"{value:.4f}")
    console.print(table)
    for line in next_lines:
        console.print(f"- {line}", soft_wrap=True, highlight=False, markup=False)


def kept_settings(config: Mapping[str, Any]) -> str:
    """The arguments by which a run's graph was read (`OwnSettings`), as far as they aren't the defaults."""
    from spx.datasets.own.settings import OwnSettings  # brings torch, which a help has no need of

    given = config["data"].get("init_args") or {}
    words = []
    for field in dataclasses.fields(OwnSettings):
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        value = list(given[field.name]) if isinstance(given.get(field.name), tuple) else given.get(field.name)
        if value is not None and value != default:
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            words.append(shlex.quote(f"--data.{field.name}={text}"))
    return " ".join(words)


def what_next(record: dict[str, Any], found: Baselines, balanced: bool, source: str, kept: str = "") -> list[str]:
    """Which figure is low against what, and the setting to try; the first line matters most.

    Args:
        record: of the run.
        found: what it is compared with.
        balanced: whether its classes have weights.
        source: name or path of its data.
        kept: arguments that the next run needs, too.
    """
    value, metric, figures = record["test"], record["metric"], record.get("test_figures") or {}
    command = (
        f"make mine DATASET={shlex.quote(source)}"
        if is_path(source) and Path("Makefile").is_file()
        else f"spx study {shlex.quote(source)}"
    )
    make = command.startswith("make")

    def again(**options: str) -> str:
        extra = options.get("extra", "")
        weights = "--model.class_weights balanced" if balanced and "class_weights" not in extra else ""
        options["extra"] = " ".join(filter(None, (kept, weights, extra)))
        words = [
            f"{name.upper()}={shlex.quote(text)}" if make else f"--{name}={shlex.quote(text)}"
            for name, text in options.items()
            if text
        ]
        return " ".join([command, *words])

    lines = []
    share = figures.get("majority_share")
    if share is not None and share > MAJORITY and metric == "accuracy":
        better = "balanced_accuracy" if figures.get("roc_auc") is None else "average_precision"
        lines.append(
            f"{share:.1%} of the test nodes are of one class, so accuracy says little (balanced accuracy "
            f"{_text(figures.get('balanced_accuracy'))}, macro F1 {_text(figures.get('f1_macro'))}). Judge by another "
            f"metric: {again(extra=f'--data.metric {better} --model.class_weights balanced')}"
        )
    if found.majority is not None and value <= found.majority + CLOSE:
        tried = "" if balanced else "--model.class_weights balanced "
        lines.append(
            f"{metric} {value:.4f} isn't above {found.majority:.4f}, which needs no network: it learned little. See "
            f"what `spx check` says of the columns, and try {again(extra=f'{tried}--model.lr 0.001')}"
        )
    elif found.features is not None and value <= found.features + CLOSE:
        lines.append(
            f"{metric} {value:.4f} isn't above the features' alone, {found.features:.4f}: the edges bring nothing yet. "
            f"Try layers that keep a node's own features: {again(extra_wide='--model.layer residual')}"
        )
    if found.gcn is not None and value < found.gcn - CLOSE:
        lines.append(
            f"{metric} {value:.4f} is below the GCN's, {found.gcn:.4f}: neighbours matter more than the expander. Take "
            f"the graph's own edges first: {again(extra_wide='--data.graph_first true')}"
        )
    error = figures.get("calibration_error")
    if error is not None and error > UNSURE and record.get("calibration") is None:
        lines.append(
            f"Probabilities are off by {error:.2f} in the mean (expected calibration error): "
            f"{again(extra_wide='--calibrate true')}"
        )
    without_gcn = found.gcn is None and record["name"] != GCN
    if without_gcn:
        lines.append(f"There is no GCN to compare with yet: {again(config=GCN)}")
    if len(lines) == without_gcn:
        lines.insert(0, f"{metric} {value:.4f} is above all baselines here. For more accuracy: {again(config='plus')}")
    return lines


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
