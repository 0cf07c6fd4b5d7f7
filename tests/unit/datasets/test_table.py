from pathlib import Path

import pytest
import torch_geometric.datasets

from spx.datasets import DATASETS, DatasetSpec

FIXED = {
    "actor": 10,
    "minesweeper": 10,
    "tolokers": 10,
    "roman-empire": 10,
    "amazon-ratings": 10,
    "questions": 10,
    "photo": 0,
    "computer": 0,
    "cs": 0,
    "physics": 0,
    "wikics": 20,
    "ogbn-arxiv": 1,
    "ogbn-proteins": 1,
    "ogbn-products": 1,
    "amazon2m": 0,
    "pokec": 0,
    "cora": 1,
    "citeseer": 1,
    "pubmed": 1,
    "minesweeper-sim": 0,
}
ROC_AUC = {"minesweeper", "tolokers", "questions", "ogbn-proteins", "minesweeper-sim"}


def test_names_and_fixed_splits() -> None:
    assert {name: spec.num_fixed_splits for name, spec in DATASETS.items()} == FIXED
    assert all(name == spec.name for name, spec in DATASETS.items())


def test_metrics_and_tasks() -> None:
    assert {name for name, spec in DATASETS.items() if spec.metric == "roc_auc"} == ROC_AUC
    assert {name for name, spec in DATASETS.items() if spec.task == "multilabel"} == {"ogbn-proteins"}


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DATASETS["new"] = DATASETS["cora"]
    with pytest.raises(AttributeError):
        DATASETS["cora"].metric = "roc_auc"


def test_by_hand_says_what_goes_where() -> None:
    raw = Path("/there/Actor/raw")
    lines = DATASETS["actor"].by_hand("/there").splitlines()
    assert len(lines) == 12
    assert lines[1].endswith(f"/new_data/film/out1_graph_edges.txt  as  {raw / 'out1_graph_edges.txt'}")
    assert "generated" in DATASETS["minesweeper-sim"].by_hand("/there")


def pyg_class(name: str) -> torch_geometric.data.InMemoryDataset:
    """The dataset's PyG class as an object that has not loaded anything."""
    arguments = parse_arguments(DATASETS[name])
    cls = getattr(torch_geometric.datasets, arguments["class_name"])
    bare = object.__new__(cls)
    bare.root, bare.split = str(Path("/there") / cls.__name__), "public"
    given = arguments.get("name", "")
    bare.name = given.lower() if cls.__name__ in {"HeterophilousGraphDataset", "Amazon"} else given
    return bare


def parse_arguments(spec: DatasetSpec) -> dict[str, object]:
    return getattr(getattr(spec.source, "parse", None), "keywords", {})


BY_PYG = [name for name, spec in DATASETS.items() if "class_name" in parse_arguments(spec)]


@pytest.mark.parametrize("name", BY_PYG)
def test_urls_files_and_folders_are_those_of_pyg(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = pyg_class(name)
    fetched = []
    module = type(bare).__module__
    monkeypatch.setattr(f"{module}.download_url", lambda url, _folder: fetched.append(url), raising=False)
    monkeypatch.setattr("torch_geometric.io.fs.cp", lambda url, _folder: fetched.append(url))
    bare.download()
    source = DATASETS[name].source
    assert list(source.files.values()) == fetched
    assert Path(bare.raw_dir) == Path("/there") / source.folder / "raw"
    given = bare.raw_file_names
    assert list(source.files) == ([given] if isinstance(given, str) else given)
