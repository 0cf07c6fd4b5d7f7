"""Where things stand in the picture of a node's neighbourhood: the node in the middle, neighbours in two arcs.

Neighbours stand one below the other, each with its name beside it, so that thirty of them can be read.
"""

import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A900")
"""Of classes (Okabe and Ito, 2008; the yellow is darker, to be seen on white)."""
OTHER_COLOR = "#8A8A8A"
"""Of classes beyond these."""

WIDTH, ROW, LEAST_HEIGHT, MARGIN = 880, 25, 190, 45
NEAR, BULGE = 130, 80
"""How far from the middle the arcs' ends are, and how much farther their middles."""
THINNEST, THICKEST = 1.0, 10.0
LONGEST_NAME = 22
"""Letters of a name that are shown; wide ones of East Asian scripts count twice."""


class Neighbor(NamedTuple):
    """A neighbour of the picture.

    Args:
        name: of the node.
        edge: graph, expander or itself.
        weight: mean attention.
        group: its predicted class.
        change: of the predicted class's probability without it.
    """

    name: str
    edge: str
    weight: float
    group: str
    change: float


class Mark(NamedTuple):
    """A neighbour in its place: where its circle and its name's near end are, and how thick its edge is."""

    neighbor: Neighbor
    label: str
    x: float
    y: float
    text_x: float
    is_right: bool
    thickness: float


class Picture(NamedTuple):
    """Marks around the node at (`x`, `y`); `loop` is the thickness of its edge to itself, 0 without one."""

    width: int
    height: int
    x: float
    y: float
    marks: list[Mark]
    loop: float
    loop_weight: float


def make_picture(neighbors: Sequence[Neighbor]) -> Picture:
    """Place neighbours: graph edges first, by falling weight, down the right side, then down the left one."""
    largest = max((neighbor.weight for neighbor in neighbors), default=0.0) or 1.0
    placed = [neighbor for neighbor in neighbors if neighbor.edge != "itself"]
    placed.sort(key=lambda neighbor: (neighbor.edge != "graph", -neighbor.weight))
    half = math.ceil(len(placed) / 2)
    height = max(LEAST_HEIGHT, ROW * (half - 1) + 2 * MARGIN)
    x, y = WIDTH / 2, height / 2
    marks = []
    for side, of_side in ((1, placed[:half]), (-1, placed[half:])):
        span = ROW * max(len(of_side) - 1, 1) if len(of_side) * ROW > LEAST_HEIGHT / 2 else LEAST_HEIGHT / 2
        for number, neighbor in enumerate(of_side):
            down = 0.0 if len(of_side) == 1 else number / (len(of_side) - 1) - 0.5
            along = x + side * (NEAR + BULGE * math.cos(math.pi * down))
            label = shortened(neighbor.name)
            thickness = _thickness(neighbor.weight / largest)
            marks.append(Mark(neighbor, label, along, y + span * down, along + 14 * side, side > 0, thickness))
    loop = next((neighbor.weight for neighbor in neighbors if neighbor.edge == "itself"), 0.0)
    return Picture(WIDTH, height, x, y, marks, _thickness(loop / largest) if loop else 0.0, loop)


def class_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each class among predictions, the most frequent first; those beyond the colours share grey."""
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: COLORS[rank] if rank < len(COLORS) else OTHER_COLOR for rank, name in enumerate(ranked)}


def shortened(name: str) -> str:
    """The name, or its beginning and an ellipsis."""
    width = 0
    for place, letter in enumerate(name):
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > LONGEST_NAME:
            return f"{name[: place - 1]}\u2026"
    return name


def _thickness(share: float) -> float:
    return THINNEST + (THICKEST - THINNEST) * share
