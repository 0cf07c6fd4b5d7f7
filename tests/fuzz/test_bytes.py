"""Files whose bytes were changed, cut or stretched: read as they were, or refused with one of our own errors.

Tables, .npz and .pt files of one's own are in `tests/unit/datasets/own/test_fuzz.py`. Seeded, so a failure repeats.
A few mutants every day, which are the first of the many.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mutation import budget, mutated

import spx
from spx.cli import FROM_DATA
from spx.data import AugmentedGraphData, ResampledGraphData
from spx.data.handover import load_matching_scores
from spx.datasets.cache import raw_stamp, read_cache, write_cache
from spx.datasets.types import GraphTensors
from spx.errors import SpxError
from spx.files import write_json
from spx.graph.scores import load_scores, read_header
from spx.nn.export import NetworkConfig, load_network, network_arguments, save_network
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings
from spx.torch_files import read_checkpoint
from spx.training import Spexphormer
from spx.training.resuming import WholeFileIO

Reader = Callable[[Path], None]


def read_mutants(whole: Path, read: Reader, count: int, tmp_path: Path) -> int:
    """Read `count` mutants; how many were refused."""
    rng, content, refused = random.Random(7), whole.read_bytes(), 0
    path = tmp_path / f"mutant{whole.suffix}"
    for _ in range(count):
        path.write_bytes(mutated(content, rng))
        try:
            read(path)
        except SpxError:
            refused += 1
    return refused


@pytest.fixture
def data(toy) -> AugmentedGraphData:
    return AugmentedGraphData("toy", expander_degree=2)


@budget(30, 900)
def test_score_files(count: int, data: AugmentedGraphData, write_scores, tmp_path: Path) -> None:
    whole = write_scores(tmp_path / "scores.safetensors", data)
    expected, _ = load_scores(whole)
    drawn = ResampledGraphData("toy", k=[2], scores=str(whole)).draw(0)[0]

    def read(path: Path) -> None:
        read_header(path)
        scores = load_matching_scores(path, data)
        assert scores.scores_LM.equal(expected.scores_LM), "damaged, but taken for whole"
        assert ResampledGraphData("toy", k=[2], scores=str(path)).draw(0)[0].neighbors.equal(drawn.neighbors)

    assert read_mutants(whole, read, count, tmp_path) > 0.94 * count


@budget(20, 300)
def test_score_files_whose_fingerprint_was_made_anew(
    count: int, data: AugmentedGraphData, write_scores, tmp_path: Path
) -> None:
    """What an attacker would do: the content is odd, but the file is consistent."""
    rng, graph = random.Random(3), data.graph
    path, refused = tmp_path / "scores.safetensors", 0
    fields = {name: tensor.clone() for name, tensor in graph._asdict().items()}
    for _ in range(count):
        changed = {name: tensor.clone() for name, tensor in fields.items()}
        name = rng.choice(list(changed))
        value = rng.choice([0, 1, 3, 89, 90, 255] if name == "edge_type" else [-1, 0, 1, 89, 90, 2**31 - 1, -(2**31)])
        changed[name][rng.randrange(changed[name].numel())] = value
        odd = AugmentedGraphData("toy", expander_degree=2)
        odd.__dict__ |= {"graph": type(graph)(**changed), "data_fingerprint": data.data_fingerprint}
        scores_LM = torch.rand(2, graph.num_edges)
        try:
            write_scores(path, odd, scores_LM)
            table = ResampledGraphData("toy", k=[3], scores=str(path)).draw(0)[0]
            assert int(table.neighbors.min()) >= 0
            assert int(table.neighbors.max()) < graph.num_nodes
        except SpxError:
            refused += 1
    assert refused > count / 3


@budget(27, 400)
def test_checkpoints(count: int, tmp_path: Path) -> None:
    whole = tmp_path / "whole.ckpt"
    state = {"a": torch.randn(20, 4), "b": torch.arange(5)}
    WholeFileIO().save_checkpoint({"state_dict": state, "hyper_parameters": {"width": 8, "norm": "batch"}}, whole)

    def read(path: Path) -> None:
        assert all(isinstance(name, str) for name in read_checkpoint(str(path))["hyper_parameters"])

    assert read_mutants(whole, read, count, tmp_path) > count / 4


@budget(27, 400)
def test_dataset_caches_are_made_anew_or_read_as_they_were(count: int, tmp_path: Path, recwarn) -> None:
    graph = GraphTensors(torch.randn(30, 4), torch.randint(30, (2, 60)), torch.randint(3, (30,)))
    whole = tmp_path / "whole.safetensors"
    stamp = raw_stamp([], tmp_path)
    (tmp_path / "scratch").mkdir()
    write_cache(graph, whole, stamp, tmp_path / "scratch")

    def read(path: Path) -> None:
        found = read_cache(path, stamp)
        assert found is None or all(one is None or one.equal(other) for one, other in zip(found, graph, strict=True))

    assert read_mutants(whole, read, count, tmp_path) == 0


RUN = {
    "seed_everything": 3,
    "model": {"class_path": "spx.training.Spexphormer", "init_args": {"width": 8, "num_heads": 2, "num_layers": 2}},
    "data": {
        "class_path": "spx.data.ResampledGraphData",
        "init_args": {"dataset": "toy", "k": [2, 3], "sampler": "uniform", "expander_degree": 2},
    },
}


@pytest.fixture
def run(data: AugmentedGraphData, tmp_path: Path) -> Path:
    """A run's folder that can be loaded."""
    folder = tmp_path / "toy" / "wide" / "version_0"
    from_data = {name: getattr(data, name) for name in FROM_DATA}
    model = Spexphormer(**RUN["model"]["init_args"], **from_data)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    WholeFileIO().save_checkpoint(content, folder / "checkpoints" / "best.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(RUN))
    write_json(folder / "run.json", {"seed": 3, "dataset": "toy", "class_names": None, "cwd": str(tmp_path)})
    return folder


@budget(10, 250)
@pytest.mark.parametrize("name", ["config.yaml", "run.json", "checkpoints/best.ckpt"])
def test_run_folders(count: int, run: Path, name: str, tmp_path: Path) -> None:
    spx.load(run).predict(draws=2)
    whole = tmp_path / f"whole{Path(name).suffix}"
    whole.write_bytes((run / name).read_bytes())

    def read(mutant: Path) -> None:
        (run / name).write_bytes(mutant.read_bytes())
        predictions = spx.load(run).predict(draws=2)
        assert predictions.probabilities.sum(1).allclose(torch.ones(1), atol=1e-4)

    assert read_mutants(whole, read, count, tmp_path) > 0.08 * count


@budget(20, 300)
def test_exports(count: int, data: AugmentedGraphData, tmp_path: Path) -> None:
    network = GraphTransformer(5, 3, TransformerSettings(**RUN["model"]["init_args"]))
    config = NetworkConfig("GraphTransformer", network_arguments(network), "multiclass", ("a", "b", "c"))
    save_network(tmp_path / "export", network, config)
    for name in ("model.json", "model.safetensors"):
        whole = tmp_path / f"whole{Path(name).suffix}"
        whole.write_bytes((tmp_path / "export" / name).read_bytes())

        def read(mutant: Path, name: str = name) -> None:
            (tmp_path / "export" / name).write_bytes(mutant.read_bytes())
            load_network(tmp_path / "export")

        assert read_mutants(whole, read, count, tmp_path) > count / 6
        (tmp_path / "export" / name).write_bytes(whole.read_bytes())
