"""Networks written as files and rebuilt from them, bit for bit, and files that were tampered with."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from daily import every_day
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spx.errors import ArtifactError, ConfigError
from spx.graph.csr import AttentionGraph, augment, fingerprint
from spx.graph.expander import build_expander
from spx.nn.baselines import BaselineNetwork
from spx.nn.export import NetworkConfig, load_network, make_network, network_arguments, read_config, save_network
from spx.nn.layers import TransformerLayer
from spx.nn.network import GraphTransformer

NUM_NODES, ROOT = 20, Path(__file__).parents[3]
SETTINGS = {"num_features": 6, "num_outputs": 3, "width": 8, "num_layers": 2, "dropout": 0.1}
KINDS: list[tuple[type[nn.Module], dict]] = [
    (GraphTransformer, {}),
    (GraphTransformer, {"num_heads": 2, "normalize_values": True, "norm": "graph", "num_post_layers": 2}),
    (GraphTransformer, {"norm": "none", "num_pre_layers": 0, "unit_rows": False}),
    (BaselineNetwork, {}),
    (BaselineNetwork, {"residual": True}),
    (BaselineNetwork, {"skip": True, "norm": "layer", "unit_sums": True, "feature_dropout": 0.1}),
    (BaselineNetwork, {"kind": "gat", "num_heads": 2}),
    (BaselineNetwork, {"kind": "sage"}),
    (BaselineNetwork, {"kind": "mlp"}),
    (BaselineNetwork, {"kind": "polynormer", "num_heads": 2, "global_layers": 2}),
    (BaselineNetwork, {"kind": "sgformer"}),
    (GraphTransformer, {"layer": "residual", "norm": "layer", "dropout": 0.2, "drop_features": True}),
]


def graph() -> AttentionGraph:
    edge_index = torch.randint(0, NUM_NODES, (2, 60), generator=torch.Generator().manual_seed(0))
    return augment(edge_index, NUM_NODES, build_expander(NUM_NODES, 1, seed=0))


def features() -> Tensor:
    return torch.randn(NUM_NODES, 6, generator=torch.Generator().manual_seed(1))


def made(kind: type[nn.Module], settings: dict) -> tuple[nn.Module, NetworkConfig]:
    """A network after a pass in training mode, so that its statistics and temperature aren't the initial ones."""
    torch.manual_seed(0)
    network = make_network(kind, SETTINGS | settings)
    network(features(), (graph(),))
    if hasattr(network, "temperature"):
        network.temperature.fill_(0.3)
    if hasattr(network, "attends_globally"):
        network.attends_globally.fill_(True)
    return network.eval(), NetworkConfig(
        kind.__name__, network_arguments(network), "multiclass", ("a", "b", "c"), {"dataset": "toy"}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_network(tmp_path / "deeper" / "exported", *made(*KINDS[1]))


@pytest.fixture
def tampered(folder: Path) -> Callable[..., Path]:
    """tampered(arguments={...}, **fields): the folder with its model.json changed."""

    def tamper(arguments: Any = None, **changes: Any) -> Path:
        content = json.loads((folder / "model.json").read_text())
        content["arguments"] |= arguments or {}
        (folder / "model.json").write_text(json.dumps(content | changes))
        return folder

    return tamper


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_a_network_comes_back_bit_for_bit(kind: type[nn.Module], settings: dict, tmp_path: Path) -> None:
    network, config = made(kind, settings)
    loaded = load_network(save_network(tmp_path, network, config))
    assert type(loaded) is kind
    assert not any(module.training for module in loaded.modules())
    with torch.no_grad():
        assert loaded(features(), (graph(),)).equal(network(features(), (graph(),)))
    assert all(one.equal(loaded.state_dict()[name]) for name, one in network.state_dict().items())
    assert [parameter.requires_grad for parameter in loaded.parameters()] == [True] * len(list(network.parameters()))
    read = read_config(tmp_path)
    assert replace(read, weights="") == config
    assert read.class_names == ("a", "b", "c")
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "model.json"}


def test_arguments_that_the_settings_leave_out_are_written_with_their_defaults() -> None:
    arguments = network_arguments(make_network(GraphTransformer, SETTINGS))
    assert arguments["normalize_values"] is False
    assert arguments["unit_rows"] is True
    assert arguments["norm"] is None
    assert arguments.keys() >= SETTINGS.keys()


def test_an_export_from_before_an_argument_came_is_read(folder: Path) -> None:
    """Its default is what the network did before."""
    content = json.loads((folder / "model.json").read_text())
    del content["arguments"]["layer"], content["arguments"]["drop_features"]
    (folder / "model.json").write_text(json.dumps(content))
    assert type(load_network(folder).layers[0]) is TransformerLayer
    del content["arguments"]["num_features"]
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="the arguments of a GraphTransformer are num_features"):
        load_network(folder)


def test_an_export_of_a_gcn_from_before_the_other_baselines_came_is_read(tmp_path: Path) -> None:
    network, config = made(BaselineNetwork, {"residual": True})
    arguments = {name: config.arguments[name] for name in (*SETTINGS, "residual")}
    loaded = load_network(save_network(tmp_path, network, replace(config, network="GCN", arguments=arguments)))
    assert loaded.settings == network.settings
    with torch.no_grad():
        assert loaded(features(), (graph(),)).equal(network(features(), (graph(),)))


@pytest.mark.parametrize("temperature", ["1", True, 0, -1.5, None])
def test_a_temperature_is_a_number_above_0(folder: Path, temperature: object) -> None:
    content = json.loads((folder / "model.json").read_text())
    assert content.pop("temperature") == 1
    (folder / "model.json").write_text(json.dumps(content))
    assert read_config(folder).temperature == 1, "an older export has none"
    (folder / "model.json").write_text(json.dumps(content | {"temperature": temperature}))
    with pytest.raises(ArtifactError, match="the temperature is"):
        read_config(folder)


def test_an_export_from_before_schemas_came_is_read(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    assert content.pop("schema") is None
    (folder / "model.json").write_text(json.dumps(content))
    load_network(folder)
    (folder / "model.json").write_text(json.dumps(content | {"schema": 3}))
    with pytest.raises(ArtifactError, match="the schema is no set of columns"):
        load_network(folder)


@pytest.mark.full
def test_loading_needs_no_lightning(folder: Path) -> None:
    code = (
        f"import sys\nfrom spx.nn.export import load_network\nload_network({str(folder)!r})\n"
        "loaded = {'lightning', 'torchmetrics', 'jsonargparse', 'spx.training', 'spx.data'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_exporting_again_replaces(folder: Path) -> None:
    network, config = made(BaselineNetwork, {})
    save_network(folder, network, config)
    assert type(load_network(folder)) is BaselineNetwork


@every_day(
    ("changes", "words"),
    [
        ({"network": "os.system"}, "the network is 'os.system', none of GraphTransformer, BaselineNetwork, GCN"),
        ({"network": ["GCN"]}, "the network is"),
        ({"network": "BaselineNetwork"}, "the arguments of a BaselineNetwork are num_features, num_outputs, width"),
        ({"arguments": {"command": "touch marker"}}, "the arguments of a GraphTransformer are"),
        ({"arguments": {"width": "8"}}, "width is '8'"),
        ({"arguments": {"width": True}}, "width is 'True'"),
        ({"arguments": {"width": 8.0}}, "width is '8.0'"),
        ({"arguments": {"unit_rows": 1}}, "unit_rows is '1'"),
        ({"arguments": {"norm": "evil"}}, "norm is 'evil'"),
        ({"arguments": {"norm": ["batch"]}}, "norm is"),
        ({"arguments": {"dropout": float("nan")}}, "dropout is 'nan'"),
        ({"arguments": {"dropout": None}}, "dropout is 'None'"),
        ({"arguments": {"dropout": 1.5}}, "describes no network: dropout is 1.5"),
        ({"arguments": {"num_heads": 3}}, "describes no network: num_heads is 3"),
        ({"arguments": {"num_heads": 0}}, "describes no network: num_heads is 0"),
        ({"arguments": {"num_features": -1}}, "describes no network"),
        ({"arguments": {"width": 10**12}}, "gives width = 1000000000000 for"),
        ({"arguments": {"num_layers": 10**5}}, "gives num_layers = 100000 for"),
        ({"arguments": {"num_layers": 3}}, "the weights of another network"),
        ({"arguments": {"width": 4}}, "the weights of another network"),
        ({"task": "evil"}, "the task is 'evil'"),
        ({"class_names": ["a"]}, "1 class names for 3 outputs"),
        ({"class_names": [1, 2, 3]}, "no list of names"),
        ({"class_names": {"a": 1}}, "no list of names"),
        ({"made_from": {"run": {}}}, "made_from holds more than text"),
        ({"made_from": "a"}, "made_from holds more than text"),
        ({"weights": "0"}, "has other weights than model.json was written for"),
        ({"format_version": 2}, "has format version 2; this program reads version 1"),
        ({"format_version": None}, "has format version None"),
        ({"more": 1}, "it holds network, arguments"),
    ],
    12,
)
def test_a_tampered_configuration(changes: dict, words: str, tampered: Callable[..., Path]) -> None:
    with pytest.raises(ArtifactError, match=rf"model\.(json|safetensors).*{words}.*Export the run again"):
        load_network(tampered(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, "null"])
def test_a_damaged_configuration(text: str, folder: Path) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"model\.json is damaged"):
        load_network(folder)


def test_missing_files(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"There is no .*model\.safetensors"):
        load_network(folder)
    with pytest.raises(ArtifactError, match=r"There is no .*model\.json. Give the folder of an export"):
        load_network(tmp_path)


def test_damaged_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:-4] + b"\x3f\x3f\x3f\x3f"):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"model\.safetensors (is no file of weights|has other weights)"):
            load_network(folder)


def test_weights_of_another_type(folder: Path) -> None:
    tensors = dict(sorted(load_file(folder / "model.safetensors").items()))
    tensors["encoder.bias"] = tensors["encoder.bias"].long()
    save_file(tensors, folder / "model.safetensors")
    content = json.loads((folder / "model.json").read_text()) | {"weights": fingerprint(*tensors.values())}
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="the weights of another network"):
        load_network(folder)


def test_what_could_not_be_loaded_is_not_written(tmp_path: Path) -> None:
    network, config = made(*KINDS[0])
    for wrong in (
        replace(config, class_names=("a",)),
        replace(config, network="Linear"),
        replace(config, arguments={}),
    ):
        with pytest.raises(ConfigError, match="can't be exported"):
            save_network(tmp_path, network, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"can't be written to .*file/deeper"):
        save_network(tmp_path / "file" / "deeper", *made(*KINDS[0]))
