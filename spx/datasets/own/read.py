"""A user's own graph by its path, whatever its format."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from spx.dataset_names import run_name
from spx.datasets.checks import check_dataset
from spx.datasets.own.arrays import graph_from_arrays, unlabelled_graph
from spx.datasets.own.error_words import one_line
from spx.datasets.own.geom_gcn import is_geom_gcn, read_geom_gcn
from spx.datasets.own.graph import OwnGraph, check_ends, default_features, reverses_weighted, with_reverses
from spx.datasets.own.labels import classes_or_labels
from spx.datasets.own.npz import read_npz
from spx.datasets.own.ogb_folder import is_ogb, read_ogb
from spx.datasets.own.saved import read_saved
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.split import choose_split, split_origin
from spx.datasets.own.tabled import EXPECTED, read_tables
from spx.datasets.own.weights import none_there, without_zeros
from spx.datasets.types import RANKED, Metric, NodeDataset, Task
from spx.errors import ArtifactError, DatasetError
from spx.graph.features import Features

_MEND = "Correct the graph's files, see docs/own-data.md"


def read_own(
    path: str, protocol: str, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None = None
) -> NodeDataset:
    """The graph at `path` as a checked dataset.

    protocol  "public": own graphs have one protocol
    split     number of the split that the files hold, or of the draw if they hold none
    schema    what a table's columns were when the network was trained (`NodeDataset.schema`): they are read and scaled
              in the same way; None: it is found out
    Raises DatasetError, whatever is in the files, with one line that starts with `graph PATH: `. MemoryError passes.
    """
    what = f"graph {path if path.isprintable() else repr(path)}"
    try:
        dataset = _read(path, protocol, split, settings, schema)
    except DatasetError as error:
        raise DatasetError(f"{what}: {one_line(error, 600)}") from error
    except (ImportError, MemoryError, ArtifactError):
        raise
    except Exception as error:  # whatever else a strange file makes a library raise
        raise DatasetError(
            f"{what}: it can't be read ({type(error).__name__}: {one_line(error, 200)}). {_MEND}"
        ) from error
    check_dataset(dataset, _MEND, what, judged=settings.classes is None)
    return dataset


def _read(path: str, protocol: str, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None) -> NodeDataset:
    if protocol != "public":
        raise DatasetError(f"protocol {protocol!r}: own graphs have one protocol, leave --data.protocol at 'public'")
    graph = _graph(Path(os.path.expanduser(path)), split, settings, schema)
    labels, num_nodes = graph.labels, graph.num_nodes
    if settings.classes is None:
        labels = classes_or_labels(labels, settings.task, "the labels")
    metric = _metric(settings.metric, labels.task, len(labels.class_names))
    check_ends(graph.edge_index, num_nodes)
    edge_index, edge_weight = graph.edge_index, graph.edge_weight
    if edge_weight is not None:
        edge_index, edge_weight = without_zeros(edge_index, edge_weight, path)
    num_left_out = graph.edge_index.size(1) - edge_index.size(1)
    if settings.undirected and edge_weight is not None:
        edge_index, edge_weight = reverses_weighted(edge_index, edge_weight, num_nodes)
    elif settings.undirected:
        edge_index = with_reverses(edge_index, num_nodes)
    return NodeDataset(
        name=run_name(path),
        protocol=protocol,
        x=_features(graph.x, edge_index, num_nodes),
        edge_index=edge_index,
        y=labels.y,
        split=graph.split or choose_split(graph.masks, labels, split, settings),
        split_index=split,
        num_classes=len(labels.class_names),
        task=labels.task,
        metric=metric,
        node_ids=graph.node_ids,
        class_names=labels.class_names,
        feature_names=graph.feature_names,
        features_file=graph.features_file,
        schema=graph.schema,
        table_digest=graph.table_digest,
        edge_weight=edge_weight,
        zero_weights=num_left_out,
        split_origin=graph.split_origin or split_origin(graph.masks, labels, split, settings),
    )


def _graph(path: Path, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None) -> OwnGraph:
    if not os.path.isdir(path) and not os.path.isfile(path):  # other than pathlib's, never raise
        raise DatasetError(f"there is no file or folder at this path; give {EXPECTED}")
    if (arrays := _arrays_in(path)) is None:
        return read_tables(path, split, settings, schema)
    for name in ("categorical", "missing", "columns", "decimal"):
        if getattr(settings, name) != getattr(OwnSettings(), name):
            raise DatasetError(f"--data.{name} only holds for a folder of tables: leave it out")
    if os.path.isdir(path):
        none_there(settings.edge_weight, "a folder of OGB or Geom-GCN")
    found = arrays(path) if settings.edge_weight is None else arrays(path, settings.edge_weight)
    if settings.classes is not None:
        return unlabelled_graph(found, settings, str(path))
    return graph_from_arrays(found, arrays is read_saved, str(path), settings.edge_weight, settings.undirected)


def _arrays_in(path: Path) -> Callable[..., dict[str, Any]] | None:
    """What reads the arrays at the path; None where there are tables."""
    if os.path.isdir(path):
        return read_ogb if is_ogb(path) else read_geom_gcn if is_geom_gcn(path) else None
    return {".pt": read_saved, ".pth": read_saved, ".npz": read_npz}.get(path.suffix.lower())


def _features(x: Features | None, edge_index: Tensor, num_nodes: int) -> Features:
    return x if x is not None and x.size(1) else default_features(edge_index, num_nodes)


def _metric(given: Metric | None, task: Task, num_classes: int) -> Metric:
    """Raises DatasetError for a metric that the task doesn't have."""
    metric = given or ("roc_auc" if task == "multilabel" else "accuracy")
    if metric not in get_args(Metric):
        raise DatasetError(f"--data.metric {metric!r} is not known: give one of {', '.join(get_args(Metric))}")
    if metric in RANKED and task == "multiclass" and num_classes != 2:
        raise DatasetError(
            f"--data.metric {metric} needs two classes, but there are {num_classes}: use accuracy, "
            "balanced_accuracy or f1_macro"
        )
    if metric in ("accuracy", "balanced_accuracy") and task == "multilabel":
        raise DatasetError(
            f"--data.metric {metric} doesn't hold for several labels a node: use roc_auc, average_precision or f1_macro"
        )
    return metric
