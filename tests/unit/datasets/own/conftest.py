from collections.abc import Callable

import pytest
from torch import Tensor

from spx.datasets import NodeDataset, OwnSettings
from spx.datasets.own import read_own
from spx.errors import DatasetError
from spx.graph.features import Features, SparseFeatures


def read(path: str, split: int = 0, **settings: object) -> NodeDataset:
    return read_own(path, "public", split, OwnSettings(**settings))


def dense(x: Features) -> Tensor:
    """The features, whichever form they have."""
    return x.to_dense() if isinstance(x, SparseFeatures) else x


@pytest.fixture
def refused() -> Callable[..., str]:
    """refused(path, *parts, split=0, **settings): reading fails with one line that names the path and has the parts."""

    def check(path: str, *parts: str, split: int = 0, **settings: object) -> str:
        with pytest.raises(DatasetError) as caught:
            read(path, split, **settings)
        message = str(caught.value)
        assert message.startswith(f"graph {path}: ")
        assert "\n" not in message
        for part in parts:
            assert part in message
        return message

    return check
