"""The estimator as a run keeps it, beside its scores and in the runs that draw by them: a graph that has changed since
needs scores of its own."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from spx.data import AugmentedGraphData
from spx.errors import ArtifactError
from spx.nn.export import CONFIG_FILE, NetworkConfig, load_network, network_arguments, read_config, save_network
from spx.nn.network import GraphTransformer
from spx.training.estimator import AttentionEstimator

AUGMENTATION = ("expander_degree", "expander", "expander_seed", "self_loops")
"""Settings of the data that make the augmented graph; in `model.json` among `made_from`, as text."""


class KeptEstimator(NamedTuple):
    """Args:
    network: in evaluation mode, on the CPU.
    augmentation: settings of the graph that it was trained on, by `AUGMENTATION`'s names.
    """

    network: GraphTransformer
    augmentation: dict[str, Any]


def folder_beside(scores: str | Path) -> Path:
    """Where the estimator lies that made a score file: `scores.estimator/` beside `scores.safetensors`."""
    return Path(scores).with_suffix(".estimator")


def keep_estimator(scores: str | Path, model: AttentionEstimator, data: AugmentedGraphData, fingerprint: str) -> None:
    """Write the network beside its scores.

    Args:
        scores: the score file.
        model: at the checkpoint that the scores are of.
        data: that it was trained on.
        fingerprint: of the scores.

    Raises:
        ArtifactError: the folder can't be written.
    """
    names = data.dataset.class_names or tuple(map(str, range(data.num_outputs)))
    origin = {name: str(getattr(data, name)) for name in AUGMENTATION}
    config = NetworkConfig(
        network=type(model.network).__name__,
        arguments=network_arguments(model.network),
        task=model.task,
        class_names=names,
        schema=data.dataset.schema,
        made_from={"dataset": data.dataset_name, "scores_fingerprint": fingerprint, **origin},
    )
    save_network(folder_beside(scores), model.network, config)


def copy_estimator(scores: str | Path, fingerprint: str, folder: str | Path) -> bool:
    """Copy the estimator of a score file into a run's folder; whether there is one, of these scores.

    Raises:
        ArtifactError: the folder can't be written.
    """
    source = folder_beside(scores)
    try:
        if read_config(source).made_from.get("scores_fingerprint") != fingerprint:
            return False
        shutil.copytree(source, folder, dirs_exist_ok=True)
    except ArtifactError:  # of an older version, or damaged: what it is needed for says so
        return False
    except OSError as error:
        raise ArtifactError(f"{folder} can't be written: {error}. Free space.") from error
    return True


def load_estimator(folder: str | Path) -> KeptEstimator:
    """Read what `keep_estimator` wrote.

    Raises:
        ArtifactError: it is missing, damaged, or doesn't say how its graph was augmented.
    """
    if not (Path(folder) / CONFIG_FILE).is_file():
        raise ArtifactError(
            f"There is no {Path(folder) / CONFIG_FILE}: the run doesn't keep the estimator that would score a graph "
            "that has changed; it is of an older version of spx, or stage 1 was. Run both stages anew."
        )
    made_from, network = read_config(folder).made_from, load_network(folder)
    try:
        found = {
            "expander_degree": int(made_from["expander_degree"]),
            "expander": {"hamiltonian": "hamiltonian", "permutation": "permutation"}[made_from["expander"]],
            "expander_seed": int(made_from["expander_seed"]),
            "self_loops": {"True": True, "False": False}[made_from["self_loops"]],
        }
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{Path(folder) / CONFIG_FILE} doesn't say how the estimator's graph was augmented ({error}). Run both "
            "stages anew."
        ) from error
    if not isinstance(network, GraphTransformer) or not 0 <= found["expander_degree"] <= 1000:
        raise ArtifactError(f"{folder} holds no estimator. Restore it from a copy, or run both stages anew.")
    return KeptEstimator(network, found)
