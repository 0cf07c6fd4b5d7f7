"""Starting a fit from the weights of a finished run: `spx fit ... --init_from RUN`.

Other than resuming it is a new run: epochs, learning rate and moments of the optimiser start anew, and the data may
have changed. Stage 1's temperature falls from the one that the weights were learned at.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spx.errors import ConfigError
from spx.inference.rebuild import build_model, class_names
from spx.inference.run_files import read_run
from spx.nn.export import CONFIG_FILE, load_network, network_arguments, read_config
from spx.run_folder import ESTIMATOR_FOLDER
from spx.training import AttentionEstimator, NodeTask


class InitialWeights(NamedTuple):
    """Args:
    run: folder that they are from.
    state: of the LightningModule, by name.
    class_names: of the C outputs.
    arguments: that the network was made by (`spx.nn.export.network_arguments`).
    """

    run: Path
    state: dict[str, Tensor]
    class_names: tuple[str, ...]
    arguments: dict[str, Any]


def initial_weights(run_folder: str | Path, estimator: bool) -> InitialWeights:
    """The weights that a fit starts from.

    Args:
        run_folder: of a finished run of either stage, or of a baseline.
        estimator: whether stage 1 is to be started: by the run itself, or by the estimator that a run of stage 2 keeps.

    Raises:
        ArtifactError: there is no finished run, or a file of it is damaged.
        ConfigError: the run is of another stage and keeps none.
    """
    files = read_run(run_folder)
    kept = files.folder / ESTIMATOR_FOLDER
    if estimator and (kept / CONFIG_FILE).is_file():
        tensors, config = load_network(kept).state_dict(), read_config(kept)
        state = {f"network.{name}": tensor for name, tensor in tensors.items()}
        return InitialWeights(files.folder, state, config.class_names, config.arguments)
    model = build_model(files).model
    if isinstance(model, AttentionEstimator) != estimator:
        found, wanted = ("stage 1", "stage 2") if not estimator else ("stage 2 that keeps no estimator", "stage 1")
        raise ConfigError(f"--init_from names {files.folder}, a run of {found}; this is a fit of {wanted}.")
    names = class_names(files, model.num_outputs) or tuple(map(str, range(model.num_outputs)))
    return InitialWeights(files.folder, model.state_dict(), names, network_arguments(model.network))


def start_from(model: NodeTask, initial: InitialWeights, names: Sequence[str] | None) -> list[str]:
    """Give the model the weights. Rows of its last layer go by the classes' names; those of new classes stay random.

    Args:
        model: fresh.
        initial: of the run.
        names: of the C classes or labels at hand; None: "0" to str(C - 1).

    Returns:
        The names of the new classes.

    Raises:
        ConfigError: the run's network has other settings.
    """
    _check_same_network(model, initial)
    names = tuple(map(str, range(model.num_outputs))) if names is None else tuple(names)
    rows = torch.tensor([initial.class_names.index(name) if name in initial.class_names else -1 for name in names])
    own = model.state_dict()
    state = dict(initial.state)
    for name in _rows_of_classes(model):
        chosen = own[name].clone()
        chosen[rows >= 0] = state[name][rows[rows >= 0]].to(chosen)
        state[name] = chosen
    model.load_state_dict(state)
    return [name for name, row in zip(names, rows.tolist(), strict=True) if row < 0]


def _rows_of_classes(model: NodeTask) -> set[str]:
    """Names of the tensors with a row for each class: those that another number of classes would change."""
    settings = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    with torch.device("meta"):
        more = type(model)(**settings | {"num_outputs": model.num_outputs + 1}).state_dict()
    return {name for name, tensor in model.state_dict().items() if more[name].shape != tensor.shape}


def _check_same_network(model: NodeTask, initial: InitialWeights) -> None:
    there, here = ({**each, "num_outputs": None} for each in (initial.arguments, network_arguments(model.network)))
    other = [
        f"{name} is {there.get(name)} there and {here[name]} here" for name in here if there.get(name) != here[name]
    ]
    if other or initial.state.keys() != model.state_dict().keys():
        raise ConfigError(
            f"The network of {initial.run} is another: {'; '.join(other) or 'it has other layers'}. Give the settings "
            "of that run (its config.yaml) and a graph with the same feature columns."
        )
