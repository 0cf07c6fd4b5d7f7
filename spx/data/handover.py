"""Finding the estimator's score file and making sure that it belongs to the data at hand."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spx.data.graph_data import GraphData
from spx.data.unchanged import changes_since
from spx.dataset_names import OWN, is_path
from spx.errors import ArtifactError
from spx.graph.scores import ArtifactHeader, AttentionScores, load_scores, read_header
from spx.run_folder import SCORES_FILE

ESTIMATOR_RUNS = "estimator"


class FoundScores(NamedTuple):
    """The score file that was taken, and a line that says of how many."""

    path: Path
    choice: str


def find_scores(runs_dir: str | Path, data: GraphData) -> FoundScores:
    """The newest score file of the estimator's runs that was made for these data: dataset, protocol, split, seed, and
    what the dataset holds.

    Raises:
        ArtifactError: there is none; says what is other in the newest, and how to make one.
    """
    folder = Path(runs_dir) / data.dataset_name / ESTIMATOR_RUNS
    candidates = newest_first(path for run in folder.glob("*/") for path in score_files(run))
    refusals = {}
    for path in candidates:
        try:
            why = _why_not(read_header(path), data)
        except ArtifactError as error:
            why = str(error)
        if why is None:
            return FoundScores(path, f"Scores: {path}, {_newest_of(len(candidates), len(refusals))}")
        refusals[path] = why
    fit = f"spx fit --config configs/{OWN if is_path(data.source) else data.dataset_name}/estimator.yaml"
    fit += f" --data.dataset {data.source}" if is_path(data.source) else ""
    wanted = f"dataset {data.dataset_name}, protocol {data.protocol}, split {data.split}, seed {data.seed}"
    newest = f"; the newest, {candidates[0]}: {refusals[candidates[0]]}" if candidates else ""
    raise ArtifactError(
        f"No score file in {folder}/version_*/ was made for {wanted} ({len(candidates)} files looked at{newest}). Fit "
        f"the estimator first: {fit}, or give --data.scores PATH."
    )


def _newest_of(num_files: int, num_newer: int) -> str:
    if num_files == 1:
        return "the only file"
    newer = f"; {num_newer} newer were made for other data" if num_newer else ""
    return (
        f"the newest of {num_files} files{newer}" if not newer else f"the newest that fits of {num_files} files{newer}"
    )


def score_files(folder: Path) -> list[Path]:
    """All score files of a run: a fit that went on may have left more than one."""
    stem, ending = Path(SCORES_FILE).stem, Path(SCORES_FILE).suffix
    return [path for path in folder.glob(f"{stem}*{ending}") if path.is_file()]


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """By their times of change."""
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def scores_of_fingerprint(path: str | Path, fingerprint: str | None) -> Path | None:
    """The score file at `path`, or another of that folder, whose content has the fingerprint; None: there is none.

    Raises:
        ArtifactError: there is no file in the folder, or that at `path` is damaged and no other fits.
    """
    path = Path(path)
    failed: ArtifactError | None = None
    for place in [path, *(other for other in newest_first(score_files(path.parent)) if other != path)]:
        try:
            if fingerprint in (None, read_header(place).fingerprint):
                return place
        except ArtifactError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return None


def scores_of_state(state: Mapping[str, Any]) -> Path:
    """The score file that a run drew by, wherever it lies in its folder now.

    Args:
        state: `ResampledGraphData.state_dict` of a checkpoint.

    Raises:
        ArtifactError: it is gone, or others lie in its place.
    """
    recorded, began_in = Path(state.get("scores_path") or "."), Path(state.get("cwd", "."))
    place = began_in / recorded if (began_in / recorded).is_file() else recorded
    path = scores_of_fingerprint(place, state["scores_fingerprint"])
    if path is None:
        raise ArtifactError(
            f"The run began with other scores than {recorded} holds now. Bring them back, or start anew."
        )
    return path


def load_matching_scores(path: str | Path, data: GraphData) -> AttentionScores:
    """Load the scores and refuse those of other data.

    Raises:
        ArtifactError: as `spx.graph.scores.load_scores`, or a mismatch; the seed alone may differ.
    """
    scores, header = load_scores(path)
    why = _why_not(header, data, any_seed=True)
    if why is not None:
        raise ArtifactError(
            f"{path} was made for other data: {why}. Fit the estimator on this data, so that stage 1 never sees stage "
            "2's test labels."
        )
    if scores.graph.num_nodes != data.dataset.num_nodes:
        raise ArtifactError(
            f"{path} holds a graph of {scores.graph.num_nodes:,} nodes, the data have {data.dataset.num_nodes:,}. Fit "
            "the estimator on this data."
        )
    return scores


def _why_not(header: ArtifactHeader, data: GraphData, any_seed: bool = False) -> str | None:
    """In what the data that scores were made for are other than those at hand; None: in nothing."""
    differences = _differences(header, data)
    if any_seed:
        differences.pop("seed", None)
    if differences:
        return "; ".join(differences.values())
    return changes_since({"fingerprint": header.data_fingerprint}, data).text or None


def _differences(header: ArtifactHeader, data: GraphData) -> dict[str, str]:
    wanted = {"dataset": data.dataset_name, "protocol": data.protocol, "split": data.split, "seed": data.seed}
    return {
        name: f"{name} {getattr(header, name)}, not {value}"
        for name, value in wanted.items()
        if getattr(header, name) != value
    }
