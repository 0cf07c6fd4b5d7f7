"""What a draw gives, when it changes, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from spx.data import AugmentedGraphData, NodeBatch, ResampledGraphData
from spx.data.core_nodes import Tables
from spx.datasets import NodeDataset
from spx.errors import ConfigError
from spx.graph.sampling import draw_seed, sample_neighbors
from spx.training import Spexphormer

from .conftest import DEGREE, K, at_epoch, same

Make = Callable[..., ResampledGraphData]


class Watch(L.Callback):
    """The tables of each epoch's training and validation batches."""

    def __init__(self) -> None:
        self.trained: list[Tables] = []
        self.validated: list[Tables] = []

    def on_train_batch_start(self, trainer: L.Trainer, _module: object, batch: NodeBatch, *_: object) -> None:
        self.trained.append(batch.neighborhoods)

    def on_validation_batch_start(self, trainer: L.Trainer, _module: object, batch: list, *_: object) -> None:
        self.validated.append(batch[0].neighborhoods)


def train(data: ResampledGraphData, epochs: int, folder: Path) -> Watch:
    watch = Watch()
    model = Spexphormer(4, 2, 1, num_features=5, num_outputs=3, task="multiclass", metric="accuracy")
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
    )
    trainer.fit(model, datamodule=data)
    return watch


def tables_at(data: ResampledGraphData) -> Tables:
    (batch,) = data.train_dataloader()
    return batch.neighborhoods


def test_a_draw_is_the_samplers_for_each_layer(make: Make) -> None:
    data = make(seed=4)
    graph, scores_LM = data.scores
    for layer, table in enumerate(data.draw(7)):
        assert same(table, sample_neighbors(graph, scores_LM[layer], K[layer], draw_seed(4, 7, layer), "attention"))


def test_each_layer_follows_its_own_scores(
    toy: NodeDataset, make: Make, tmp_path: Path, write_scores: Callable[..., Path]
) -> None:
    data = AugmentedGraphData("toy", expander_degree=DEGREE)
    graph = data.graph
    favourites = torch.stack([graph.indptr[:-1], graph.indptr[1:] - 1])  # each row's first edge, then its last
    scores_LM = torch.full((2, graph.num_edges), 1e-12).scatter_(1, favourites, 1.0)
    path = write_scores(tmp_path / "sharp.safetensors", data, scores_LM)
    for table, favourite in zip(make(scores=str(path), k=[1, 1]).draw(0), favourites, strict=True):
        assert table.neighbors.flatten().equal(graph.source[favourite])
        assert table.edge_type.flatten().equal(graph.edge_type[favourite])


def test_the_pages_of_the_scores_are_given_back_after_each_draw(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("spx.graph.scores.LoadedScores.give_back", lambda scores: given.append(scores))
    data = make()
    data.draw(0)
    assert len(given) == 1 + len(K), "once loaded, and after each layer"
    assert all(each is data.scores for each in given[1:])
    data.draw(1, [True] * len(K))
    assert len(given) == 1 + len(K), "a lazy draw reads few of them"


def test_training_draws_anew_each_epoch_and_a_fresh_start_repeats_it(make: Make, tmp_path: Path) -> None:
    trained = train(make(), 4, tmp_path).trained
    assert len(trained) == 4
    for epoch, tables in enumerate(trained):
        assert same(tables, tables_at(make(epoch))), "as when the run is resumed here"
        assert not any(same(tables, earlier) for earlier in trained[:epoch])


def test_resample_every_keeps_a_draw_for_so_many_epochs(make: Make, tmp_path: Path) -> None:
    trained = train(make(resample_every=2), 4, tmp_path).trained
    assert same(trained[0], trained[1])
    assert same(trained[2], trained[3])
    assert not same(trained[1], trained[2])
    assert same(trained[3], tables_at(make(3, resample_every=2)))
    assert same(trained[2], make().draw(1)), "draws are numbered by epoch // resample_every"


def test_layers_seeds_and_draws_have_streams_of_their_own(make: Make) -> None:
    alike = make(k=[3, 3], sampler="uniform", expander_degree=DEGREE)
    first, second = alike.draw(0)
    assert not same(first, second)
    assert not same(make().draw(0), make(seed=1).draw(0))
    assert not same(make().draw(0), make().draw(1))


def test_a_draw_is_made_once_and_timed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data, drawn = make(0, resample_every=2), []
    draw = data.draw

    def count(number: int, lazily: list[bool]) -> Tables:
        drawn.append(number)
        return draw(number, lazily)

    monkeypatch.setattr(data, "draw", count)
    seconds = []
    for epoch in range(4):
        at_epoch(data, epoch).train_dataloader()
        seconds.append(data.resampling_seconds)
    assert drawn == [0, 1]
    assert [taken > 0 for taken in seconds] == [True, False, True, False], "an epoch without a draw takes none"


def test_evaluation_keeps_a_table_of_its_own(make: Make, tmp_path: Path) -> None:
    watch = train(make(), 3, tmp_path)
    assert len(watch.validated) == 3
    assert all(same(watch.validated[0], tables) for tables in watch.validated)
    assert not any(same(watch.validated[0], tables) for tables in watch.trained)
    other = make(resample_every=3)
    for part in ("val", "test", "predict"):
        ((batch,),) = getattr(other, f"{part}_dataloader")()
        assert same(batch.neighborhoods, watch.validated[0])


def test_evaluation_takes_so_many_draws_and_the_first_stays(make: Make) -> None:
    (draws,) = make(eval_samples=3).val_dataloader()
    assert len(draws) == 3
    tables = [batch.neighborhoods for batch in draws]
    assert not same(tables[0], tables[1])
    assert not same(tables[0], tables[2])
    assert not same(tables[1], tables[2])
    ((single,),) = make().val_dataloader()
    assert same(single.neighborhoods, tables[0])
    assert all(same(batch[:1] + batch[2:], single[:1] + single[2:]) for batch in draws), "the same judged nodes"


def test_top_takes_the_largest_scores(make: Make) -> None:
    data = make(sampler="top")
    graph, scores_LM = data.scores
    assert same(data.draw(0), data.draw(1))
    for scores_M, k, table in zip(scores_LM, K, data.draw(0), strict=True):
        for node in range(graph.num_nodes):
            row = slice(graph.indptr[node], graph.indptr[node + 1])
            largest = scores_M[row].topk(k).indices
            assert sorted(table.neighbors[node].tolist()) == sorted(graph.source[row][largest].tolist())


def test_uniform_needs_no_score_file_and_builds_the_graph_itself(toy: NodeDataset, tmp_path: Path) -> None:
    arguments = {"runs_dir": str(tmp_path), "sampler": "uniform", "expander_degree": DEGREE, "seed": 3}
    data = ResampledGraphData("toy", K, **arguments)
    data.setup("fit")
    graph = AugmentedGraphData("toy", expander_degree=DEGREE, seed=3).graph
    assert data.augmented_edges == graph.num_edges
    for layer, table in enumerate(data.draw(0)):
        assert same(table, sample_neighbors(graph, None, K[layer], draw_seed(3, 0, layer), "uniform"))


def test_the_sampled_edges_are_counted(make: Make) -> None:
    data = make()
    assert data.edges_per_layer == [90 * 2, 90 * 3]
    assert data.augmented_edges == data.scores.graph.num_edges


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": [2, 0]}, r"k is \[2, 0\]; .*at least 1"),
        ({"k": []}, r"k is \[\]"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 2"),
        ({"eval_batch_size": -1}, "eval_batch_size is -1"),
        ({"eval_samples": 0}, "eval_samples is 0"),
        ({"resample_every": 0}, "resample_every is 0"),
        ({"expander_degree": -1}, "expander_degree is -1"),
    ],
)
def test_a_count_that_can_not_be_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ResampledGraphData(**{"dataset": "toy", "k": K, **arguments})


def test_k_must_name_each_layer(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"k is \[2, 3\], of length 2, but the network has 3 layers"):
        at_epoch(make(), num_layers=3).setup("test")


def test_a_trainer_that_would_keep_the_first_graph_is_refused(make: Make) -> None:
    for reload in (0, 2):
        with pytest.raises(ConfigError, match="reload_dataloaders_every_n_epochs=1"):
            at_epoch(make(), reload=reload).setup("fit")
    at_epoch(make(), reload=0).setup("test")


def test_a_batch_has_a_core_node_for_each_device_at_least(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"batch_size is 3, .* 4 devices"):
        at_epoch(make(batch_size=3), world_size=4).setup("fit")
    at_epoch(make(batch_size=4), world_size=4).setup("fit")


def test_a_checkpoint_of_scores_in_no_file_names_none(toy: NodeDataset, make: Make) -> None:
    data = ResampledGraphData("toy", K, expander_degree=DEGREE)
    data.use_dataset(toy)
    data.use_scores(make().scores)
    state = data.state_dict()
    assert state["scores_path"] is None
    assert state["scores_fingerprint"] is None
    data.load_state_dict(state)
    assert same(data.draw(0), make().draw(0))
