"""What one column of a table is, in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from spx.datasets.own.cells import Kind
from spx.datasets.own.numerals import Form

Scaling = Literal["standard", "log", "none"]
SCALINGS = ("standard", "log", "none")


@dataclass(frozen=True)
class Column:
    """What a column of features is, and what is done with it.

    kind        number, flag (0 and 1), category, date, or embedding
    form        how numbers are written in text
    missing     share of the nodes without a value
    low, high   range of the values; of a date, days since `origin`
    categories  of a category: one feature of 0 and 1 each
    width       of an embedding: so many features
    fill        what stands for a missing value: the training nodes' median
    indicator   whether a further feature NAME=missing is 1 where the value is missing
    origin      of a date: the earliest one, in days since 1970
    scaling     none: the value as it is; standard: less `mean`, over `deviation`, those of the training nodes; log: of
                sign(value) log(1 + |value|)
    doubt       why the reading may be wrong, and which setting decides; "": no doubt
    """

    name: str
    kind: Kind
    form: Form = "plain"
    missing: float = 0.0
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    width: int = 1
    fill: float = 0.0
    indicator: bool = False
    origin: float = 0.0
    scaling: Scaling = "none"
    mean: float = 0.0
    deviation: float = 1.0
    doubt: str = ""

    @property
    def feature_names(self) -> list[str]:
        """Of the features that it becomes: "age", "age=missing"; "city=Rome" for each category; "text[0]", ..."""
        if self.kind == "category":
            return [f"{self.name}={category}" for category in self.categories]
        names = [f"{self.name}[{place}]" for place in range(self.width)] if self.kind == "embedding" else [self.name]
        return [*names, f"{self.name}=missing"] if self.indicator else names

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """The values [...] float64, none of them missing, as the network takes them."""
        if self.scaling == "none":
            return values
        return (logarithm(values) if self.scaling == "log" else values) / self.deviation - self.mean / self.deviation


@dataclass(frozen=True)
class OtherColumn:
    """A column of the nodes that is no feature, or an end of the edges; and the share of the nodes without a value."""

    name: str
    kind: Literal["id", "label", "split", "source", "target", "left out"]
    missing: float = 0.0


def logarithm(values: np.ndarray) -> np.ndarray:
    """sign(v) log(1 + |v|) of each."""
    return np.sign(values) * np.log1p(np.abs(values))


def column_from_json(content: Mapping[str, Any]) -> Column:
    """A column from `asdict` of one. Raises KeyError, TypeError or ValueError for anything else."""
    known = {field.name: field.type for field in fields(Column)}
    values = {name: content[name] for name in known}
    for name in ("missing", "fill", "origin", "mean", "deviation"):
        values[name] = float(values[name])
    for name, allowed in (
        ("kind", ("number", "flag", "category", "date", "embedding")),
        ("form", get_args(Form)),
        ("scaling", SCALINGS),
    ):
        if values[name] not in allowed:
            raise ValueError(f"{name} is {str(values[name])[:40]!r}")
    texts = [values["name"], values["doubt"], *values["categories"]]
    if not all(isinstance(text, str) for text in texts) or type(values["width"]) is not int or values["width"] < 1:
        raise ValueError("a value of another type")
    return Column(**{**values, "categories": tuple(values["categories"])})
