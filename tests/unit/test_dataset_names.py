"""Which names are paths of a user's graph, now and when nothing lies there any more."""

from pathlib import Path

import pytest

from spx.dataset_names import PUBLISHED, file_stamps, is_path, lasting_name, run_name, table_files
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


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "link", "broken link"])
@pytest.mark.parametrize("name", ["Cora", "cora.v2", "mygraph", "two words", "g.graphml", "\xe4", "data"])
def test_a_path_that_exists_is_none_with_or_without_a_slash(here: Path, name: str, kind: str) -> None:
    place = here / "below" / name
    place.parent.mkdir()
    if kind == "file":
        place.write_text("x")
    elif "folder" in kind:
        place.mkdir()
        (place / "x.csv").touch() if kind == "folder" else None
    else:
        place.symlink_to(here if kind == "link" else here / "nowhere")
    (here / name).symlink_to(place)
    spellings = [
        name,
        f"./{name}",
        f"{name}/",
        f"below/{name}",
        f"./below/{name}",
        str(place),
        f"../{here.name}/{name}",
    ]
    for spelling in spellings:
        with pytest.raises(DatasetError) as caught:
            load_dataset(spelling)
        assert str(caught.value).startswith(f"graph {spelling}: ")


@pytest.mark.parametrize("nodes", ["Nodes.csv", "vertices.tsv.gz", "my_nodes.parquet", "nodes.txt", "nodes.pq"])
def test_a_published_name_whose_folder_holds_tables_is_a_path(here: Path, nodes: str) -> None:
    (here / "cora").mkdir()
    (here / "cora" / nodes).touch()
    assert is_path("cora")


@pytest.mark.parametrize("name", ["nodes.json", "node_notes.txt", "nodes_and_edges.csv", "nodes.csv.bz2", "nodesx.csv"])
def test_files_that_are_no_table_of_nodes(here: Path, name: str) -> None:
    (here / name).touch()
    assert table_files(here, "nodes") == []


def test_the_better_name_is_taken_and_a_file_before_a_folder(here: Path) -> None:
    found = []
    for name in ("old_nodes.csv", "Nodes.csv", "nodes/part-0.parquet", "nodes.csv"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).touch()
        found.append([file.name for file in table_files(here, "nodes")])
    assert found == [["old_nodes.csv"], ["Nodes.csv"], ["nodes"], ["nodes.csv"]]


@pytest.mark.parametrize(
    "changed", ["Nodes.csv", "edges/label=a/part-0.parquet", "features.npy", "edges/label=a/part-1.parquet"]
)
def test_a_change_of_any_table_or_part_is_seen(here: Path, changed: str) -> None:
    (here / "edges" / "label=a").mkdir(parents=True)
    for name in ("Nodes.csv", "edges/label=a/part-0.parquet", "features.npy", "README.md"):
        (here / name).touch()
    before = file_stamps(".")
    (here / "README.md").write_text("x")
    assert file_stamps(".") == before
    (here / changed).write_text("x")
    assert file_stamps(".") != before


def test_a_change_of_any_file_is_seen_where_no_file_is_a_table(here: Path) -> None:
    (here / "raw").mkdir()
    (here / "raw" / "graph.bin").touch()
    before = file_stamps(".")
    assert set(before) == {"raw/graph.bin"}
    (here / "raw" / "graph.bin").write_text("x")
    assert file_stamps(".") != before


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
