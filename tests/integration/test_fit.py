"""`spx.fit`: both stages from Python objects, and the notebooks of examples/."""

import contextlib
import json
from pathlib import Path

import polars as pl
import pytest
import torch
from torch_geometric.data import Data

import spx
from spx.errors import ArtifactError, ConfigError, DatasetError
from spx.files import read_json

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
NUM_NODES = 60


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    number = range(NUM_NODES)
    nodes = {
        "account": [f"A{i}" for i in number],
        "age": [20 + i % 7 for i in number],
        "risk": ["ab"[i % 2] for i in number],
    }
    edges = {"source": [f"A{i}" for i in number], "target": [f"A{(i + 3) % NUM_NODES}" for i in number]}
    return pl.DataFrame(nodes), pl.DataFrame(edges)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.full
def test_tables_are_fitted_tested_and_predicted(here: Path) -> None:
    nodes, edges = tables()
    settings = {"label": "risk", "columns": {"id": "account"}, "name": "bank", "trainer": QUICK}
    settings |= {"overrides": {"model.width": 8, "model.num_layers": 2, "data.k": [2, 2]}, "data": {"undirected": True}}
    run = spx.fit(nodes, edges, **settings)
    record = read_json(here / "lightning_logs/bank/wide/version_0/run.json")
    figures = run.test()
    assert figures["figure"][:2].to_list() == ["test accuracy", "validation accuracy"]
    assert figures["value"][0] == record["test"]
    assert read_json(here / "lightning_logs/bank/estimator/version_0/run.json")["num_nodes"] == NUM_NODES
    assert run.model.hparams.width == 8
    assert run.predict(["A7"]).table()["node"].to_list() == ["A7"]
    assert "<table" in run._repr_html_()
    assert "A7" in run.predict(["A7"])._repr_html_()
    again = spx.fit(nodes, edges, **settings)
    assert again.folder == run.folder, "the same tables and settings are the same run"
    more = pl.concat([nodes, pl.DataFrame({"account": ["new"], "age": [25], "risk": [None]}, schema=nodes.schema)])
    later = run.on(more, pl.concat([edges, pl.DataFrame({"source": ["new"], "target": ["A0"]})]))
    assert later.predict(["new", "A0"]).table()["part"][0] == "new"
    with pytest.raises(ConfigError, match="The graph changed since the run was tested"):
        later.test()


def test_a_data_of_pyg(here: Path) -> None:
    stream = torch.Generator().manual_seed(0)
    data = Data(
        x=torch.randn(NUM_NODES, 4, generator=stream),
        edge_index=torch.randint(NUM_NODES, (2, 200), generator=stream),
        y=torch.randint(3, (NUM_NODES,), generator=stream),
    )
    run = spx.fit(data, recipe="gcn", name="pyg", trainer=QUICK)
    assert run.predict(data).probabilities.shape == (NUM_NODES, 3)
    grown = Data(
        x=torch.cat((data.x, data.x[:1])), edge_index=torch.cat((data.edge_index, torch.tensor([[0], [60]])), 1)
    )
    table = run.predict(grown).table()
    assert table.height == NUM_NODES + 1
    assert table["part"][-1] == "new"


def test_what_is_no_graph_is_refused(here: Path) -> None:
    nodes, edges = tables()
    for given, words in (
        ((nodes, None), "edges is of type NoneType; give a pandas or polars DataFrame"),
        (([1, 2], edges), "nodes is of type list"),
    ):
        with pytest.raises(DatasetError, match=words):
            spx.fit(*given)
    with pytest.raises(ConfigError, match="edges go with a table of nodes"):
        spx.fit("path", edges)
    with pytest.raises(ConfigError, match=r"'width' is no setting\. Give such as 'model\.width'"):
        spx.fit(nodes, edges, overrides={"width": 3})
    assert not (here / "lightning_logs/graph").exists()


@pytest.mark.full
def test_a_run_without_a_test_has_no_figures(here: Path) -> None:
    nodes, edges = tables()
    run = spx.fit(nodes, edges, label="risk", columns={"id": "account"}, recipe="gcn", name="bank", trainer=QUICK)
    record = run.folder / "run.json"
    record.write_text(json.dumps(read_json(record) | {"test": None}))
    with pytest.raises(ArtifactError, match=r"has no figure of a test\. Test it: spx test"):
        run.test()


@pytest.mark.full
@pytest.mark.parametrize("name", ["quickstart", "fraud"])
def test_notebooks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, as Jupyter would; runs go below a temporary folder."""
    (tmp_path / "accounts").symlink_to(EXAMPLES / "accounts")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in json.loads((EXAMPLES / f"{name}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(None):
                exec(compile("".join(cell["source"]), f"{name}.ipynb", "exec"), names)
    assert list(Path("lightning_logs").glob("*/wide/version_0/run.json"))
