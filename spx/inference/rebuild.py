"""A run's network and data, built again from its files: known classes only, and data that hasn't changed since."""

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.data.handover import scores_of_fingerprint
from spx.data.known_nodes import KnownNodes, Match
from spx.data.unchanged import Changes, changes_since, data_state, read_as_trained
from spx.dataset_names import is_path, table_files
from spx.datasets.fingerprint import VALUES
from spx.errors import ArtifactError, ConfigError, DatasetError
from spx.graph.scores import read_header
from spx.inference.changed import follow_changes
from spx.inference.run_files import RunFiles, find_checkpoint
from spx.nn.export import NETWORKS, argument_types
from spx.nn.objectives import TaskName
from spx.run_folder import NODES_FILE
from spx.signatures import fits, parameters_of
from spx.torch_files import read_checkpoint
from spx.training import AttentionEstimator, Baseline, GCNBaseline, NodeTask, Spexphormer
from spx.training.calibration import Calibration

MODELS = {kind.__name__: kind for kind in (AttentionEstimator, Spexphormer, Baseline, GCNBaseline)}
SIZES = frozenset(name for kind in NETWORKS.values() for name in argument_types(kind))
"""Settings of a model that are its network's, so that its weights bound them."""
DATA = {kind.__name__: kind for kind in (AugmentedGraphData, ResampledGraphData)}

logger = logging.getLogger(__name__)


class Network(NamedTuple):
    """A run's network in evaluation mode, and the state of the data that it was trained on; nothing of older runs."""

    model: NodeTask
    data_state: dict[str, Any]


def build_model(files: RunFiles, checkpoint: str | Path = "best") -> Network:
    """The run's network with a checkpoint's weights.

    Raises:
        ArtifactError: there is no such checkpoint, it is damaged, of an unknown class, or of another model.
    """
    kind = _known_class(files, "model", MODELS)
    path = find_checkpoint(files, checkpoint)
    content = read_checkpoint(path)
    try:
        settings = {name: value for name, value in content["hyper_parameters"].items() if not name.startswith("_")}
        _check_size(kind, settings, content["state_dict"], path.stat().st_size)
        model = kind(**settings)
        model.load_state_dict(content["state_dict"])
        model.calibration = Calibration.of_checkpoint(content)
    except Exception as error:  # whatever a file of another origin makes it raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise ArtifactError(
            f"{path} is no checkpoint of a {kind.__name__} of this version of spx: {lines[0][:200]}. "
            "Give another, or run anew."
        ) from error
    return Network(model.eval(), data_state(content)[1])


def _check_size(kind: type[NodeTask], settings: dict[str, Any], tensors: dict[str, Any], file_bytes: int) -> None:
    """Refuse, before memory is taken, settings that ask for more than the file holds. Raises ValueError."""
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if held > file_bytes:
        raise ValueError(f"it promises weights of {held:,} bytes in {file_bytes:,}")
    num_weights = sum(tensor.numel() for tensor in tensors.values())
    for name in SIZES & settings.keys():
        most = len(tensors) if name.endswith("layers") else num_weights
        if isinstance(settings[name], int) and settings[name] > most:
            raise ValueError(f"{name} is {settings[name]}, for {num_weights:,} weights")
    with torch.device("meta"):
        wanted = kind(**settings).state_dict()
    for name, tensor in wanted.items():
        if name in tensors and tensor.shape != tensors[name].shape:
            raise ValueError(
                f"its settings ask for {name} of shape {list(tensor.shape)}, it holds {list(tensors[name].shape)}"
            )


class RunData(NamedTuple):
    """A run's data, and what became of the nodes that it was trained on.

    Args:
        data: with the scores that it draws by.
        known: the nodes as they were; None where the graph is the run's own.
        match: where they are now; None likewise.
    """

    data: GraphData
    known: KnownNodes | None = None
    match: Match | None = None


def build_data(
    files: RunFiles,
    network: Network,
    dataset: str | Path | None = None,
    data_dir: str | Path | None = None,
    scores: str | Path | None = None,
    names: tuple[str, ...] | None = None,
) -> RunData:
    """The run's data as they are now. Where the graph is another than the one that it was trained on, a line says what
    changed, and the scores are made anew (`spx.inference.changed`).

    Args:
        files: of the run.
        network: of it.
        dataset, data_dir, scores: new places of what was moved, or of a newer graph.
        names: of the network's classes.

    Raises:
        DatasetError: the dataset can't be loaded.
        ArtifactError: the data or the scores are missing, or others than the network can take.
        ConfigError: scores for a run that uses none, or of the graph as it was.
    """
    data, named_scores = _data_of(files, dataset, data_dir, scores)
    read_as_trained(network.data_state, data)
    remembers = (files.folder / NODES_FILE).is_file()
    _load(files, data, names if remembers else None, network.model.task, given=dataset is not None)
    changes = _changes(files, network, data)
    if isinstance(data, ResampledGraphData) and len(data.k) != network.model.num_layers:
        layers = network.model.num_layers
        raise ArtifactError(f"{files.settings_file} gives k = {data.k} for {layers} layers. Run anew.")
    if changes.parts - VALUES or ("features" in changes.parts and remembers):
        if scores is not None:
            raise ConfigError(
                f"The data changed since the run {files.folder} was trained: {changes.text}. Scores of the graph as it "
                "was don't fit; leave them out."
            )
        if not remembers:
            raise ArtifactError(
                f"The data of the run {files.folder} changed since: {changes.text}. The run has no {NODES_FILE}, by "
                "which it would know its nodes again: it is of an older version of spx, or of Python without a folder. "
                "Restore the data as they were (--dataset or --data_dir give another place), or run anew."
            )
        known, match = follow_changes(files, data, names or ())
        logger.warning("The graph changed since the run %s was trained: %s.", files.folder, match.text or changes.text)
        return RunData(data, known, match)
    if changes.parts:
        logger.warning("The data changed since the run %s was trained: %s.", files.folder, changes.text)
    if isinstance(data, ResampledGraphData):
        data.scores_path = _score_file(files, data.sampler, named_scores, scores)
        _ = data.scores  # found and checked now
    return RunData(data)


def _data_of(
    files: RunFiles, dataset: str | Path | None, data_dir: str | Path | None, scores: str | Path | None
) -> tuple[GraphData, Any]:
    """The DataModule, not loaded yet and without scores, and the score file that its settings name."""
    kind = _known_class(files, "data", DATA)
    settings = dict(files.config["data"].get("init_args") or {})
    settings["seed"] = files.record.get("seed", settings.get("seed", files.config.get("seed_everything"))) or 0
    for name, given in (("dataset", dataset), ("data_dir", data_dir)):
        if given is not None:
            settings[name] = str(given)
            settings.pop("hidden", None)  # the graph that is given is meant as a whole
        elif name in settings:
            settings[name] = (_own_graph if name == "dataset" else _present)(files, settings[name])
    uniform = settings.get("sampler") == "uniform"
    if scores is not None and (uniform or kind is not ResampledGraphData):
        does = "samples uniformly" if uniform else "trains on the whole graph"
        raise ConfigError(f"The run {files.folder} {does} and uses no scores. Leave them out.")
    if kind is ResampledGraphData:
        settings["runs_dir"] = _present(files, files.config.get("runs_dir") or "lightning_logs")
    settings.pop("feature_store", None)  # a class, and so code: who loads the run gives one, or none
    _check_types(files, kind, settings)
    try:
        data = kind(**settings | ({"scores": None} if kind is ResampledGraphData else {}))
    except (TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{files.settings_file} holds settings that {kind.__name__} doesn't take: {error}. Run anew."
        ) from error
    if dataset is not None and isinstance(files.record.get("dataset"), str):
        data.dataset_name = files.record["dataset"]  # what its scores are filed under
    return data, settings.get("scores")


def class_names(files: RunFiles, num_outputs: int) -> tuple[str, ...] | None:
    """The classes' names in the order of the network's outputs, where the dataset names them.

    Raises:
        ArtifactError: there are not as many as outputs.
    """
    names = files.record.get("class_names")
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != num_outputs:
        raise ArtifactError(f"{files.folder}/run.json doesn't name {num_outputs} classes. Restore it, or run anew.")
    return tuple(map(str, names))


def _known_class(files: RunFiles, part: str, known: dict[str, type]) -> Any:
    path = files.config[part].get("class_path")
    package, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    if package.split(".")[0] != "spx" or name not in known:
        raise ArtifactError(
            f"{files.settings_file} names the class {str(path)[:100]!r} for its {part}, which is none of "
            f"{', '.join(known)}. Only a run of spx itself can be loaded."
        )
    return known[name]


def _check_types(files: RunFiles, kind: type, settings: dict[str, Any]) -> None:
    for name, (annotation, _) in parameters_of(kind).items():
        if name in settings and not fits(settings[name], annotation):
            raise ArtifactError(
                f"{files.settings_file} holds settings that {kind.__name__} doesn't take: {name} is "
                f"{str(settings[name])[:50]!r}, of another type. Run anew."
            )


def _present(files: RunFiles, path: Any) -> str:
    """The path where it lies now; as it is if it lies nowhere."""
    return str(next(iter(files.locate(str(path))), path))


def _own_graph(files: RunFiles, dataset: Any) -> str:
    """Where the user's graph lies now; as it is if it lies nowhere, or is a published dataset's name. The bare name of
    a folder of tables is known as a path only in the folder that the run was started in."""
    places = files.locate(str(dataset))
    known = (place for place in places if is_path(str(dataset)) or table_files(place, "nodes"))
    return str(next(known, dataset))


def _score_file(files: RunFiles, sampler: str, named: Any, given: str | Path | None) -> str | None:
    if sampler == "uniform":
        return None
    recorded = files.record.get("scores") or named
    if given is None and recorded is None:
        return None  # ResampledGraphData looks for the newest
    places = [Path(given)] if given is not None else files.locate(str(recorded))
    found = [place for place in places if os.path.isfile(place)]  # other than pathlib's, never raises
    mend = f"Give the right one: --scores PATH, or spx.load({str(files.folder)!r}, scores=PATH)."
    if not found:
        raise ArtifactError(f"There is no score file {given or recorded}, which the run {files.folder} uses. {mend}")
    wanted = files.record.get("scores_fingerprint")
    for path in found:
        if given is None and (right := scores_of_fingerprint(path, wanted)) is not None:
            return str(right)
        if given is not None and wanted in (None, read_header(path).fingerprint):  # this file, no other of its folder
            return str(path)
    raise ArtifactError(
        f"The scores in {found[0]} are others than those that the run {files.folder} was trained with "
        f"(another fingerprint). {mend}"
    )


def _load(files: RunFiles, data: GraphData, names: tuple[str, ...] | None, task: TaskName, given: bool) -> None:
    """Load the dataset; where that fails, without the labels and the split that predictions don't need, if the run
    remembers its nodes (`names` of classes are given)."""
    try:
        _ = data.dataset
        return
    except DatasetError as error:
        problem = error
    if names is not None and is_path(data.source):
        data.only_predict(names, task)
        try:
            _ = data.dataset
            return
        except DatasetError as error:
            problem = error  # what is wrong beside labels and split
    if given:
        raise problem
    raise DatasetError(
        f"The data of the run {files.folder} can't be loaded: {problem}. Were they moved? Give their new place: "
        "--dataset PATH for a graph of your own, --data_dir PATH for the others."
    ) from problem


def _changes(files: RunFiles, network: Network, data: GraphData) -> Changes:
    """What changed in the data since; nothing that keeps the network from taking them."""
    model, mend = network.model, "(--dataset or --data_dir give another place), or run anew."
    changes = changes_since(network.data_state or {"fingerprint": files.record.get("data_fingerprint")}, data)
    problem = None
    if changes.parts & {"columns", "format"}:
        problem = f"The data of the run {files.folder} changed since: {changes.text}"
    elif data.num_features != model.hparams.num_features:
        problem = f"The data have {data.num_features} features; the run {files.folder} was trained on "
        problem += str(model.hparams.num_features)
    elif data.task != model.task:
        problem = f"The data's task is {data.task}; that of the run {files.folder} is {model.task}"
    if problem:
        raise ArtifactError(f"{problem}. Restore the data as they were {mend}")
    return changes
