import math

import pytest
import torch

from spx.datasets.own.graph import check_ends, default_features, with_reverses
from spx.errors import DatasetError

EDGES = torch.tensor([[0, 1, 0, 2], [1, 0, 2, 2]])


def test_reverses_are_added_once() -> None:
    assert with_reverses(EDGES, 4).tolist() == [[0, 0, 1, 2, 2], [1, 2, 0, 0, 2]]
    assert with_reverses(torch.empty(2, 0, dtype=torch.int64), 4).shape == (2, 0)


def test_default_features_count_distinct_edges() -> None:
    twice = torch.cat([EDGES, EDGES[:, :2]], dim=1)
    log = [math.log1p(degree) for degree in range(3)]
    wanted = torch.tensor([[1, log[1], log[2]], [1, log[1], log[1]], [1, log[2], log[1]], [1, 0, 0]])
    x = default_features(twice, 4)
    assert x.dtype == torch.float32
    assert torch.allclose(x, wanted)


def test_ends() -> None:
    check_ends(EDGES, 3)
    check_ends(EDGES[:, :0], 3)
    with pytest.raises(DatasetError, match="nodes from 0 to 2, but the graph has 2, numbered from 0"):
        check_ends(EDGES, 2)
    with pytest.raises(DatasetError, match="nodes from -1 to 1"):
        check_ends(EDGES - 1, 3)
