"""The trained wide network whose edges the estimators are asked to choose."""

import os
from pathlib import Path
from typing import Any

import torch
import yaml

from spx.data import AugmentedGraphData
from spx.errors import ArtifactError
from spx.nn.network import GraphTransformer
from spx.run_folder import CONFIG_FILE
from spx.signatures import fits, parameters_of
from spx.training import Spexphormer


def load_wide(checkpoint: Path) -> GraphTransformer:
    """The network in a checkpoint of `Spexphormer`, in evaluation mode on the CPU.

    Raises:
        ArtifactError: the file is missing, damaged, or another model's.
    """
    if not os.path.isfile(checkpoint):
        raise ArtifactError(
            f"There is no checkpoint {checkpoint}. Give that of a finished run: .../checkpoints/best.ckpt."
        )
    try:
        # Lightning's load_from_checkpoint imports and calls what the file names as its `_instantiator`.
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        settings = {name: value for name, value in content["hyper_parameters"].items() if not name.startswith("_")}
        model = Spexphormer(**settings)
        model.load_state_dict(content["state_dict"])
    except Exception as error:
        raise ArtifactError(
            f"{checkpoint} holds no network of spx.training.Spexphormer ({type(error).__name__}). Give the checkpoint "
            "of an Exphormer, such as configs/<dataset>/exphormer.yaml makes."
        ) from error
    return model.network.eval()


def check_graph(checkpoint: Path, fingerprint: str, data_settings: dict[str, Any]) -> None:
    """Refuse a wide network that was trained on another graph than the scores are over.

    Args:
        checkpoint: in `checkpoints/` of its run's folder.
        fingerprint: of the scores' attention graph.
        data_settings: dataset, protocol, split and where the data are.

    Raises:
        ArtifactError: no config.yaml in the run's folder, or another graph.
    """
    config = checkpoint.parents[1] / CONFIG_FILE
    names = ("seed", "expander_degree", "expander", "expander_seed", "self_loops")
    types = {name: annotation for name, (annotation, _) in parameters_of(AugmentedGraphData).items()}
    try:
        settings = yaml.safe_load(config.read_text())
        given = {**settings["data"]["init_args"], "seed": settings["seed_everything"]}
        given = {name: given[name] for name in names if name in given}
        if not all(fits(value, types[name]) for name, value in given.items()):
            raise TypeError("a setting of the data is of another type")
    except (OSError, KeyError, TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ArtifactError(
            f"{checkpoint} lies in no run's folder: {config}, which says what graph it was trained on, is missing or "
            "damaged. Give a checkpoint in its run's folder."
        ) from error
    data = AugmentedGraphData(**data_settings, **given)
    if data.graph.fingerprint() != fingerprint:
        raise ArtifactError(
            f"The wide network {checkpoint} was trained on another attention graph than the scores are over. Train it "
            "with their --data.expander_degree and --data.expander_seed (scores of a run without it: its seed)."
        )
