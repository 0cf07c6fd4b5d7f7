"""Which names are paths of a user's graph, now and when nothing lies there any more."""

from pathlib import Path

import pytest

from spx.dataset_names import PUBLISHED, is_path, lasting_name, run_name
from spx.datasets import DATASETS, load_dataset
from spx.errors import DatasetError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_published_names_are_those_that_are_loaded() -> None:
    assert set(PUBLISHED) == set(DATASETS)
    assert not any(map(is_path, DATASETS))
    assert [lasting_name(name) for name in DATASETS] == [None] * len(DATASETS)


def test_a_published_name_stays_one_beside_a_folder_of_that_name(here: Path) -> None:
    (here / "cora").mkdir()
    assert not is_path("cora")
    assert is_path("./cora")


@pytest.mark.parametrize("name", ["mygraph", "g.graphml", "notes"])
def test_what_exists_is_no_unknown_dataset(here: Path, name: str) -> None:
    assert not is_path(name)
    with pytest.raises(DatasetError, match="unknown dataset"):
        load_dataset(name)
    (here / name).mkdir() if name == "mygraph" else (here / name).write_text("")
    assert is_path(name)
    with pytest.raises(DatasetError, match=f"graph {name}: "):
        load_dataset(name)


def test_a_bare_folder_is_missed_as_a_path_after_it_was_deleted(here: Path) -> None:
    (here / "mygraph").mkdir()
    (here / "mygraph/nodes.csv").write_text("id\n")
    saved = lasting_name("mygraph")
    assert saved == "./mygraph"
    assert run_name(saved) == run_name("mygraph")
    (here / "mygraph/nodes.csv").unlink()
    with pytest.raises(DatasetError, match=r"graph \./mygraph: .*nodes"):
        load_dataset(saved)
    (here / "mygraph").rmdir()
    with pytest.raises(DatasetError, match=r"graph \./mygraph: there is no file or folder at this path"):
        load_dataset(saved)


@pytest.mark.parametrize("name", ["a/b", "/a", "..", "x.npz", "x.pt", "x\0", "x" * 300, "~"])
def test_no_name_raises(name: str) -> None:
    assert is_path(name) == (lasting_name(name) is not None)
    assert lasting_name(name) in (None, name)
