"""Stage 2's data: a k-regular sparse graph drawn anew each epoch, in batches of core nodes."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from spx.data.batch import Draws, NodeBatch
from spx.data.graph_data import GraphData
from spx.data.handover import find_scores, load_matching_scores, scores_of_fingerprint
from spx.errors import ArtifactError, ConfigError
from spx.graph.blocks import build_blocks
from spx.graph.sampling import NeighborTable, SamplerName, draw_seed, sample_neighbors
from spx.graph.scores import AttentionScores, read_header

Tables = tuple[NeighborTable, ...]


class ResampledGraphData(GraphData):
    """Neighbour tables sampled by the estimator's attention scores, one for each layer.

        data:
          class_path: spx.data.ResampledGraphData
          init_args: {dataset: actor, k: [2, 2, 2]}

    What a draw gives is a function of (seed, epoch // resample_every, layer) alone: the same on every rank,
    after a resume, and with any number of workers. Needs `reload_dataloaders_every_n_epochs: 1` in the Trainer,
    which the command line sets.

    Args:
        k: sampled degree of each layer, first layer first; layers beyond the estimator's draw by its last one's scores.
        scores: the estimator's score file. Default: the newest one in `runs_dir` that was made for the same data and
            seed.
        runs_dir: folder of all runs, where score files are looked for.
        sampler: "attention" (in proportion to the scores), "uniform" (needs no scores), or "top" (the k largest).
        graph_first: whether a node takes its graph edges before all others, which fill the slots that are left.
        resample_every: epochs between draws.
        batch_size: core nodes of a batch, at least 2, on all devices together: each takes its share of them, so that
            training is the same for any number of devices. Default: all nodes of the graph in one batch.
        eval_batch_size: the same in evaluation; default: `batch_size`.
        eval_samples: R, draws over which validate, test and predict average their predictions; while fitting,
            validation uses the first of them.
        num_workers: processes that build the batches of core nodes.
        **settings: see `GraphData`; `expander_degree`, `expander` and `self_loops` are for the sampler "uniform"
            alone, otherwise the score file brings its graph.

    Example:
        >>> data = ResampledGraphData("minesweeper-sim", k=[4, 2], sampler="uniform", expander_degree=3)
        >>> data.prepare_data()
        >>> data.setup("fit")
        >>> data.edges_per_layer  # of 10,000 nodes
        [40000, 20000]
    """

    METHOD_SETTINGS = (*GraphData.METHOD_SETTINGS, "k", "sampler", "graph_first", "resample_every")

    def __init__(
        self,
        dataset: str,
        k: list[int],
        scores: str | None = None,
        runs_dir: str = "lightning_logs",
        sampler: SamplerName = "attention",
        graph_first: bool = False,
        resample_every: int = 1,
        batch_size: int | None = None,
        eval_batch_size: int | None = None,
        eval_samples: int = 1,
        num_workers: int = 0,
        **settings,
    ):
        super().__init__(dataset, **settings)
        if not k or min(k) < 1:
            raise ConfigError(f"k is {k}; give the sampled degree of each layer, each at least 1, such as [5, 5].")
        counts = {"resample_every": resample_every, "eval_samples": eval_samples}
        counts |= {"batch_size": batch_size, "eval_batch_size": eval_batch_size}
        for name, number in counts.items():
            least = 2 if name == "batch_size" else 1
            if number is not None and number < least:
                raise ConfigError(f"{name} is {number}; it must be at least {least}.")
        self.k, self.scores_path, self.runs_dir, self.sampler = list(k), scores, runs_dir, sampler
        self.graph_first = graph_first
        self.resample_every, self.eval_samples, self.num_workers = resample_every, eval_samples, num_workers
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.resampling_seconds = 0.0
        self._train_draw: tuple[int, Tables] | None = None
        self._evaluation_draws: list[Tables] = []
        self._fitting = False
        self._choice: str | None = None

    @cached_property
    def scores(self) -> AttentionScores | None:
        """The estimator's scores; None for the sampler "uniform"."""
        if self.sampler == "uniform":
            return None
        if self.scores_path is None:
            path, self._choice = find_scores(self.runs_dir, self)
            self.scores_path = str(path)
        return load_matching_scores(self.scores_path, self)

    def use_scores(self, scores: AttentionScores) -> None:
        """Draw by these scores, which lie in no file, over their graph."""
        self.__dict__["scores"] = scores
        self._choice, self._train_draw, self._evaluation_draws = None, None, []

    @property
    def scores_fingerprint(self) -> str | None:
        """Of the score file's content; None for the sampler "uniform"."""
        return None if self.scores is None else read_header(self.scores_path).fingerprint

    def state_dict(self) -> dict[str, Any]:
        """What the data are, and which scores the run draws by: a resumed fit takes the same, not newer ones."""
        fingerprint = self.scores_fingerprint  # finds them, if need be
        return {**super().state_dict(), "scores_path": self.scores_path, "scores_fingerprint": fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the scores that the checkpoint was trained by, wherever they lie in their folder now; a test of it may
        name others.

        Raises:
            ArtifactError: a fit can't go on, since they are gone, or others lie in their place.
        """
        wanted = state_dict.get("scores_fingerprint")
        named = self.hparams.get("scores") is not None
        if self.scores is None or wanted in (None, self.scores_fingerprint) or (named and not self._fitting):
            return
        recorded, began_in = Path(state_dict.get("scores_path") or "."), Path(state_dict.get("cwd", "."))
        place = began_in / recorded if (began_in / recorded).is_file() else recorded
        path = scores_of_fingerprint(place, wanted)
        if path is None:
            raise ArtifactError(
                f"The run began with other scores than {recorded} holds now. Bring them back, or start anew."
            )
        self.scores_path, self._choice = str(path), f"Scores: {path}, those that the network was trained by"
        self.__dict__.pop("scores", None)

    @property
    def edges_per_layer(self) -> list[int]:
        """Sampled attention edges of each layer over all nodes."""
        return [self.dataset.num_nodes * k for k in self.k]

    @property
    def augmented_edges(self) -> int:
        """Attention edges of the augmented graph that is sampled from."""
        return self.graph.num_edges if self.scores is None else self.scores.graph.num_edges

    def setup(self, stage: str) -> None:
        """Find and check the scores before any work starts."""
        self._fitting = stage == "fit"
        if self.trainer is not None:
            self._check_against_trainer(stage)
        _ = self.scores
        super().setup(stage)

    def _check_against_trainer(self, stage: str) -> None:
        layers = self.trainer.lightning_module.num_layers
        if len(self.k) != layers:
            raise ConfigError(
                f"k is {self.k}, of length {len(self.k)}, but the network has {layers} layers. Give one for each."
            )
        if stage == "fit" and self.trainer.reload_dataloaders_every_n_epochs != 1:
            raise ConfigError(
                "The Trainer would keep the first epoch's sampled graph. Set reload_dataloaders_every_n_epochs=1; "
                "resample_every then sets how often the graph is drawn."
            )
        self.check_ranks()
        if self.batch_size is not None and self.batch_size < self.num_ranks:
            raise ConfigError(
                f"batch_size is {self.batch_size}, the core nodes of a batch on all {self.num_ranks} devices together: "
                "some would have none. Raise it."
            )

    def draw(self, number: int) -> Tables:
        """One draw of every layer's table; training's draws are numbered from 0, evaluation's from -1 downwards."""
        if self._choice is not None:  # a resumed fit has found the scores of its checkpoint by now
            rank_zero_info(self._choice)
            self._choice = None
        graph = self.graph if self.scores is None else self.scores.graph
        return tuple(
            sample_neighbors(
                graph, self._weights(layer), k, draw_seed(self.seed, number, layer), self.sampler, self.graph_first
            )
            for layer, k in enumerate(self.k)
        )

    def _weights(self, layer: int) -> Tensor | None:
        """The estimator's scores [M] of the layer; its last layer's for those that it doesn't have."""
        return None if self.scores is None else self.scores.scores_LM[min(layer, self.scores.num_layers - 1)]

    @property
    def evaluation_draws(self) -> list[Tables]:
        """Draws of their own, the same in every epoch and every run of this seed: R, or one while fitting."""
        wanted = 1 if self._fitting else self.eval_samples
        drawn = len(self._evaluation_draws)
        self._evaluation_draws += [self.draw(-1 - sample) for sample in range(drawn, wanted)]
        return self._evaluation_draws[:wanted]

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        number = epoch // self.resample_every
        self.resampling_seconds = 0.0
        if self._train_draw is None or self._train_draw[0] != number:
            start = time.perf_counter()
            self._train_draw = (number, self.draw(number))
            self.resampling_seconds = time.perf_counter() - start
        tables = self._train_draw[1]
        if self.batch_size is None and self.num_ranks == 1:
            return self.whole_graph_loader(self.whole_graph_batch(tables, "train"))
        nodes = self.nodes_of("train")
        seed = draw_seed(self.seed, epoch, layer=-1)
        order = torch.randperm(nodes.numel(), generator=torch.Generator().manual_seed(seed))
        batches = order.split(self.batch_size or nodes.numel())
        if len(batches) > 1 and batches[-1].numel() == 1:  # batch norm can't do one node
            batches = batches[:-1]
        return self._core_node_loader(nodes, [tables], batches, _only_draw)

    def evaluation_loader(self, part: str) -> DataLoader:
        if self.eval_batch_size is None and self.num_ranks == 1:
            return self.whole_graph_loader([self.whole_graph_batch(tables, part) for tables in self.evaluation_draws])
        nodes = self.nodes_of(part)
        batches = torch.arange(nodes.numel()).split(self.eval_batch_size or nodes.numel())
        return self._core_node_loader(nodes, self.evaluation_draws, batches, _as_is)

    def _core_node_loader(
        self, nodes: Tensor, draws: Sequence[Tables], batches: Sequence[Tensor], collate: Callable
    ) -> DataLoader:
        """This rank's share of each batch; every rank has as many batches, if need be empty ones."""
        shares = [batch[self.rank :: self.num_ranks].tolist() for batch in batches]
        return DataLoader(
            CoreNodeBatches(nodes, draws, self.dataset.x, self.dataset.y),
            batch_size=None,
            sampler=FixedBatches(shares),
            collate_fn=collate,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # the global stream is dropout's
        )


class FixedBatches(SequentialSampler):
    """Batches in their order, which were drawn before: what Lightning doesn't take for shuffled (`overfit_batches`).

    Args:
        batches: places of each one's core nodes.
    """

    def __init__(self, batches: Sequence[list[int]]):
        super().__init__(batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.data_source)


class CoreNodeBatches(Dataset):
    """Core nodes, fetched a batch at a time with all that their layers need, once for each draw.

    Args:
        nodes: [B_all] int64 core nodes.
        draws: R draws of L tables over all N nodes.
        x: [N, F] features.
        y: [N] or [N, C] labels.
    """

    def __init__(self, nodes: Tensor, draws: Sequence[Tables], x: Tensor, y: Tensor):
        self.nodes, self.draws, self.x, self.y = nodes, draws, x, y

    def __len__(self) -> int:
        return self.nodes.numel()

    def __getitem__(self, indices: list[int]) -> Draws:
        core = self.nodes[indices]
        return [self._batch(tables, core) for tables in self.draws]

    def _batch(self, tables: Tables, core: Tensor) -> NodeBatch:
        blocks = build_blocks(tables, core)
        return NodeBatch(self.x[blocks.nodes], blocks.layers, torch.arange(core.numel()), self.y[core], core)


def _as_is(draws: Draws) -> Draws:
    return draws


def _only_draw(draws: Draws) -> NodeBatch:
    return draws[0]
