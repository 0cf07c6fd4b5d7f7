"""What a configuration asks for, with what it leaves to the code."""

from pathlib import Path

from spx.graph_check.full_settings import class_defaults, full_settings


def test_defaults_stand_where_neither_base_nor_dataset_says_anything(tmp_path: Path) -> None:
    for folder in ("base", "toy"):
        (tmp_path / folder).mkdir()
    base = "model: {class_path: spx.training.Spexphormer, init_args: {num_layers: 3}}\n"
    base += "data: {class_path: spx.data.ResampledGraphData, init_args: {k: [5]}}\n"
    (tmp_path / "base/wide.yaml").write_text(base)
    (tmp_path / "toy/wide.yaml").write_text("data: {init_args: {k: [2]}}\ntrainer: {max_epochs: 7}\n")
    settings = full_settings(tmp_path / "toy", "wide")
    model, data = settings["model"]["init_args"], settings["data"]["init_args"]
    assert (model["num_layers"], model["width"]) == (3, 64)
    assert (data["k"], data["batch_size"], data["expander_degree"]) == ([2], None, 15)
    assert settings["trainer"] == {"max_epochs": 7}
    assert full_settings(tmp_path / "other", "wide")["data"]["init_args"]["k"] == [5]
    assert full_settings(tmp_path / "toy", "none") == {"model": {"init_args": {}}, "data": {"init_args": {}}}


def test_defaults_are_those_of_the_bases_too() -> None:
    assert class_defaults("spx.data.AugmentedGraphData")["protocol"] == "public"
