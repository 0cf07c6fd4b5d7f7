"""A run's network and data, built again from its files: known classes only, and data that hasn't changed since."""

from pathlib import Path
from typing import Any

from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.errors import ArtifactError, ConfigError, DatasetError
from spx.graph.scores import read_header
from spx.inference.run_files import RunFiles, read_checkpoint
from spx.naming import file_stamps, is_path
from spx.run_folder import CONFIG_FILE
from spx.training import AttentionEstimator, GCNBaseline, NodeTask, Spexphormer

MODELS = {kind.__name__: kind for kind in (AttentionEstimator, Spexphormer, GCNBaseline)}
DATA = {kind.__name__: kind for kind in (AugmentedGraphData, ResampledGraphData)}


def build_model(files: RunFiles, checkpoint: str | Path = "best") -> NodeTask:
    """The run's network with a checkpoint's weights, in evaluation mode.

    Raises:
        ArtifactError: as `read_checkpoint`, an unknown class, or a checkpoint of another model.
    """
    kind = _known_class(files, "model", MODELS)
    path, content = read_checkpoint(files, checkpoint)
    try:
        settings = {name: value for name, value in content["hyper_parameters"].items() if not name.startswith("_")}
        model = kind(**settings)
        model.load_state_dict(content["state_dict"])
    except Exception as error:  # whatever a file of another origin makes it raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise ArtifactError(
            f"{path} is no checkpoint of a {kind.__name__} of this version of spx: {lines[0][:200]}. "
            "Give another, or run anew."
        ) from error
    return model.eval()


def build_data(
    files: RunFiles,
    model: NodeTask,
    dataset: str | Path | None = None,
    data_dir: str | Path | None = None,
    scores: str | Path | None = None,
) -> GraphData:
    """The run's data, checked to be those that it was trained on.

    Args:
        files: of the run.
        model: its network.
        dataset, data_dir, scores: new places of what was moved.

    Raises:
        DatasetError: the dataset can't be loaded.
        ArtifactError: the data or the scores are missing, or others than the run's.
        ConfigError: scores for a run that uses none.
    """
    kind = _known_class(files, "data", DATA)
    settings = dict(files.config["data"].get("init_args") or {})
    settings["seed"] = files.record.get("seed", settings.get("seed", files.config.get("seed_everything"))) or 0
    for name, given in (("dataset", dataset), ("data_dir", data_dir)):
        if given is not None:
            settings[name] = str(given)
        elif name in settings:
            settings[name] = (_own_graph if name == "dataset" else _present)(files, settings[name])
    if kind is ResampledGraphData:
        settings["runs_dir"] = _present(files, files.config.get("runs_dir") or "lightning_logs")
        settings["scores"] = _score_file(files, settings, scores)
    elif scores is not None:
        raise ConfigError(f"The run {files.folder} trains on the whole graph and uses no scores. Leave them out.")
    try:
        data = kind(**settings)
    except (TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{files.folder / CONFIG_FILE} holds settings that {kind.__name__} doesn't take: {error}. Run anew."
        ) from error
    if dataset is not None and isinstance(files.record.get("dataset"), str):
        data.dataset_name = files.record["dataset"]  # what its scores are filed under
    _check_unchanged(files, model, data)
    return data


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
            f"{files.folder / CONFIG_FILE} names the class {str(path)[:100]!r} for its {part}, which is none of "
            f"{', '.join(known)}. Only a run of spx itself can be loaded."
        )
    return known[name]


def _present(files: RunFiles, path: Any) -> str:
    """The path where it lies now; as it is if it lies nowhere."""
    return str(next(iter(files.locate(str(path))), path))


def _own_graph(files: RunFiles, dataset: Any) -> str:
    """Where the user's graph lies now; as it is if it lies nowhere, or is a published dataset's name. The bare name of
    a folder of tables is known as a path only in the folder that the run was started in."""
    places = files.locate(str(dataset))
    known = (place for place in places if is_path(str(dataset)) or (place.is_dir() and file_stamps(str(place))))
    return str(next(known, dataset))


def _score_file(files: RunFiles, settings: dict[str, Any], given: str | Path | None) -> str | None:
    if settings.get("sampler") == "uniform":
        if given is not None:
            raise ConfigError(f"The run {files.folder} samples uniformly and uses no scores. Leave them out.")
        return None
    recorded = files.record.get("scores") or settings.get("scores")
    if given is None and recorded is None:
        return None  # ResampledGraphData looks for the newest
    places = [Path(given)] if given is not None else files.locate(str(recorded))
    found = [place for place in places if place.is_file()]
    mend = f"Give the right one: --scores PATH, or spx.load({str(files.folder)!r}, scores=PATH)."
    if not found:
        raise ArtifactError(f"There is no score file {given or recorded}, which the run {files.folder} uses. {mend}")
    wanted = files.record.get("scores_fingerprint")
    for path in found:
        if wanted in (None, read_header(path).fingerprint):
            return str(path)
    raise ArtifactError(
        f"The scores in {found[0]} are others than those that the run {files.folder} was trained with "
        f"(another fingerprint). {mend}"
    )


def _check_unchanged(files: RunFiles, model: NodeTask, data: GraphData) -> None:
    mend = "Restore the data as they were (--dataset or --data_dir give another place), or run anew."
    try:
        _ = data.dataset
    except DatasetError as error:
        raise DatasetError(
            f"The data of the run {files.folder} can't be loaded: {error}. Were they moved? Give their new place: "
            "--dataset PATH for a graph of your own, --data_dir PATH for the others."
        ) from error
    for what, now, then in (
        ("features", data.num_features, model.hparams.num_features),
        ("classes or labels", data.num_outputs, model.hparams.num_outputs),
    ):
        if now != then:
            raise ArtifactError(f"The data have {now} {what}; the run {files.folder} was trained on {then}. {mend}")
    wanted = files.record.get("data_fingerprint")
    if wanted not in (None, data.data_fingerprint):
        raise ArtifactError(
            f"The data of the run {files.folder} changed since: its edges, labels or split have another fingerprint. "
            + mend
        )
    if isinstance(data, ResampledGraphData):
        if len(data.k) != model.num_layers:
            raise ArtifactError(
                f"{files.folder / CONFIG_FILE} gives k = {data.k} for {model.num_layers} layers. Run anew."
            )
        _ = data.scores  # found and checked now
