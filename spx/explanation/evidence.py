"""What was measured about attention as an explanation: `make bench-explanations`, of which a test holds the numbers."""

from collections.abc import Iterable
from typing import NamedTuple


class Measured(NamedTuple):
    """Of 200 nodes of a dataset, in one draw.

    Args:
        dataset: its name.
        most: how far removing the most attended neighbour moves a prediction, mean total variation.
        other: how far removing another one of the same row does.
        is_largest: of how many nodes the most attended neighbour is the one whose removal moves the prediction most.
        chance: of how many it would be if neighbours were named by chance.
    """

    dataset: str
    most: float
    other: float
    is_largest: float
    chance: float


MEASURED = (
    Measured("Actor", 0.0233, 0.0158, 0.37, 0.1853),
    Measured("Minesweeper", 0.0934, 0.0109, 0.45, 0.0597),
    Measured("Photo", 0.0262, 0.00388, 0.37, 0.0663),
)


def evidence() -> str:
    """The sentences that a page carries."""
    names = _listed(row.dataset for row in MEASURED)
    ratios = _listed(f"{row.most / row.other:.1f}" for row in MEASURED)
    shares = _listed(f"{row.is_largest:.0%}" for row in MEASURED)
    chances = _listed(f"{row.chance:.0%}" for row in MEASURED)
    return (
        f"Attention is a hint, not an explanation. Measured on {names}, 200 nodes each: removing the most attended "
        f"neighbour moves a prediction {ratios} times as far as removing another one of the same row, but only for "
        f"{shares} of the nodes is it the neighbour that moves the prediction most (by chance: {chances})."
    )


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"
