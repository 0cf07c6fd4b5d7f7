"""Attention scores over an attention graph, and the file that hands them from stage 1 to stage 2.

The artifact is one safetensors file: tensors beside a flat JSON header, no pickle, memory-mapped when read.
It holds the attention graph, the scores of every layer, and what they were made from.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spx.errors import ArtifactError, DatasetError
from spx.files import replacing
from spx.graph.csr import AttentionGraph, fingerprint

FORMAT_VERSION = 1
_HEADER_KEY = "spx"
_MEND = "Run the estimator's fit again."


class AttentionScores(NamedTuple):
    """Scores of L layers over one attention graph.

    Args:
        graph: the attention graph of M edges.
        scores_LM: [L, M] float32; each row of the graph sums to one in each layer.
    """

    graph: AttentionGraph
    scores_LM: Tensor

    @property
    def num_layers(self) -> int:
        return self.scores_LM.shape[0]


@dataclass
class ArtifactHeader:
    """What an artifact was made from; stage 2 refuses scores of another graph, split or dataset.

    Args:
        dataset, protocol, split, seed: the estimator's data and seed.
        data_fingerprint: of the dataset's edges, labels and split (`spx.datasets.split_fingerprint`).
        fingerprint: of the file's content; `save_scores` fills it in.
        width, num_heads: of the estimator.
        metric, val_metric: the estimator's validation metric at the checkpoint used.
        epoch, temperature: of that checkpoint.
        format_version: of the file.
    """

    dataset: str
    protocol: str
    split: int
    seed: int
    data_fingerprint: str
    width: int
    num_heads: int
    metric: str
    val_metric: float
    epoch: int
    temperature: float
    fingerprint: str = ""
    format_version: int = FORMAT_VERSION


def save_scores(path: str | Path, scores: AttentionScores, header: ArtifactHeader) -> Path:
    """Write the artifact whole or not at all: a temporary file beside it takes its name when complete.

    Raises:
        ArtifactError: scores that are not finite, a folder that can't be written, a full disk.
    """
    path = Path(path)
    tensors = {**scores.graph._asdict(), "scores": scores.scores_LM}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if not ((tensors["scores"] >= 0) & tensors["scores"].isfinite()).all():
        raise ArtifactError("The attention scores aren't finite: the estimator diverged. Lower its learning rate.")
    header = replace(header, fingerprint=_fingerprint(header, *tensors.values()))
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={_HEADER_KEY: json.dumps(asdict(header))})
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"The scores can't be written to {path}: {error}. Free space or choose another folder."
        ) from error
    return path


def read_header(path: str | Path) -> ArtifactHeader:
    """Read what an artifact was made from, without its tensors.

    Raises:
        ArtifactError: the file is missing, no artifact, damaged, or of another format version.
    """
    return _open(Path(path))[0]


def load_scores(path: str | Path) -> tuple[AttentionScores, ArtifactHeader]:
    """Read an artifact, memory-mapped: pages enter memory when they are used.

    Raises:
        ArtifactError: as `read_header`, or tensors that don't fit together.
    """
    header, file = _open(Path(path))
    try:
        *graph, scores_LM = (file.get_tensor(name) for name in (*AttentionGraph._fields, "scores"))
    except SafetensorError as error:
        raise ArtifactError(f"{path} lacks a tensor of the artifact ({error}). {_MEND}") from error
    if _fingerprint(header, *graph, scores_LM) != header.fingerprint:
        raise ArtifactError(f"{path} is damaged: its content has another fingerprint. {_MEND}")
    try:  # kernels read memory where the graph tells them to
        scores = AttentionScores(AttentionGraph(*graph).check(), scores_LM)
    except DatasetError as error:
        raise ArtifactError(f"{path} holds no valid graph. {error}") from error
    shape, num_edges = tuple(scores_LM.shape), scores.graph.num_edges
    if len(shape) != 2 or shape[1] != num_edges:
        raise ArtifactError(f"{path} holds scores of shape {shape} for {num_edges:,} attention edges. {_MEND}")
    return scores, header


def _fingerprint(header: ArtifactHeader, *tensors: Tensor) -> str:
    """Of the header's other fields and the tensors."""
    described = json.dumps(asdict(replace(header, fingerprint="")), sort_keys=True)
    return hashlib.sha256((described + fingerprint(*tensors)).encode()).hexdigest()


def _open(path: Path):
    if not path.is_file():
        raise ArtifactError(f"There is no score file {path}. Fit the estimator first, or give the right path.")
    try:
        file = safe_open(path, framework="pt")
        header = json.loads((file.metadata() or {})[_HEADER_KEY])
        version = header.get("format_version")
    except (OSError, SafetensorError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path} is no score file, or a damaged one. {_MEND}") from error
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {version}; this program reads version {FORMAT_VERSION}. {_MEND}"
        )
    try:
        return ArtifactHeader(**header), file
    except TypeError as error:
        raise ArtifactError(f"{path} has a damaged header ({error}). {_MEND}") from error
