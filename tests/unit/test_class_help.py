"""What help says of the classes that a configuration names."""

from pathlib import Path

import pytest

from spx.class_help import WITHOUT_CONFIG, class_settings_help


@pytest.mark.parametrize(
    ("file", "there", "missing"),
    [
        ("configs/actor/wide.yaml", ("--model.width", "--model.dropout", "--data.k", "--data.sampler"), "--data.shard"),
        ("configs/actor/estimator.yaml", ("--model.temperature_decay", "--data.shard"), "--data.k"),
        ("configs/cora/gcn.yaml", ("--model.residual", "--data.self_loops"), "--model.layer"),
    ],
)
def test_the_settings_of_the_classes_that_the_files_name(file: str, there: tuple[str, ...], missing: str) -> None:
    text = class_settings_help(["fit", "--config", file, "--help"], ("num_features",))
    options = {word.strip(",") for word in text.split()}
    assert {*there} <= options
    assert not {missing, "--model.num_features"} & options


@pytest.mark.parametrize("arguments", [["fit", "--help"], ["fit", "--config", "nothing.yaml", "--help"]])
def test_without_files_it_says_how_to_see_them(arguments: list[str]) -> None:
    assert class_settings_help(arguments, ()) == WITHOUT_CONFIG


def test_a_file_that_is_no_mapping_names_nothing(tmp_path: Path) -> None:
    for content in ("[1]", "model: {class_path: 3}", "model: [", "\x00"):
        (tmp_path / "own.yaml").write_text(content)
        assert class_settings_help(["--config", str(tmp_path / "own.yaml")], ()) == WITHOUT_CONFIG
