"""`spx check PATH`: read a graph, say what it holds, and what training on it will take on this machine."""

import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spx.arguments import CommandParser
from spx.configurations import BASE, config_layers, found_configs
from spx.dataset_names import OWN, is_path
from spx.errors import ConfigError
from spx.experiments.plan import ESTIMATOR, WIDE, merged_settings
from spx.files import reason, write_json
from spx.graph_check.phases import Phases
from spx.graph_check.plus_rule import MOST_TRAINING_NODES, recipe_for
from spx.graph_check.stage_one import stage_one_advice, time_of_stage_one

if TYPE_CHECKING:
    from torch import Tensor

    from spx.graph_check.columns import ColumnLine
    from spx.graph_check.facts import EdgeFacts, FeatureFacts
    from spx.graph_check.reading import CheckedGraph
    from spx.graph_check.trial import StageEstimate

PLUS = "plus"
SHOWN_CLASSES = 12
SHOWN_DOUBTS = 10
MAJORITY = 0.8
"""Share of the largest class from which accuracy says little."""
NUM_FACT_PHASES, MOST_TRIALS = 3, 4


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
    for_data, console = _data_arguments(shlex.split(settings.extra)), Console()
    with Phases(NUM_FACT_PHASES) as phases:
        phases.next("Reading the graph")
        from spx.graph_check.reading import read_graph  # brings torch: no moment either

        with _one_thread():
            graph = read_graph(settings.dataset, settings.data_dir, for_data)
            facts = _facts(graph, configs, phases)
    num_edges = _print_facts(graph, facts, configs, for_data, console, settings.json)
    if not settings.facts:
        _print_estimate(graph, num_edges, configs, ["--data.data_dir", settings.data_dir, *for_data], console)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Counting is bound by memory: more threads of torch wait for each other, which takes as much CPU again."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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


class _Facts(NamedTuple):
    edges: "EdgeFacts"
    features: "FeatureFacts"
    counts: "Tensor"
    unlabelled: int
    degree: int
    attention_edges: int


def _facts(graph: "CheckedGraph", configs: Path, phases: Phases) -> _Facts:
    from spx.graph_check.facts import attention_edges, class_counts, edge_facts, feature_facts

    dataset = graph.dataset
    phases.next("Counting edges and components")
    edges = edge_facts(dataset)
    phases.next("Looking at features and classes")
    degree = _data_settings(configs, ESTIMATOR).get("expander_degree", graph.expander_degree)
    total = attention_edges(edges.distinct, dataset.num_nodes, degree)
    return _Facts(edges, feature_facts(dataset.x), *class_counts(dataset), degree, total)


def _print_facts(
    graph: "CheckedGraph", facts: _Facts, configs: Path, for_data: list[str], console: Console, json_file: str | None
) -> int:
    """Print, write them as JSON if there is a file for it, and return the number of attention edges."""
    from spx.graph_check.columns import column_lines
    from spx.graph_check.facts import memory_of_features, weight_row

    dataset, (edges, features, counts, unlabelled, degree, total) = graph.dataset, facts
    names = dataset.class_names or [str(number) for number in range(dataset.num_classes)]
    low, median, mean, high = edges.degrees
    labelled = counts.sum().item()
    shown = sorted(zip(counts.tolist(), names, strict=True), key=lambda pair: -pair[0])
    classes = ", ".join(f"{name}: {count:,}" for count, name in shown[:SHOWN_CLASSES])
    rest = f", and {len(shown) - SHOWN_CLASSES} more" if len(shown) > SHOWN_CLASSES else ""
    labels = "labels" if dataset.task == "multilabel" else "classes"
    rows = {
        "nodes": f"{dataset.num_nodes:,}, of which {edges.isolated:,} isolated; {edges.components:,} components",
        "edges": f"{edges.given:,}; left out: {edges.duplicates:,} duplicates, {edges.self_loops:,} self-loops",
        **weight_row(dataset),
        "direction": "undirected" if edges.reciprocal == 1 else f"{edges.reciprocal:.1%} of the edges run both ways",
        "degree (in)": f"{low:,} to {high:,}, mean {mean:,.1f}, median {median:,.0f}",
        "features": f"{dataset.num_features:,}, from {features.low:.4g} to {features.high:.4g}, "
        f"mean {features.mean:.4g}, {features.zeros:.1%} zeros, {features.constant:,} constant",
        "features in memory": memory_of_features(dataset.x),
        "task": f"{dataset.task}, {dataset.num_classes} {labels}, metric {dataset.metric}",
        "nodes per class": f"{classes}{rest}; {unlabelled:,} without a label",
        "largest class": f"{counts.max().item() / max(1, labelled):.1%} of the labels",
        "same-class edges": "-" if edges.homophily is None else f"{edges.homophily:.1%} (homophily)",
        "split": dataset.split_text,
        "attention edges": f"{total:,} (each node adds {2 * degree + 1}: {2 * degree} of the expander, 1 self-loop)",
    }
    table = Table(show_header=False, title=graph.name, title_justify="left")
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)
    columns = [] if dataset.schema is None else column_lines(dataset.schema)
    _print_columns(columns, console)
    advice = [*_advice(edges, features, counts, graph), *_doubts(columns), *_recipe(dataset, mean, configs)]
    if k := _data_settings(configs, WIDE).get("k"):
        advice.append(stage_one_advice(graph.source, mean, k, for_data))
    for line in advice:
        console.print(f"- {line}", soft_wrap=True, highlight=False, markup=False)
    if json_file is not None:
        facts = {"dataset": graph.name, "facts": rows, "columns": [line._asdict() for line in columns]}
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
    num_training_nodes = dataset.split.train.numel()
    if num_training_nodes > MOST_TRAINING_NODES or not all(config_layers(configs, kind) for kind in (PLUS, WIDE)):
        return []
    from spx.graph_check.full_settings import full_settings  # brings Lightning

    settings, usual = (full_settings(configs, name) for name in (PLUS, WIDE))
    of_the_recipe = full_settings(configs.parent / BASE, PLUS)["model"]["init_args"].get("num_layers")
    most_k = max(usual["data"]["init_args"]["k"])
    recipe = recipe_for(dataset.num_features, num_training_nodes, mean_degree, most_k)
    model, k = settings["model"]["init_args"], settings["data"]["init_args"]["k"]
    if model["num_layers"] != of_the_recipe or recipe == (model["layer"], model["dropout"], k[0]):
        return []
    return [f"For more accuracy (docs/results.md): CONFIG=plus EXTRA_WIDE='{recipe.arguments(of_the_recipe)}'."]


def _advice(edges, features, counts, graph: "CheckedGraph") -> list[str]:
    lines = []
    if edges.reciprocal < 1 and is_path(graph.source):
        lines.append("Some edges run one way only. If yours have no direction: --data.undirected true.")
    if max(abs(features.low), abs(features.high)) > 1000:
        lines.append("Some features are large. Bring them to similar ranges, or training may not get off the ground.")
    if features.constant:
        lines.append(f"{features.constant:,} feature columns hold one value only; they can be left out.")
    if counts.min() < 10:
        lines.append("A class has fewer than 10 nodes: its figures will say little.")
    return [*lines, *_metric_advice(counts, graph)]


def _metric_advice(counts, graph: "CheckedGraph") -> list[str]:
    """Another metric than accuracy where one class has most of the nodes."""
    share = counts.max().item() / max(1, counts.sum().item())
    if graph.dataset.metric != "accuracy" or share <= MAJORITY:
        return []
    better = "average_precision" if len(counts) == 2 else "balanced_accuracy"
    return [
        f"The largest class has {share:.1%} of the labels, and so has the accuracy of always naming it. Choose the "
        f"network by another metric, --data.metric {better} (or f1_macro{', roc_auc' if len(counts) == 2 else ''}), "
        "and try --model.class_weights balanced."
    ]


def _print_estimate(
    graph: "CheckedGraph", num_edges: int, configs: Path, arguments: list[str], console: Console
) -> None:
    from spx.graph_check.full_settings import full_settings
    from spx.graph_check.trial import available_memory_mb, core_nodes_that_fit, estimate_stages

    dataset = graph.dataset
    console.print("\nTrying both stages for a few epochs ...", highlight=False)
    with Phases(MOST_TRIALS) as phases:
        stages = estimate_stages(dataset, graph.source, num_edges, configs, arguments, phases.next)
    table = Table("stage", "peak memory", "s / epoch", "from", "to", "epochs", "in all")
    for column in table.columns[1:]:
        column.justify = "right"
    for number, stage in enumerate(stages, start=1):
        table.add_row(
            f"{number} {stage.stage}",
            f"{stage.peak_rss_mb / 1000:,.2f} GB",
            *(f"{seconds:,.2f}" for seconds in (stage.seconds_per_epoch, *stage.seconds_range)),
            f"{stage.epochs:,}",
            _duration(stage.seconds),
        )
    console.print(table)
    console.print(_how_measured(stages), soft_wrap=True, highlight=False)
    console.print(time_of_stage_one(stages), soft_wrap=True, highlight=False)
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


def _how_measured(stages: "list[StageEstimate]") -> str:
    """What the seconds are from, and whether the machine was busy meanwhile."""
    sizes = stages[0].trial_nodes
    where = f"on generated graphs of {sizes[0]:,} and {sizes[1]:,} nodes" if len(sizes) > 1 else "on the graph itself"
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = os.cpu_count() or 1
    text = f"Seconds are the median of trial epochs {where}, from the fastest to the slowest of them."
    if busy > cores:
        text += f" The machine is busy (a load of {busy:.1f} on {cores} cores): alone, a run is faster."
    return text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _data_settings(configs: Path, kind: str) -> dict:
    return merged_settings(config_layers(configs, kind)).get("data", {}).get("init_args", {})
