"""Finding the estimator's score file and making sure that it belongs to the data at hand."""

from pathlib import Path

from spx.data.graph_data import GraphData
from spx.errors import ArtifactError
from spx.graph.scores import ArtifactHeader, AttentionScores, load_scores, read_header
from spx.naming import OWN, is_path
from spx.run_folder import SCORES_FILE

ESTIMATOR_RUNS = "estimator"


def find_scores(runs_dir: str | Path, data: GraphData) -> Path:
    """The newest score file of the estimator's runs with the same dataset, protocol, split and seed.

    Raises:
        ArtifactError: there is none; says how to make one.
    """
    folder = Path(runs_dir) / data.dataset_name / ESTIMATOR_RUNS
    candidates = sorted(folder.glob(f"*/{SCORES_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in candidates:
        try:
            header = read_header(path)
        except ArtifactError:
            continue
        if not _differences(header, data):
            return path
    fit = f"spx fit --config configs/{OWN if is_path(data.source) else data.dataset_name}/estimator.yaml"
    fit += f" --data.dataset {data.source}" if is_path(data.source) else ""
    wanted = f"dataset {data.dataset_name}, protocol {data.protocol}, split {data.split}, seed {data.seed}"
    raise ArtifactError(
        f"No score file in {folder}/version_*/ was made for {wanted} ({len(candidates)} files looked at). Fit the "
        f"estimator first: {fit}, or give --data.scores PATH."
    )


def load_matching_scores(path: str | Path, data: GraphData) -> AttentionScores:
    """Load the scores and refuse those of another graph or split.

    Raises:
        ArtifactError: as `spx.graph.scores.load_scores`, or a mismatch; the seed alone may differ.
    """
    scores, header = load_scores(path)
    differences = [text for name, text in _differences(header, data).items() if name != "seed"]
    if differences:
        raise ArtifactError(
            f"{path} was made for other data: {'; '.join(differences)}. Fit the estimator on this data."
        )
    if header.data_fingerprint != data.data_fingerprint or scores.graph.num_nodes != data.dataset.num_nodes:
        raise ArtifactError(
            f"{path} was made for a graph or split of another fingerprint, though its name is the same. "
            "Fit the estimator on this data, so that stage 1 never sees stage 2's test labels."
        )
    return scores


def _differences(header: ArtifactHeader, data: GraphData) -> dict[str, str]:
    wanted = {"dataset": data.dataset_name, "protocol": data.protocol, "split": data.split, "seed": data.seed}
    return {
        name: f"{name} {getattr(header, name)}, not {value}"
        for name, value in wanted.items()
        if getattr(header, name) != value
    }
