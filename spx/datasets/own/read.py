"""A user's own graph by its path: a saved PyG `Data` (.pt), an .npz, or a folder of two tables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from spx.dataset_names import run_name
from spx.datasets.checks import check_dataset
from spx.datasets.own.arrays import graph_from_arrays
from spx.datasets.own.error_words import one_line
from spx.datasets.own.graph import OwnGraph, check_ends, default_features, with_reverses
from spx.datasets.own.npz import read_npz
from spx.datasets.own.saved import read_saved
from spx.datasets.own.settings import OwnSettings
from spx.datasets.own.split import choose_split
from spx.datasets.own.tables import read_folder
from spx.datasets.types import Metric, NodeDataset, Task
from spx.errors import ArtifactError, DatasetError
from spx.graph.features import Features

_EXPECTED = "a folder with nodes.csv and edges.csv (or .parquet), an .npz, or a .pt (docs/own-data.md)"
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
    check_dataset(dataset, _MEND, what)
    return dataset


def _read(path: str, protocol: str, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None) -> NodeDataset:
    if protocol != "public":
        raise DatasetError(f"protocol {protocol!r}: own graphs have one protocol, leave --data.protocol at 'public'")
    graph = _graph(Path(os.path.expanduser(path)), split, settings, schema)
    labels, num_nodes = graph.labels, graph.num_nodes
    metric = _metric(settings.metric, labels.task, len(labels.class_names))
    check_ends(graph.edge_index, num_nodes)
    edge_index = with_reverses(graph.edge_index, num_nodes) if settings.undirected else graph.edge_index
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
    )


def _graph(path: Path, split: int, settings: OwnSettings, schema: Mapping[str, Any] | None) -> OwnGraph:
    if os.path.isdir(path):  # other than pathlib's, never raises
        return read_folder(path, split, settings, schema)
    ending = path.suffix.lower()
    if not os.path.isfile(path):
        raise DatasetError(f"there is no file or folder at this path; give {_EXPECTED}")
    if ending not in (".pt", ".npz"):
        raise DatasetError(f"this is no kind of file that is read; give {_EXPECTED}")
    for name in ("categorical", "missing"):
        if getattr(settings, name) != getattr(OwnSettings(), name):
            raise DatasetError(f"--data.{name} only holds for a folder of tables: leave it out")
    if ending == ".pt":
        return graph_from_arrays(read_saved(path), masks_by_column=True, source=str(path))
    return graph_from_arrays(read_npz(path), masks_by_column=False, source=str(path))


def _features(x: Features | None, edge_index: Tensor, num_nodes: int) -> Features:
    return x if x is not None and x.size(1) else default_features(edge_index, num_nodes)


def _metric(given: Metric | None, task: Task, num_classes: int) -> Metric:
    """Raises DatasetError for a metric that the task doesn't have."""
    metric = given or ("roc_auc" if task == "multilabel" else "accuracy")
    if metric not in ("accuracy", "roc_auc"):
        raise DatasetError(f"--data.metric {metric!r} is not known: give accuracy or roc_auc")
    if metric == "roc_auc" and task == "multiclass" and num_classes != 2:
        raise DatasetError(f"--data.metric roc_auc needs two classes, but there are {num_classes}: use accuracy")
    if metric == "accuracy" and task == "multilabel":
        raise DatasetError("--data.metric accuracy doesn't hold for several labels a node: use roc_auc")
    return metric
