"""An argument that can't be used ends in one sentence: the option, its value, what is allowed, the nearest name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from daily import every_day

Refused = Callable[..., str]

WRONG = {
    "--data.undirectd=true": "--data.undirectd is no option of ResampledGraphData; did you mean --data.undirected?",
    "--model.widht=8": "--model.widht is no option of Spexphormer; did you mean --model.width?",
    "--model.width=big": "--model.width is 'big'; it takes int.",
    "--model.norm=bach": "--model.norm is 'bach'; it takes one of batch, graph, layer, none or null.",
    "--data.k=five": "--data.k is 'five'; it takes list.",
    "--trainer.max_epochs=many": "--trainer.max_epochs is 'many'; it takes int or null.",
    "--confg=x": "--confg is no option; did you mean --config?",
    "--attention.evry=3": "--attention.evry is no option; did you mean --attention.every?",
    "--zzzzzz=3": "--zzzzzz is no option; --help lists what there is.",
    "stray": "'stray' stands behind no option;",
    "--model=Spexphorme": "--model names the class Spexphorme, which isn't known; did you mean Spexphormer?",
    "--trainer.callbacks+=EarlyStoping": "names the class EarlyStoping, which isn't known; did you mean EarlyStopping?",
    "--trainer.callbacks+=EarlyStopping": "EarlyStopping, which --trainer.callbacks names, needs --trainer.callbacks.m",
    "--trainer.logger=CSVLogger": "CSVLogger, which --trainer.logger names, needs --trainer.logger.save_dir.",
    "--data.feature_store=collections.OrderedDict": "'collections.OrderedDict', which is no FeatureStore; name a class",
    "--data.feature_store=torch.Nothing": "is 'torch.Nothing', which can't be imported: module 'torch' has no",
    "--data.feature_store=nowhere.Thing": "which can't be imported: No module named 'nowhere'.",
    "--config=nofile.yaml": "--config: File does not exist",
    "--seed_everything=abc": "--seed_everything is 'abc'; it takes bool or int.",
}
FILES = {
    "model: {init_args: {widht: 8}}": "--model.widht is no option of Spexphormer; did you mean --model.width?",
    "model: {class_path: spx.training.Spexphorme}": "--model names the class Spexphorme, which isn't known; did you me",
    "trainer: {max_epoch: 8}": "--trainer.max_epoch, in a file given with --config, is no option; did you mean --trai",
    "checkpoint: {last_second: 3}": "no option; did you mean --checkpoint.last_seconds?",
    "[a, b]": "A file given with --config holds no settings",
    "a: [}": "A file given with --config holds no settings",
}


@every_day("argument", WRONG, 6)
def test_a_wrong_argument(refused: Refused, home: Path, argument: str) -> None:
    message = refused("fit", "--config", "wide.yaml", "--runs_dir", "runs", argument)
    assert WRONG[argument] in message
    assert len(message.strip().splitlines()) == 1
    assert not (home / "runs").exists()


@every_day("content", FILES, 2)
def test_a_wrong_setting_in_a_file(refused: Refused, home: Path, content: str) -> None:
    (home / "more.yaml").write_text(content)
    message = refused("fit", "--config", "wide.yaml", "--config", "more.yaml", "--runs_dir", "runs")
    assert FILES[content] in message
    assert len(message.strip().splitlines()) == 1


def test_a_nested_value_of_a_callback_is_named_with_its_option(refused: Refused, home: Path) -> None:
    callback = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k=all"]
    message = refused("fit", "--config", "wide.yaml", "--runs_dir", "runs", *callback)
    assert "--trainer.callbacks.save_top_k is 'all'; it takes int." in message


def test_a_class_in_a_class_is_named_with_its_option(refused: Refused, home: Path) -> None:
    store = ["--data.feature_store=torch_geometric.data.Data", "--data.feature_store.edge_indx=3"]
    message = refused("fit", "--config", "wide.yaml", "--runs_dir", "runs", *store)
    assert (
        "--data.feature_store.edge_indx is no option of Data; did you mean --data.feature_store.edge_index?" in message
    )


def test_a_class_that_can_t_be_made_is_the_user_s_matter(
    refused: Refused, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "my_stores.py").write_text(
        "from torch_geometric.data import Data\n\n\nclass Store(Data):\n    def __init__(self, path: str):\n"
        "        open(path)\n\n\ndef make(path: str) -> Store:\n    return Store(path)\n"
    )
    monkeypatch.syspath_prepend(str(home))
    common = ("fit", "--config", "wide.yaml", "--runs_dir", "runs")
    message = refused(*common, "--data.feature_store=my_stores.Store", "--data.feature_store.path=none.pt")
    assert "my_stores.Store, which the settings name, can't be made: FileNotFoundError: " in message
    assert "none.pt" in message
    message = refused(*common, "--data.feature_store=my_stores.make", "--data.feature_store.path=none.pt")
    assert "my_stores.make, which the settings name, can't be made: FileNotFoundError: " in message
    store, make = (f"--data.feature_store=my_stores.{name}" for name in ("Store", "make"))
    message = refused(*common, store, "--data.feature_store.path=none.pt", make)
    assert "A function can't take the place of a class" in message
    assert "make, which --data.feature_store names, needs --data.feature_store.path." in refused(*common, make)


@every_day("command", ["test", "validate", "predict"], 1)
def test_a_network_that_learned_nothing_is_not_judged(refused: Refused, home: Path, command: str) -> None:
    assert f"spx {command} needs --ckpt_path" in refused(command, "--config", "wide.yaml", "--runs_dir", "runs")
    for path in ("best", "none.ckpt"):
        message = refused(command, "--config", "wide.yaml", "--runs_dir", "runs", "--ckpt_path", path)
        assert f"There is no checkpoint {path}." in message
