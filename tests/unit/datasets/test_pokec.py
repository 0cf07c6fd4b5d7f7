import re
from pathlib import Path

import pytest
import scipy.io
import torch

from spx.datasets import load_dataset, random_split
from spx.errors import DatasetError

from .raw_files import write_pokec


def test_pokec(tmp_path: Path) -> None:
    known = write_pokec(tmp_path)
    dataset = load_dataset("pokec", tmp_path)
    assert torch.equal(dataset.x, torch.from_numpy(known.x))
    assert torch.equal(dataset.edge_index, torch.from_numpy(known.edges.T.copy())), "directed, as in the file"
    assert torch.equal(dataset.y, torch.from_numpy(known.y))
    assert dataset.num_classes == 2


@pytest.mark.parametrize("protocol", ["public", "paper"])
def test_the_split_has_no_unlabelled_node(tmp_path: Path, protocol: str) -> None:
    known = write_pokec(tmp_path)
    split = load_dataset("pokec", tmp_path, protocol=protocol).split
    labelled = (torch.from_numpy(known.y) >= 0).nonzero().flatten()
    assert [len(part) for part in split] == [5, 5, 40]
    assert all(map(torch.equal, split, random_split(labelled, (0.1, 0.1, 0.8), seed=123)))


def test_a_missing_file_says_where_from_and_where_to(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DatasetError, match="CUAI/Non-Homophily-Large-Scale") as caught:
        load_dataset("pokec", tmp_path)
    assert str(tmp_path / "pokec" / "pokec.mat") in str(caught.value)
    assert no_network == []


def test_a_file_with_other_keys(tmp_path: Path) -> None:
    (tmp_path / "pokec").mkdir()
    scipy.io.savemat(tmp_path / "pokec/pokec.mat", {"edge_index": [[0], [1]]})
    with pytest.raises(DatasetError, match=re.escape("pokec.mat lacks label, node_feat")):
        load_dataset("pokec", tmp_path)


def test_a_damaged_file(tmp_path: Path) -> None:
    write_pokec(tmp_path)
    path = tmp_path / "pokec/pokec.mat"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DatasetError, match=r"can't be parsed .*pokec\.mat is damaged .*delete it"):
        load_dataset("pokec", tmp_path)
