"""The gate that every dataset passes before anyone trains on it."""

import logging
import math

import torch
from torch import Tensor

from spx.datasets.types import RANKED, NodeDataset, Split
from spx.errors import DatasetError
from spx.graph.features import Features, SparseFeatures, row_chunks

_MEND = "The raw files are damaged or of another version: delete them and load again"

LARGEST_FEATURE = 1e15
FEATURE_DTYPES = (torch.float32, torch.float16)
SHOWN_LABELS = 5

logger = logging.getLogger(__name__)


def check_dataset(dataset: NodeDataset, mend: str = _MEND, what: str = "", judged: bool = True) -> None:
    """Raise DatasetError, naming the dataset and the fault, unless it keeps all promises of its type.

    mend  what the reader of the error should do where the files are to blame
    what  how the error names the dataset; "": by its name
    judged  whether nodes will be judged: else it needs no split
    """
    try:
        _check_shapes(dataset, mend)
        _check_edges(dataset.edge_index, dataset.num_nodes, mend)
        _check_weights(dataset, mend)
        _check_features(dataset.x, mend)
        _check_labels(dataset, mend, judged)
        if judged:
            _check_split(dataset.split, dataset, mend)
            _check_metric(dataset)
    except DatasetError as error:
        raise DatasetError(f"{what or f'dataset {dataset.name!r}'}: {error}") from None


def _check_shapes(dataset: NodeDataset, mend: str) -> None:
    x, edge_index, y = dataset.x, dataset.edge_index, dataset.y
    if x.dim() != 2 or x.dtype not in FEATURE_DTYPES:
        raise DatasetError(f"x must be [N, F] float32, not {_kind(x)}. {mend}")
    if dataset.num_nodes == 0:
        raise DatasetError(f"the graph has no nodes. {mend}")
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.int64:
        raise DatasetError(f"edge_index must be [2, E] int64, not {_kind(edge_index)}. {mend}")
    multilabel = dataset.task == "multilabel"
    shape = (dataset.num_nodes, dataset.num_classes) if multilabel else (dataset.num_nodes,)
    dtype = torch.float32 if multilabel else torch.int64
    if tuple(y.shape) != shape or y.dtype != dtype:
        wanted = f"{list(shape)} {_name(dtype)}"
        raise DatasetError(f"y of a {dataset.task} task must be {wanted} here, not {_kind(y)}. {mend}")


def _check_edges(edge_index: Tensor, num_nodes: int, mend: str) -> None:
    if edge_index.numel() == 0:
        return
    low, high = (int(end) for end in edge_index.aminmax())
    if low < 0 or high >= num_nodes:
        raise DatasetError(f"edge_index runs from {low} to {high}, outside the nodes 0..{num_nodes - 1}. {mend}")


def _check_weights(dataset: NodeDataset, mend: str) -> None:
    weight = dataset.edge_weight
    if weight is None:
        return
    num_edges = dataset.edge_index.size(1)
    if tuple(weight.shape) != (num_edges,) or weight.dtype != torch.float32:
        raise DatasetError(f"edge_weight must be [{num_edges}] float32, one for each edge, not {_kind(weight)}. {mend}")
    wrong = int((~((weight > 0) & weight.isfinite())).sum())
    if wrong:
        raise DatasetError(f"the weights of {wrong} of {num_edges} edges are not above 0, or not finite. {mend}")


def broken_rows(x: Features) -> Tensor:
    """Nodes whose features [N, F] hold NaN or infinity, [n] int64."""
    if isinstance(x, SparseFeatures):
        return x.rows()[~x.values.isfinite()].unique()
    return (~torch.cat([rows.isfinite().all(1) for rows in row_chunks(x)])).nonzero()[:, 0]


def _check_features(x: Features, mend: str) -> None:
    broken, largest = 0, 0.0
    if isinstance(x, SparseFeatures):
        broken, largest = broken_rows(x).numel(), float(x.values.abs().max()) if x.num_entries else 0.0
    else:  # in one pass: they may lie on disk
        for rows in row_chunks(x):
            low, high = (float(end) for end in rows.aminmax()) if rows.numel() else (0.0, 0.0)
            if not math.isfinite(high - low):  # NaN is both ends
                broken += int((~rows.isfinite().all(dim=1)).sum())
            largest = max(largest, -low, high)
    if broken:
        raise DatasetError(f"the features of {broken} of {x.size(0)} nodes hold NaN or infinity. {mend}")
    if largest > LARGEST_FEATURE:
        raise DatasetError(
            f"the features reach {largest:.3g}; above {LARGEST_FEATURE:.0e} their squares overflow. Divide them, or "
            "take logarithms"
        )


def _check_labels(dataset: NodeDataset, mend: str, judged: bool) -> None:
    y, num_classes = dataset.y, dataset.num_classes
    if dataset.task == "multilabel":
        wrong = int(((y != 0) & (y != 1) & (y != -1)).any(dim=1).sum())
        if wrong:
            raise DatasetError(f"the labels of {wrong} of {y.size(0)} nodes are not 0 or 1 (NaN?). {mend}")
        return
    low, high = (int(end) for end in y.aminmax())
    if low < -1 or high >= num_classes:
        raise DatasetError(f"labels run from {low} to {high}, outside -1..{num_classes - 1}. {mend}")
    if high < 0 and judged:
        raise DatasetError(f"no node has a label. {mend}")


def _check_split(split: Split, dataset: NodeDataset, mend: str) -> None:
    for name, nodes in split._asdict().items():
        _check_part(f"the {name} split", nodes, dataset, mend)
    counts = torch.bincount(torch.cat(split), minlength=dataset.num_nodes)
    shared = int((counts > 1).sum())
    if shared:
        raise DatasetError(f"{shared} nodes are in more than one of train, val and test. {mend}")
    if split.train.numel() == 1:
        raise DatasetError("the train split has one node; training needs at least two. Choose a larger share for it")


def _check_part(what: str, nodes: Tensor, dataset: NodeDataset, mend: str) -> None:
    if nodes.dim() != 1 or nodes.dtype != torch.int64:
        raise DatasetError(f"{what} must be [n] int64 node indices, not {_kind(nodes)}. {mend}")
    if nodes.numel() == 0:
        raise DatasetError(f"{what} is empty. Choose another protocol or a larger graph")
    if bool((nodes[1:] <= nodes[:-1]).any()):
        raise DatasetError(f"{what} is not sorted, or names a node twice. {mend}")
    low, high = int(nodes[0]), int(nodes[-1])
    if low < 0 or high >= dataset.num_nodes:
        raise DatasetError(f"{what} runs from {low} to {high}, outside 0..{dataset.num_nodes - 1}. {mend}")
    unlabelled = int((dataset.y[nodes] < 0).sum()) if dataset.task == "multiclass" else 0
    if unlabelled:
        raise DatasetError(f"{what} names {unlabelled} nodes that have no label. {mend}")


def _check_metric(dataset: NodeDataset) -> None:
    """Refuse a part over which the metric is undefined: rankings put nodes of a class before those without it.

    Of several labels those that have no such two kinds of nodes are left out of the mean, which is said.
    """
    if dataset.metric not in RANKED:
        return
    metric = "ROC-AUC" if dataset.metric == "roc_auc" else "Average precision"
    names = dataset.class_names or tuple(map(str, range(dataset.num_classes)))
    multilabel = dataset.task == "multilabel"
    for part, nodes in dataset.split._asdict().items():
        y = dataset.y[nodes]
        defined = (y == 1).any(0) & (y == 0).any(0)
        if not bool(defined.any()):
            held = "each label is the same for all of them" if multilabel else f"all are of class {names[int(y[0])]!r}"
            raise DatasetError(
                f"{metric} is undefined over the {nodes.numel()} nodes of the {part} split: {held}. Choose another "
                "split (--data.split, --data.shares, or the files' own)"
                + ("" if multilabel else ", or the metric accuracy")
            )
        if multilabel and part != "train" and not bool(defined.all()):
            left_out = [name for name, kept in zip(names, defined.tolist(), strict=True) if not kept]
            logger.warning(
                "dataset %s: %s of the %s split is the mean over %d of %d labels; its nodes are all alike in %s",
                *(repr(dataset.name), metric, part, int(defined.sum()), len(names), ", ".join(left_out[:SHOWN_LABELS])),
            )


def _kind(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {_name(tensor.dtype)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
