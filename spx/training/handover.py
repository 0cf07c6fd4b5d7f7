"""The hand-over from stage 1 to stage 2: the estimator's scores as one file, whether or not its graph is split."""

import itertools
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from spx.data import AugmentedGraphData
from spx.errors import ArtifactError, ConfigError
from spx.graph.scores import ArtifactHeader, AttentionScores, read_header, writing_scores
from spx.graph.sharding import GraphShard
from spx.run_folder import SCORES_FILE, run_folder
from spx.torch_files import read_checkpoint
from spx.training.callbacks import best_checkpoint
from spx.training.estimator import AttentionEstimator
from spx.training.kept_estimator import keep_estimator

CHUNK_VALUES = 1 << 24  # that rank zero holds at a time of another rank's tensors


class ScoreHandover(Callback):
    """After the estimator's fit: the best checkpoint's scores over every attention edge, as one file for stage 2.

    Does nothing for other models. One forward pass in evaluation mode at the temperature that the checkpoint holds.
    Where the graph is split over devices, rank zero writes what the others send it, a chunk at a time.

    The network lies beside them, in `scores.estimator/`: a graph that has changed since needs scores of its own.

    Scores that lie there already are kept, since runs may have been trained by them: others go beside them, into
    `scores-2.safetensors` and so on.

    Args:
        path: of the score file; default: `scores.safetensors` in the run's folder, where stage 2 looks for it.
    """

    def __init__(self, path: str | None = None):
        self.path = path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a path that isn't a score file's before any work.

        Raises:
            ConfigError: another file, or a folder, lies there.
        """
        there = stage == "fit" and self.path and os.path.lexists(self.path)
        if there and _fingerprint_in(Path(self.path)) is None:
            raise ConfigError(f"handover.path is {self.path}, which holds something else than scores. Choose another.")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        kept = best_checkpoint(trainer)
        best = kept.best_model_path if kept else ""
        if not isinstance(pl_module, AttentionEstimator) or trainer.fast_dev_run or not best:
            return
        wanted = Path(self.path or run_folder(trainer) / SCORES_FILE)  # asked on every rank: the answer is broadcast
        data: AugmentedGraphData = trainer.datamodule
        if not (trainer.is_global_zero or data.is_sharded):
            return
        checkpoint = read_checkpoint(best) if trainer.is_global_zero else None
        if data.is_sharded:  # the other ranks may be on machines that don't see the file
            checkpoint = trainer.strategy.broadcast(checkpoint)
        pl_module.load_state_dict(checkpoint["state_dict"])
        header = _header(trainer, pl_module, checkpoint["epoch"])
        path = _free_place(wanted)
        if data.is_sharded:
            gather_scores(path, data.graph_shard, _compute(pl_module, data), header)
        else:
            graph, shape = data.graph, (pl_module.num_layers, data.graph.num_edges)
            with writing_scores(path, graph.num_nodes, shape, header) as file:
                for place, tensor in zip(file.graph, graph, strict=True):
                    place.copy_(tensor)
                _compute(pl_module, data, file.scores_LM)
        if trainer.is_global_zero:
            path = _only_once(path, wanted)
            keep_estimator(path, pl_module, data, read_header(path).fingerprint)
        rank_zero_info(f"Attention scores of epoch {checkpoint['epoch'] + 1} handed over: {path}")


def _fingerprint_in(path: Path) -> str | None:
    """Of the score file at `path`; None where there is none, or a damaged one."""
    try:
        return read_header(path).fingerprint
    except ArtifactError:
        return None


def _numbered(path: Path) -> Iterator[Path]:
    """`scores.safetensors`, `scores-2.safetensors`, `scores-3.safetensors`, ..."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))


def _free_place(path: Path) -> Path:
    """`path`, or the first numbered one that holds no scores; what is damaged is replaced."""
    return next(place for place in _numbered(path) if _fingerprint_in(place) is None)


def _only_once(written: Path, path: Path) -> Path:
    """Where the scores just written lie: in an earlier file, if it holds the same, as after a fit that was resumed."""
    found = _fingerprint_in(written)
    for place in itertools.takewhile(lambda place: place != written, _numbered(path)):
        if _fingerprint_in(place) == found:
            written.unlink()
            return place
    return written


def gather_scores(path, shard: GraphShard, scores_LM: Tensor, header: ArtifactHeader) -> None:
    """Write the artifact of a graph that is split, from all ranks at once.

    Rank zero maps the file and fills it with one rank's tensors after the other's, at most `CHUNK_VALUES` numbers in
    memory at a time.

    Args:
        path: of the artifact, on rank zero's machine.
        shard: this rank's rows.
        scores_LM: [L, edges of this rank], on the device that the ranks talk by.
        header: what the scores were made from.

    Raises:
        ArtifactError: as `spx.graph.scores.writing_scores`, on rank zero.
    """
    device, num_layers = scores_LM.device, scores_LM.shape[0]
    sizes = [torch.zeros(1, dtype=torch.int64, device=device) for _ in shard.bounds[1:]]
    dist.all_gather(sizes, torch.tensor([shard.num_edges], device=device))
    edges_before = [0, *torch.cat(sizes).cumsum(0).tolist()]
    shape, is_writer = (num_layers, edges_before[-1]), shard.rank == 0
    with writing_scores(path, shard.bounds[-1], shape, header) if is_writer else nullcontext() as file:
        if is_writer:
            file.graph.indptr[0] = 0
        for rank in range(len(sizes)):
            values = _values(shard, scores_LM, edges_before[rank]) if shard.rank == rank else []
            places = _places(file, shard.bounds, edges_before, rank) if is_writer else []
            if is_writer and shard.rank == rank:
                for place, value in zip(places, values, strict=True):
                    place.copy_(value)
            elif is_writer:
                for chunk in _chunks(places):
                    received = torch.empty_like(chunk, device=device)
                    dist.recv(received, rank)
                    chunk.copy_(received)
            else:
                for chunk in _chunks(values):
                    dist.send(chunk.to(device).contiguous(), 0)


def _values(shard: GraphShard, scores_LM: Tensor, edges_before: int) -> list[Tensor]:
    """What a rank adds to the artifact."""
    graph = shard.graph
    return [graph.indptr[1:] + edges_before, shard.global_sources(), graph.edge_type, *scores_LM]


def _places(file: AttentionScores, bounds: tuple[int, ...], edges_before: list[int], rank: int) -> list[Tensor]:
    """Where in the artifact `_values` of a rank belong."""
    rows, edges = slice(bounds[rank] + 1, bounds[rank + 1] + 1), slice(edges_before[rank], edges_before[rank + 1])
    graph = file.graph
    return [graph.indptr[rows], graph.source[edges], graph.edge_type[edges], *(row[edges] for row in file.scores_LM)]


def _chunks(tensors: list[Tensor]) -> Iterator[Tensor]:
    for tensor in tensors:
        yield from tensor.split(CHUNK_VALUES)


def _compute(pl_module: AttentionEstimator, data: AugmentedGraphData, out: Tensor | None = None) -> Tensor:
    """The scores of this rank's attention edges, [L, edges], in `out` if it is given."""
    was_training = pl_module.training
    pl_module.eval()
    batch = data.transfer_batch_to_device(data.whole_batch("predict"), pl_module.device)
    scores_LM = pl_module.attention_scores(batch.x, *batch.neighborhoods, out)
    pl_module.train(was_training)
    return scores_LM


def _header(trainer: Trainer, pl_module: AttentionEstimator, epoch: int) -> ArtifactHeader:
    data = trainer.datamodule
    return ArtifactHeader(
        dataset=data.dataset_name,
        protocol=data.protocol,
        split=data.split,
        seed=data.seed,
        data_fingerprint=data.data_fingerprint,
        width=pl_module.hparams.width,
        num_heads=pl_module.hparams.num_heads,
        metric=pl_module.metric_name,
        val_metric=getattr(best_checkpoint(trainer), "best_metric", None),
        epoch=epoch,
        temperature=pl_module.temperature,
    )
