"""A trained network as two files, which rebuild it in pure torch, without Lightning and without pickle.

`model.safetensors` holds the weights, `model.json` the class, its arguments, the task and the class names.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from spx.errors import ArtifactError, ConfigError
from spx.files import read_json, reason, replacing, write_json
from spx.graph.csr import fingerprint
from spx.nn.baselines import BaselineNetwork
from spx.nn.network import GraphTransformer
from spx.nn.objectives import TaskName

FORMAT_VERSION = 1
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "model.json"
NETWORKS: dict[str, type[nn.Module]] = {
    "GraphTransformer": GraphTransformer,
    "BaselineNetwork": BaselineNetwork,
    "GCN": BaselineNetwork,  # its name in older exports
}
_MEND = "Export the run again: spx export."


@dataclass(frozen=True)
class NetworkConfig:
    """What `model.json` holds.

    Args:
        network: a key of `NETWORKS`.
        arguments: what it is made by, see `network_arguments`.
        task: "multiclass" or "multilabel".
        class_names: of the C classes or labels, in the order of the network's outputs.
        made_from: where it comes from, as a person wants to know it: run, dataset, metric, ...
        schema: what the columns of the table were that it was trained on (`spx.datasets.own.schema`): how each is read,
            filled and scaled; None: it takes features as they are.
        temperature: that the network's logits are divided by for calibrated probabilities; 1: it isn't calibrated.
        weights: fingerprint of the weights; `save_network` fills it in.
        format_version: of the files.
    """

    network: str
    arguments: dict[str, int | float | bool | str]
    task: TaskName
    class_names: tuple[str, ...]
    made_from: dict[str, str] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    temperature: float = 1.0
    weights: str = ""
    format_version: int = FORMAT_VERSION


def argument_types(kind: type[nn.Module], optional: bool = True) -> dict[str, Any]:
    """Types of what `model.json` holds of a network, its settings one by one. Those that have a default are optional:
    older exports don't know of all."""
    settings = _settings_class(kind)
    types = {"num_features": int, "num_outputs": int, **get_type_hints(settings)}
    left_out = () if optional else {each.name for each in fields(settings) if each.default is not MISSING}
    return {name: each for name, each in types.items() if name not in left_out}


def network_arguments(network: nn.Module) -> dict[str, Any]:
    """What `model.json` holds of a network: what it was made by, by name."""
    return {"num_features": network.num_features, "num_outputs": network.num_outputs, **asdict(network.settings)}


def make_network(kind: type[nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """A network by what `model.json` holds of it; settings that aren't among it have their defaults."""
    settings = dict(arguments)
    num_features, num_outputs = settings.pop("num_features"), settings.pop("num_outputs")
    return kind(num_features, num_outputs, _settings_class(kind)(**settings))


def _settings_class(kind: type[nn.Module]) -> type:
    return get_type_hints(kind.__init__)["settings"]


def save_network(folder: str | Path, network: nn.Module, config: NetworkConfig) -> Path:
    """Write both files, each whole or not at all, and return their folder.

    Raises:
        ConfigError: the configuration describes no network that could be loaded again.
        ArtifactError: the folder can't be written, or the disk is full.
    """
    if problem := _problem(asdict(config)):
        raise ConfigError(f"The network can't be exported: {problem}.")
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(network.state_dict().items())}
    config = replace(config, weights=fingerprint(*tensors.values()))
    try:
        with replacing(folder / WEIGHTS_FILE) as temporary:
            temporary.write_bytes(save(tensors))  # save_file would keep it from other users
        write_json(folder / CONFIG_FILE, asdict(config))
    except OSError as error:
        raise ArtifactError(
            f"The network can't be written to {folder}: {reason(error)}. Free space or choose another folder."
        ) from error
    return folder


def load_network(folder: str | Path) -> nn.Module:
    """Rebuild the network in evaluation mode, on the CPU.

    Raises:
        ArtifactError: as `read_config`, or weights that are missing, damaged, or of another network.
    """
    folder, config = Path(folder), read_config(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ArtifactError(f"There is no {path}. {_MEND}")
    try:
        # Copies lie where torch aligns them: within the mapped file, products would round in another way.
        tensors = {name: tensor.clone() for name, tensor in sorted(load_file(path).items())}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} is no file of weights, or a damaged one. {_MEND}") from error
    if fingerprint(*tensors.values()) != config.weights:
        raise ArtifactError(f"{path} has other weights than {CONFIG_FILE} was written for. {_MEND}")
    network = _empty_network(folder, config, tensors)
    if _shapes(network.state_dict()) != _shapes(tensors):
        raise ArtifactError(f"{path} holds the weights of another network than {CONFIG_FILE} describes. {_MEND}")
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def read_config(folder: str | Path) -> NetworkConfig:
    """Read `model.json`.

    Raises:
        ArtifactError: it is missing, damaged or of another version, or names an unknown network or argument, or a value
            of another type.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise ArtifactError(f"There is no {path}. Give the folder of an export. {_MEND}")
    content = read_json(path)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is damaged. {_MEND}")
    if content.get("format_version") != FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {str(content.get('format_version'))[:20]}; this program reads version "
            f"{FORMAT_VERSION}. {_MEND}"
        )
    for name, value in (("schema", None), ("temperature", 1.0)):
        content.setdefault(name, value)  # older exports have none
    if problem := _problem(content):
        raise ArtifactError(f"{path} can't be used: {problem}. {_MEND}")
    return NetworkConfig(**{**content, "class_names": tuple(content["class_names"])})


def _problem(content: dict[str, Any]) -> str | None:
    if content.keys() != {known.name for known in fields(NetworkConfig)}:
        return f"it holds {', '.join(map(str, content))[:200]}"
    if not isinstance(content["network"], str) or content["network"] not in NETWORKS:
        return f"the network is {str(content['network'])[:50]!r}, none of {', '.join(NETWORKS)}"
    wanted = argument_types(NETWORKS[content["network"]])
    arguments, names = content["arguments"], content["class_names"]
    needed = argument_types(NETWORKS[content["network"]], optional=False)
    if not isinstance(arguments, dict) or not needed.keys() <= arguments.keys() <= wanted.keys():
        return f"the arguments of a {content['network']} are {', '.join(wanted)}"
    for name, value in arguments.items():
        if not _fits(value, wanted[name]):
            return f"{name} is {str(value)[:50]!r}"
    if type(content["temperature"]) not in (int, float) or not 0 < content["temperature"] < math.inf:
        return f"the temperature is {str(content['temperature'])[:50]!r}"
    if not _fits(content["task"], TaskName):
        return f"the task is {str(content['task'])[:50]!r}"
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return "class_names are no list of names"
    if len(names) != arguments["num_outputs"]:
        return f"there are {len(names)} class names for {arguments['num_outputs']} outputs"
    if not isinstance(content["schema"], dict | None):
        return "the schema is no set of columns"
    made_from = content["made_from"]
    if not isinstance(made_from, dict) or not all(isinstance(value, str) for value in made_from.values()):
        return "made_from holds more than text"
    return None


def _fits(value: object, wanted: Any) -> bool:
    if get_origin(wanted) is Union:
        return any(_fits(value, each) for each in get_args(wanted))
    if choices := get_args(wanted):
        return isinstance(value, str) and value in choices
    if wanted is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is wanted


def _empty_network(folder: Path, config: NetworkConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network without memory for its weights: a file of a few numbers can't ask for more than it holds."""
    num_weights = sum(tensor.numel() for tensor in tensors.values())
    for name, value in config.arguments.items():
        most = len(tensors) if name.endswith("layers") else num_weights
        if type(value) is int and value > most:
            raise ArtifactError(f"{folder / CONFIG_FILE} gives {name} = {value} for {most:,} weights. {_MEND}")
    try:
        with torch.device("meta"):
            return make_network(NETWORKS[config.network], config.arguments)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise ArtifactError(f"{folder / CONFIG_FILE} describes no network: {error} {_MEND}") from error


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple]:
    return {name: (tensor.shape, tensor.is_floating_point()) for name, tensor in tensors.items()}
