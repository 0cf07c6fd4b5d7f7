"""Labels as users write them: integers or names with gaps, or several labels of 0 and 1 a node."""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import listed, shown
from spx.datasets.types import Task
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

    from spx.datasets.own.settings import OwnSettings

logger = logging.getLogger(__name__)

Names = tuple[str, ...]

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})([.,]0*)?$"  # 7, 7.0 and 7,0, but not 007, which is a name


class Labels(NamedTuple):
    """Labels of N nodes.

    y            [N] int64, -1 where unlabelled; or [N, C] float32 in {0, 1}, -1 where not known; 0 where unlabelled
    labelled     [N] bool
    class_names  C
    """

    y: Tensor
    labelled: Tensor
    class_names: Names

    @property
    def task(self) -> Task:
        return "multilabel" if self.y.dim() == 2 else "multiclass"


def class_labels(column: "polars.Series", what: str, class_names: Names | None = None) -> Labels:
    """Number the classes of a column [N] of integers or strings; null is unlabelled.

    class_names  None: the values that are there, integers in their order, strings sorted. If given, strings are
                 looked up in it and integers are places in it.
    Raises DatasetError, naming the column by `what`, for fewer than two classes, or classes without a name.
    """
    import polars

    found = column.drop_nulls().unique().sort()
    if len(found) < 2:
        held = f"only {shown(found[0])}" if len(found) else "none"
        raise DatasetError(f"{what} holds {held}, but two classes are needed at least to tell nodes apart")
    known = found
    if class_names is not None:
        places = range(len(class_names))
        known = polars.Series(class_names if found.dtype == polars.String else places, dtype=found.dtype)
        _check_known(found, known, what)
    numbers = polars.Series(range(len(known)), dtype=polars.Int64)
    codes = column.replace_strict(known, numbers, default=-1, return_dtype=polars.Int64).fill_null(-1)
    y = torch.from_numpy(codes.to_numpy().copy())
    return Labels(y, y >= 0, class_names or tuple(str(value) for value in found.to_list()))


def labels_if_known(column: "polars.Series | None", num_nodes: int, settings: "OwnSettings") -> Labels:
    """Of nodes that are only predicted: those classes of the column [N] that `settings.classes` names.

    A node of another class, or of several labels, is unlabelled.
    """
    import polars

    names = settings.classes or ()
    if settings.task == "multilabel":
        return Labels(torch.zeros(num_nodes, len(names)), torch.zeros(num_nodes, dtype=torch.bool), names)
    y = torch.full((num_nodes,), -1)
    if column is not None and column.dtype in (polars.String, polars.Int64):
        known = polars.Series(names, dtype=polars.String)
        codes = column.cast(polars.String).replace_strict(known, range(len(names)), default=-1).fill_null(-1)
        y = torch.from_numpy(codes.cast(polars.Int64).to_numpy().copy())
    return Labels(y, y >= 0, names)


def classes_from_text(column: "polars.Series", what: str) -> "polars.Series":
    """The column [N] of strings as integers if all are integers, else as it is; null stays null.

    Raises DatasetError where labels are numbers with fractions.
    """
    import polars

    filled = column.drop_nulls()
    if filled.str.contains(_INTEGER).all():
        return column.str.replace(r"[.,]0*$", "").cast(polars.Int64)
    if filled.str.to_lowercase().is_in(["true", "false"]).all():
        return column.str.to_lowercase()
    numeric = filled.str.contains(_INTEGER)
    if 2 * numeric.sum() > len(filled):
        logger.warning(
            "%s holds integers and %s, taken as a class. If it stands for a node without a label: --data.missing",
            *(what, shown(filled.filter(~numeric)[0])),
        )
    numbers = filled.str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2").cast(polars.Float64, strict=False)
    if len(numbers) and numbers.is_not_null().all():
        fractions = filled.filter(numbers != numbers.round())
        if len(fractions):
            raise DatasetError(_fractions(what, shown(fractions[0])))
    return column


def classes_from_numbers(values: np.ndarray, what: str) -> "polars.Series":
    """Integers, booleans, or floats that are integers ([N]) as a column; NaN is null.

    Raises DatasetError for labels with fractions, and for infinity.
    """
    import polars

    if values.dtype.kind != "f":
        return polars.Series(values.astype(np.int64))
    filled = values[~np.isnan(values)].astype(np.float64)
    with np.errstate(invalid="ignore"):
        broken = filled[(filled != np.round(filled)) | (np.abs(filled) > 2**53)]
    if broken.size:
        raise DatasetError(_fractions(what, float(broken[0])))
    return polars.Series(values.astype(np.float64), nan_to_null=True).cast(polars.Int64)


def several_labels(table: np.ndarray, class_names: Names, what: str) -> Labels:
    """Labels of 0 and 1 [N, C] (floats); NaN and -1 are not known, and a node of which none is known is unlabelled.

    Raises DatasetError for other values, and for labels that aren't known of any node.
    """
    empty = np.isnan(table) | (table == -1)
    labelled = ~empty.all(axis=1)
    wrong = table[(table != 0) & (table != 1) & ~empty]
    if wrong.size:
        raise DatasetError(f"{what} must be 0 or 1, but {wrong.size} are not, such as {shown(float(wrong[0]))}")
    if not labelled.any():
        raise DatasetError(f"{what} are empty for all nodes: at least some nodes need labels")
    unknown = [name for name, none in zip(class_names, empty.all(axis=0), strict=True) if none]
    if unknown:
        raise DatasetError(f"{what}: {listed(unknown)} is empty for all nodes: leave it out")
    partly = int((empty.any(axis=1) & labelled).sum())
    if partly:
        logger.warning("%s are known in part for %d nodes: loss and metric are over the known ones", *(what, partly))
    y = np.where(labelled[:, None], np.where(empty, -1, table), 0).astype(np.float32)
    return Labels(torch.from_numpy(y), torch.from_numpy(labelled), class_names)


def classes_or_labels(labels: Labels, task: Task | None, what: str) -> Labels:
    """Labels of which each node has exactly one as classes, unless `task` says that they are several labels.

    Raises DatasetError where `task` asks for what they are not.
    """
    if labels.task == "multiclass":
        if task == "multilabel":
            raise DatasetError(
                f"--data.task multilabel: {what} hold one class a node; several labels are columns of 0 and 1"
            )
        return labels
    known = labels.y[labels.labelled]
    one_hot = bool((known >= 0).all() and (known.sum(1) == 1).all())
    if task == "multiclass" and not one_hot:
        raise DatasetError(f"--data.task multiclass: {what} hold nodes with none or several; classes are one a node")
    if task == "multilabel" or not one_hot or (task is None and int(known.any(0).sum()) < 2):
        return labels
    if task is None:
        logger.warning(
            "%s: each node has exactly one, so they are %d classes. If they are labels: --data.task multilabel",
            *(what, len(labels.class_names)),
        )
    return labels._replace(y=torch.where(labels.labelled, labels.y.argmax(1), -1))


def _check_known(found: "polars.Series", known: "polars.Series", what: str) -> None:
    unknown = found.filter(~found.is_in(known.implode()))
    if len(unknown):
        named = f"has the places 0 to {len(known) - 1}" if known.dtype.is_integer() else f"names {listed(known)}"
        raise DatasetError(f"{what} holds {listed(unknown)}, but class_names {named}: name every class there")


def _fractions(what: str, example: float | str) -> str:
    return (
        f"{what} holds numbers that are no integers, such as {example}: classes must be integers or text; "
        "turn numbers to be predicted into classes, such as ranges"
    )
