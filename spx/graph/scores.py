"""Attention scores over an attention graph, and the file that hands them from stage 1 to stage 2.

The artifact is one safetensors file: tensors beside a flat JSON header, no pickle, memory-mapped when read.
It holds the attention graph, the scores of every layer, and what they were made from.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spx.errors import ArtifactError, DatasetError
from spx.files import reason, replacing, reserve
from spx.graph.csr import CHUNK_EDGES, AttentionGraph, fingerprint
from spx.graph.mapped_file import MappedFile

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

    def give_back(self) -> None:
        """Let go of memory that can be read again from their file; these lie in none."""


class LoadedScores(AttentionScores):
    """Scores in the mapped memory of their file."""

    file: MappedFile | None = None
    """None in copies by `_replace`, which may lie elsewhere."""

    def give_back(self) -> None:
        """Let go of the file's pages, so that they don't stay in memory between draws. Changes in place are lost."""
        if self.file is not None:
            self.file.give_back()


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
    val_metric: float | None
    epoch: int
    temperature: float
    fingerprint: str = ""
    format_version: int = FORMAT_VERSION


def save_scores(path: str | Path, scores: AttentionScores, header: ArtifactHeader) -> Path:
    """Write the artifact whole or not at all: a temporary file beside it takes its name when complete.

    Raises:
        ArtifactError: as `writing_scores`.
    """
    graph, scores_LM = scores
    with writing_scores(path, graph.num_nodes, tuple(scores_LM.shape), header) as file:
        for place, tensor in zip((*file.graph, file.scores_LM), (*graph, scores_LM), strict=True):
            place.copy_(tensor.detach())
    return Path(path)


@contextmanager
def writing_scores(
    path: str | Path, num_nodes: int, shape: tuple[int, int], header: ArtifactHeader
) -> Iterator[AttentionScores]:
    """Give the artifact's tensors as memory-mapped pages of a new file, to be filled in; it takes its name at the end.

    However large the scores are, what is in memory at a time is up to the system.

    Args:
        path: of the artifact.
        num_nodes: N.
        shape: L and M.
        header: what it is made from.

    Raises:
        ArtifactError: scores that are not finite, a folder that can't be written, a full disk.
    """
    try:
        with replacing(path) as temporary:
            scores = _map_new_file(temporary, num_nodes, shape, header)
            yield scores
            for layer in scores.scores_LM:
                if not all(map(_are_scores, layer.split(CHUNK_EDGES))):
                    raise ArtifactError(
                        "The attention scores aren't finite: the estimator diverged. Lower its learning rate."
                    )
            found = replace(header, fingerprint=_fingerprint(header, *scores.graph, scores.scores_LM))
            with open(temporary, "r+b") as file:
                file.write(_encoded_header(num_nodes, shape, found))
            del scores
    except OSError as error:
        raise ArtifactError(
            f"The scores can't be written to {path}: {reason(error)}. Free space or choose another folder."
        ) from error


def _are_scores(part: Tensor) -> bool:
    """Whether all are finite and none is negative; what isn't a number is both bounds."""
    if not part.numel():
        return True
    low, high = part.aminmax()
    return bool((low >= 0) & high.isfinite())


def _map_new_file(path: Path, num_nodes: int, shape: tuple[int, int], header: ArtifactHeader) -> AttentionScores:
    encoded = _encoded_header(num_nodes, shape, replace(header, fingerprint="0" * 64))
    layout = _layout(num_nodes, shape)
    size = len(encoded) + sum(math.prod(shape) * dtype.itemsize for dtype, shape in layout.values())
    with open(path, "wb") as file:
        file.write(encoded)
        file.flush()
        reserve(file.fileno(), size)
    tensors, offset = {}, len(encoded)
    for name, (dtype, shape) in layout.items():
        mapped = numpy.memmap(path, dtype, "r+", offset, shape) if math.prod(shape) else numpy.empty(shape, dtype)
        tensors[name] = torch.from_numpy(mapped)
        offset += mapped.nbytes
    return AttentionScores(AttentionGraph(*(tensors[name] for name in AttentionGraph._fields)), tensors["scores"])


def _layout(num_nodes: int, shape: tuple[int, int]) -> dict[str, tuple[numpy.dtype, tuple[int, ...]]]:
    """Type and shape of each tensor in the order that they lie in: every one at a multiple of its type's size."""
    shapes = {"indptr": ("int64", (num_nodes + 1,)), "scores": ("float32", shape)}
    shapes |= {"source": ("int32", (shape[1],)), "edge_type": ("uint8", (shape[1],))}
    return {name: (numpy.dtype(dtype), shape) for name, (dtype, shape) in shapes.items()}


def _encoded_header(num_nodes: int, shape: tuple[int, int], header: ArtifactHeader) -> bytes:
    """The head of a safetensors file: its length, then JSON, filled up with spaces to a multiple of 8 bytes."""
    content: dict[str, object] = {"__metadata__": {_HEADER_KEY: json.dumps(asdict(header))}}
    names, start = {"int64": "I64", "float32": "F32", "int32": "I32", "uint8": "U8"}, 0
    for name, (dtype, of_tensor) in _layout(num_nodes, shape).items():
        stop = start + math.prod(of_tensor) * dtype.itemsize
        content[name] = {"dtype": names[dtype.name], "shape": of_tensor, "data_offsets": [start, stop]}
        start = stop
    encoded = json.dumps(content).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded


def read_header(path: str | Path) -> ArtifactHeader:
    """Read what an artifact was made from, without its tensors.

    Raises:
        ArtifactError: the file is missing, no artifact, damaged, or of another format version.
    """
    if not os.path.isfile(path):  # other than pathlib's, never raises
        raise ArtifactError(f"There is no score file {path}. Fit the estimator first, or give the right path.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER_KEY])
        version = header.get("format_version")
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ArtifactError(f"{path} is no score file, or a damaged one. {_MEND}") from error
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {version}; this program reads version {FORMAT_VERSION}. {_MEND}"
        )
    try:
        return ArtifactHeader(**header)
    except TypeError as error:
        raise ArtifactError(f"{path} has a damaged header ({error}). {_MEND}") from error


def load_scores(path: str | Path) -> tuple[AttentionScores, ArtifactHeader]:
    """Read an artifact, memory-mapped: pages enter memory when they are used.

    Raises:
        ArtifactError: as `read_header`, or tensors that don't fit together.
    """
    header = read_header(path)
    try:
        file = MappedFile(path)
        *graph, scores_LM = file.tensors((*AttentionGraph._fields, "scores"))
    except (KeyError, ValueError) as error:  # the latter: the file was replaced just now
        raise ArtifactError(f"{path} lacks a tensor of the artifact ({error}). {_MEND}") from error
    except OSError as error:
        raise ArtifactError(
            f"{path} can't be mapped into memory: {reason(error)}. Copy it to another file system."
        ) from error
    if _fingerprint(header, *graph, scores_LM) != header.fingerprint:
        raise ArtifactError(f"{path} is damaged: its content has another fingerprint. {_MEND}")
    try:  # kernels read memory where the graph tells them to
        scores = LoadedScores(AttentionGraph(*graph).check(), scores_LM)
    except DatasetError as error:
        raise ArtifactError(f"{path} holds no valid graph. {error}") from error
    shape, num_edges = tuple(scores_LM.shape), scores.graph.num_edges
    if len(shape) != 2 or shape[1] != num_edges:
        raise ArtifactError(f"{path} holds scores of shape {shape} for {num_edges:,} attention edges. {_MEND}")
    scores.file = file
    scores.give_back()  # all of it has been read for the fingerprint
    return scores, header


def _fingerprint(header: ArtifactHeader, *tensors: Tensor) -> str:
    """Of the header's other fields and the tensors."""
    described = json.dumps(asdict(replace(header, fingerprint="")), sort_keys=True)
    return hashlib.sha256((described + fingerprint(*tensors)).encode()).hexdigest()
