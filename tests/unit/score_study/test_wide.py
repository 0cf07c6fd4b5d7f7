"""The wide network of a study is read from its checkpoint without running what the file names."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from spx.errors import ArtifactError
from spx.score_study.wide import check_graph, load_wide
from spx.training import Spexphormer

SETTINGS = {"num_features": 3, "num_outputs": 2, "task": "multiclass", "metric": "accuracy"}
SETTINGS |= {"width": 8, "num_layers": 2, "num_heads": 2}
PAYLOAD = "payload_of_a_checkpoint"


def checkpoint(path: Path, **more: object) -> Path:
    model = Spexphormer(**SETTINGS)
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": SETTINGS | more}, path)
    return path


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"_instantiator": f"{PAYLOAD}.thing"},
        {"_instantiator": "lightning.pytorch.cli.instantiate_module", "_class_path": f"{PAYLOAD}.Thing"},
    ],
)
def test_nothing_that_the_checkpoint_names_is_imported(tmp_path: Path, monkeypatch, more: dict[str, str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path(f"{PAYLOAD}.py").write_text("open('executed', 'w')\nthing = print\nclass Thing: ...\n")
    network = load_wide(checkpoint(tmp_path / "best.ckpt", **more))
    assert not network.training
    assert PAYLOAD not in sys.modules
    assert not Path("executed").exists()


@pytest.mark.parametrize("value", [{"class_path": "sympy.Poly"}, ["sympy.Poly"], "wide"])
def test_a_class_in_the_place_of_a_number_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ArtifactError, match="holds no network of spx"):
        load_wide(checkpoint(tmp_path / "best.ckpt", width=value))


@pytest.mark.parametrize("value", [{"class_path": f"{PAYLOAD}.Thing"}, f"{PAYLOAD}.Thing", [1], True])
@pytest.mark.parametrize("name", ["expander_degree", "expander_seed", "seed_everything"])
def test_a_class_in_the_configuration_beside_it_is_refused(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "checkpoints").mkdir()
    settings = {"seed_everything": 0, "data": {"init_args": {"expander_degree": 3}}}
    (settings if name in settings else settings["data"]["init_args"])[name] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ArtifactError, match="lies in no run's folder"):
        check_graph(tmp_path / "checkpoints/best.ckpt", "", {"dataset": "toy"})


def test_a_name_that_is_too_long_for_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no checkpoint"):
        load_wide(tmp_path / ("x" * 300))
