"""The same graph in every format of other programs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from . import foreign
from .conftest import dense, read
from .foreign import CLASSES, EDGES, FOLDERS, IDS, RANK, SINGLE, X, Y


def path_of(make: Callable[[Path], list[Path]], folder: Path) -> str:
    if make is foreign.annotated:
        pytest.importorskip("anndata")
    files = make(folder)
    return str(files[0] if make in SINGLE else folder)


@pytest.mark.parametrize("make", [*SINGLE, *FOLDERS])
def test_the_graph_is_the_same(make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    dataset = read(path_of(make, tmp_path / "graph"), scaling="none")
    assert dataset.edge_index.t().unique(dim=0).tolist() == sorted(EDGES.tolist())
    assert torch.equal(dense(dataset.x), torch.from_numpy(X).float())
    assert dataset.y.tolist() == Y.tolist()
    assert dataset.class_names in (tuple(CLASSES), ("0", "1", "2"))
    for number, nodes in enumerate(dataset.split):
        assert nodes.tolist() == np.flatnonzero(number == RANK).tolist()
    assert dataset.node_ids is None or dataset.node_ids.to_list() in (IDS, list(range(len(IDS))))
