"""How a graph of the user's own is read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_args

from spx.datasets.own.column import SCALINGS, Scaling
from spx.datasets.own.missing import DEFAULT_MISSING
from spx.datasets.own.numerals import Decimal
from spx.datasets.splits import Shares
from spx.datasets.types import Metric, Task
from spx.errors import DatasetError

DEFAULT_SHARES: Shares = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class OwnSettings:
    """What a user's files leave open.

    undirected   add the reverse of each edge
    shares       of train, validation and test, where the files hold no split; `split` numbers the draw
    stratify     draw each class by these shares, where the files hold no split
    metric       one of `Metric`; None: accuracy, for several labels roc_auc
    categorical  feature columns of numbers that name categories; columns of text always do
    missing      words in tables that stand for a missing value, beside the empty cell; in any case
    scaling      of the numbers in tables: "standard", "log" or "none" (`spx.datasets.own.schema`)
    columns      of tables: what each is called that is no feature: "id", "label", "split", "source", "target" -> name
    task         "multiclass" or "multilabel", for columns of 0 and 1 of which each node has one; None: multiclass
    edge_weight  what the edges' weights are called: a column, an attribute, an array; None: they aren't used
    decimal      mark of numbers in tables, "comma" or "point", where a column leaves it open; None: nothing is said
    classes      of a run that only predicts: labels are known by these names, and neither they nor a split are needed
    """

    undirected: bool = False
    shares: Shares = DEFAULT_SHARES
    stratify: bool = True
    metric: Metric | None = None
    categorical: tuple[str, ...] = ()
    missing: tuple[str, ...] = DEFAULT_MISSING
    scaling: Scaling = "standard"
    columns: Mapping[str, str] | None = None
    task: Task | None = None
    edge_weight: str | None = None
    decimal: Decimal | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise DatasetError(f"--data.scaling {self.scaling!r} is not known: give {', '.join(SCALINGS)}")
        if self.decimal not in (None, *get_args(Decimal)):
            raise DatasetError(f"--data.decimal {self.decimal!r} is not known: give {' or '.join(get_args(Decimal))}")

    def refuse_for(self, name: str) -> None:
        """Raise DatasetError if anything is set: the published dataset `name` leaves nothing open."""
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        if given:
            raise DatasetError(
                f"dataset {name!r}: {', '.join(given)} only holds for a graph of your own; leave it out, or give a path"
            )
