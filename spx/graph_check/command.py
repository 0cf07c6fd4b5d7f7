"""`spx check PATH`: read a graph, say what it holds, and what training on it will take on this machine."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spx.arguments import CommandParser
from spx.configurations import BASE, config_layers, found_configs
from spx.dataset_names import OWN, is_path
from spx.errors import ConfigError
from spx.experiments.plan import ESTIMATOR, WIDE, merged_settings
from spx.files import reason, write_json
from spx.graph_check.full_settings import full_settings
from spx.graph_check.plus_rule import MOST_TRAINING_NODES, recipe_for

if TYPE_CHECKING:
    from spx.graph_check.columns import ColumnLine

PLUS = "plus"
SHOWN_CLASSES = 12
SHOWN_DOUBTS = 10


def check_main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Raises:
        SpxError: the graph can't be used, and why.
    """
    settings = _parser().parse_args(argv)
    configs = found_configs(settings.configs_dir) / (OWN if is_path(settings.dataset) else settings.dataset)
    if not settings.facts and not all(config_layers(configs, stage) for stage in (ESTIMATOR, WIDE)):
        raise ConfigError(
            f"There are no configurations to try, neither in {configs} nor in {configs.parent / BASE}. "
            "Give --configs_dir, or leave the trial out: --facts."
        )
    extra = shlex.split(settings.extra)
    for_data = _data_arguments(extra)
    data = _data(["--data.dataset", settings.dataset, "--data.data_dir", settings.data_dir, *for_data])
    console = Console()
    num_edges = _print_facts(data, configs, console, settings.json)
    if not settings.facts:
        _print_estimate(data, num_edges, configs, ["--data.data_dir", settings.data_dir, *for_data], console)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("spx check", description=__doc__, allow_abbrev=False)
    parser.add_argument("dataset", help="path of your own graph (docs/own-data.md), or the name of a published one")
    parser.add_argument("--facts", action="store_true", help="only read and report, without the trial runs")
    parser.add_argument("--data_dir", default="data", help="folder of the published datasets")
    parser.add_argument("--configs_dir", default="configs", help="folder of the configurations that are tried")
    parser.add_argument(
        "--json", metavar="FILE", help="also write the facts, and what each column of a table is, as JSON"
    )
    parser.add_argument("--extra", default="", help="settings of the data, such as --extra='--data.undirected true'")
    return parser


def _data_arguments(extra: list[str]) -> list[str]:
    """Those of `spx fit`'s arguments that say how the graph is read: the others change nothing here."""
    kept: list[str] = []
    for argument, following in zip(extra, [*extra[1:], ""], strict=False):
        if argument.startswith("--data."):
            kept += [argument] if "=" in argument else [argument, following]
    return kept


def _data(arguments: list[str]):
    from jsonargparse import ArgumentParser

    from spx.data import AugmentedGraphData

    parser = ArgumentParser(prog="spx check", exit_on_error=False)
    parser.add_class_arguments(AugmentedGraphData, "data", fail_untyped=False)
    try:
        return parser.instantiate_classes(parser.parse_args(arguments)).data
    except Exception as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"--extra can't be used: {str(error).splitlines()[0]}") from error


def _print_facts(data, configs: Path, console: Console, json_file: str | None) -> int:
    """Print, write them as JSON if there is a file for it, and return the number of attention edges."""
    from spx.graph_check.columns import column_lines
    from spx.graph_check.facts import attention_edges, class_counts, edge_facts, feature_facts, memory_of_features

    dataset = data.dataset
    edges, features = edge_facts(dataset), feature_facts(dataset.x)
    counts, unlabelled = class_counts(dataset)
    names = dataset.class_names or [str(number) for number in range(dataset.num_classes)]
    degree = _estimator_settings(configs).get("expander_degree", data.expander_degree)
    total = attention_edges(edges.distinct, dataset.num_nodes, degree)
    low, median, mean, high = edges.degrees
    labelled = counts.sum().item()
    shown = sorted(zip(counts.tolist(), names, strict=True), key=lambda pair: -pair[0])
    classes = ", ".join(f"{name}: {count:,}" for count, name in shown[:SHOWN_CLASSES])
    rest = f", and {len(shown) - SHOWN_CLASSES} more" if len(shown) > SHOWN_CLASSES else ""
    labels = "labels" if dataset.task == "multilabel" else "classes"
    rows = {
        "nodes": f"{dataset.num_nodes:,}, of which {edges.isolated:,} isolated; {edges.components:,} components",
        "edges": f"{edges.given:,}; left out: {edges.duplicates:,} duplicates, {edges.self_loops:,} self-loops",
        "direction": "undirected" if edges.reciprocal == 1 else f"{edges.reciprocal:.1%} of the edges run both ways",
        "degree (in)": f"{low:,} to {high:,}, mean {mean:,.1f}, median {median:,.0f}",
        "features": f"{dataset.num_features:,}, from {features.low:.4g} to {features.high:.4g}, "
        f"mean {features.mean:.4g}, {features.zeros:.1%} zeros, {features.constant:,} constant",
        "features in memory": memory_of_features(dataset.x),
        "task": f"{dataset.task}, {dataset.num_classes} {labels}, metric {dataset.metric}",
        "nodes per class": f"{classes}{rest}; {unlabelled:,} without a label",
        "largest class": f"{counts.max().item() / max(1, labelled):.1%} of the labels",
        "same-class edges": "-" if edges.homophily is None else f"{edges.homophily:.1%} (homophily)",
        "split": ", ".join(f"{name} {nodes.numel():,}" for name, nodes in dataset.split._asdict().items()),
        "attention edges": f"{total:,} (each node adds {2 * degree + 1}: {2 * degree} of the expander, 1 self-loop)",
    }
    table = Table(show_header=False, title=data.dataset_name, title_justify="left")
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)
    columns = [] if dataset.schema is None else column_lines(dataset.schema)
    _print_columns(columns, console)
    advice = [*_advice(edges, features, counts, data), *_doubts(columns), *_recipe(dataset, mean, configs)]
    for line in advice:
        console.print(f"- {line}", soft_wrap=True, highlight=False, markup=False)
    if json_file is not None:
        facts = {"dataset": data.dataset_name, "facts": rows, "columns": [line._asdict() for line in columns]}
        _write(Path(json_file), {**facts, "advice": advice, "schema": dataset.schema})
    return total


def _print_columns(lines: "list[ColumnLine]", console: Console) -> None:
    from spx.graph_check.columns import shown_lines

    if not lines:
        return
    table = Table("column", "taken as", "missing", "range", "what is done", title="columns", title_justify="left")
    for line in shown_lines(lines):
        table.add_row(*(Text(text) for text in line[:-1]))
    console.print(table)


def _doubts(lines: "list[ColumnLine]") -> list[str]:
    doubts = [f"Column {line.name!r}: {line.doubt}." for line in lines if line.doubt]
    rest = len(doubts) - SHOWN_DOUBTS
    return doubts if rest <= 0 else [*doubts[:SHOWN_DOUBTS], f"And {rest:,} more columns of such doubts (--json FILE)."]


def _write(file: Path, content: dict) -> None:
    try:
        write_json(file, content)
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {reason(error)}. Choose another place.") from error


def _recipe(dataset, mean_degree: float, configs: Path) -> list[str]:
    if not config_layers(configs, PLUS) or not config_layers(configs, WIDE):
        return []
    settings, usual = (full_settings(configs, name) for name in (PLUS, WIDE))
    of_the_recipe = full_settings(configs.parent / BASE, PLUS)["model"]["init_args"].get("num_layers")
    most_k = max(usual["data"]["init_args"]["k"])
    num_training_nodes = dataset.split.train.numel()
    recipe = recipe_for(dataset.num_features, num_training_nodes, mean_degree, most_k)
    model, k = settings["model"]["init_args"], settings["data"]["init_args"]["k"]
    if (
        num_training_nodes > MOST_TRAINING_NODES
        or model["num_layers"] != of_the_recipe
        or recipe == (model["layer"], model["dropout"], k[0])
    ):
        return []
    return [f"For more accuracy (docs/results.md): CONFIG=plus EXTRA_WIDE='{recipe.arguments(of_the_recipe)}'."]


def _advice(edges, features, counts, data) -> list[str]:
    lines = []
    if edges.reciprocal < 1 and is_path(data.source):
        lines.append("Some edges run one way only. If yours have no direction: --data.undirected true.")
    if max(abs(features.low), abs(features.high)) > 1000:
        lines.append("Some features are large. Bring them to similar ranges, or training may not get off the ground.")
    if features.constant:
        lines.append(f"{features.constant:,} feature columns hold one value only; they can be left out.")
    if counts.min() < 10:
        lines.append("A class has fewer than 10 nodes: its figures will say little.")
    return lines


def _print_estimate(data, num_edges: int, configs: Path, arguments: list[str], console: Console) -> None:
    from spx.graph_check.trial import available_memory_mb, core_nodes_that_fit, estimate_stages

    dataset = data.dataset
    console.print("\nTrying both stages for a few epochs ...", highlight=False)
    stages = estimate_stages(dataset, data.source, num_edges, configs, arguments)
    table = Table("stage", "peak memory", "s / epoch", "epochs", "in all")
    for column in table.columns[1:]:
        column.justify = "right"
    for number, stage in enumerate(stages, start=1):
        table.add_row(
            f"{number} {stage.stage}",
            f"{stage.peak_rss_mb / 1000:,.2f} GB",
            f"{stage.seconds_per_epoch:,.2f}",
            f"{stage.epochs:,}",
            _duration(stage.seconds),
        )
    console.print(table)
    available = available_memory_mb()
    settings, row_bytes = full_settings(configs, WIDE), dataset.x.nbytes / dataset.num_nodes
    core = core_nodes_that_fit(settings, dataset.num_nodes, row_bytes, stages[1].peak_rss_mb, available)
    console.print(f"Memory that is free: {available / 1000:,.1f} GB", highlight=False)
    worst = max(stage.peak_rss_mb for stage in stages)
    if worst > available:
        console.print(
            "This is more than is free: lower the expander's degree (--data.expander_degree), or the width.",
            soft_wrap=True,
            highlight=False,
        )
    advice = "all in one batch (--data.batch_size null)" if core is None else f"{core:,} (--data.batch_size {core})"
    console.print(f"Core nodes of a batch in stage 2, by that: {advice}", soft_wrap=True, highlight=False)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _estimator_settings(configs: Path) -> dict:
    return merged_settings(config_layers(configs, ESTIMATOR)).get("data", {}).get("init_args", {})
