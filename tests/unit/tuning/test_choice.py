"""Which trials are validated again."""

import pytest

from spx.tuning.choice import affordable
from spx.tuning.search import Ended

BEST = [Ended(number, {}, 0.9 - number / 100, "accuracy", seconds) for number, seconds in enumerate((100, 300, 50))]


@pytest.mark.parametrize(
    ("side_by_side", "seconds", "wanted"),
    [(1, 450, 3), (1, 449, 2), (2, 300, 3), (2, 299, 2), (3, 300, 3), (3, 1, 2), (2, -5, 2)],
)
def test_as_many_as_there_is_time_for(side_by_side: int, seconds: float, wanted: int) -> None:
    assert affordable(BEST, side_by_side, seconds) == BEST[:wanted]


def test_there_may_be_fewer() -> None:
    assert affordable(BEST[:1], 2, 1) == BEST[:1]
    assert affordable([], 2, 1) == []
