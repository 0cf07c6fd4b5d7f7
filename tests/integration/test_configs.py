"""Every file in configs/ parses, fits its dataset, and trains and validates one batch of a stand-in graph."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from benchmarks.memory import LARGE, SIZES
from spx.checking.recipe import NUM_LAYERS, recipe_for
from spx.cli import SpxCLI
from spx.data import AugmentedGraphData, graph_data
from spx.datasets import DATASETS, NodeDataset, Split
from spx.experiments.plan import ANALYSIS, OVERLAYS, Study, make_plan
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores
from spx.naming import OWN

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ("estimator", "wide", "plus", "exphormer", "gcn")
FILES = sorted(
    path.relative_to(CONFIGS)
    for path in CONFIGS.glob("*/*.yaml")
    if path.parent.name != OVERLAYS and path.stem != ANALYSIS
)
NUM_NODES = 60
OWN_PATH = f"graphs/{OWN}.npz"

# The authors' settings: layers, heads, width, k, dropout, pre- and post-layers, core nodes, peak rate, epochs;
# "all" is written as none.
PUBLISHED_WIDE = {
    "actor": (3, 4, 32, [2, 2, 2], 0.5, 1, 1, 10_000, 0.01, 100),
    "minesweeper": (4, 4, 32, [12, 5, 5, 5], 0.2, 0, 1, None, 0.01, 80),
    "tolokers": (4, 4, 32, [12, 10, 10, 10], 0.25, 1, 1, None, 0.01, 200),
    "photo": (4, 2, 56, [5, 5, 5, 5], 0.5, 1, 1, 10_000, 0.01, 100),
    "computer": (4, 2, 80, [5, 5, 5, 5], 0.5, 1, 1, None, 0.001, 150),
    "cs": (4, 2, 64, [5, 5, 5, 5], 0.4, 1, 1, None, 0.002, 120),
    "physics": (4, 2, 64, [5, 5, 5, 5], 0.4, 0, 1, None, 0.001, 80),
    "amazon2m": (2, 1, 128, [10, 10], 0.2, 1, 1, 1000, 0.001, 200),
    "ogbn-proteins": (2, 1, 64, [50, 30], 0.1, 1, 1, 256, 0.005, 200),
    "pokec": (2, 1, 64, [20, 20], 0.2, 2, 2, 500, 0.001, 300),
}
# Layers, width, expander degree, temperature's decay, wait, peak rate, epochs
PUBLISHED_ESTIMATOR = {
    "actor": (4, 4, 15, 0.99, 20, 0.01, 100),
    "minesweeper": (4, 4, 15, 0.99, 5, 0.01, 100),
    "tolokers": (4, 4, 15, 1.0, None, 0.01, 100),
    "photo": (4, 4, 15, 0.95, 20, 0.1, 100),
    "computer": (4, 4, 15, 0.99, 5, 0.01, 200),
    "cs": (4, 4, 15, 0.99, 5, 0.01, 200),
    "physics": (4, 4, 15, 0.99, 5, 0.01, 200),
    "amazon2m": (2, 4, 15, 0.99, 20, 0.01, 200),
    "ogbn-proteins": (2, 8, 100, 0.99, 20, 0.01, 200),
    "pokec": (2, 8, 5, 0.95, 10, 0.01, 150),
}


def read(*parts: str) -> dict:
    return yaml.safe_load(CONFIGS.joinpath(*parts).read_text())


def stand_in(
    name: str, data_dir: str = "", protocol: str = "public", split: int = 0, own: object = None
) -> NodeDataset:
    """A random graph of `NUM_NODES` nodes with the dataset's task and metric."""
    spec = SimpleNamespace(task="multiclass", metric="accuracy") if name == OWN_PATH else DATASETS[name]
    generator = torch.Generator().manual_seed(len(name))
    x = torch.randn(NUM_NODES, 5, generator=generator)
    edge_index = torch.randint(NUM_NODES, (2, 4 * NUM_NODES), generator=generator)
    num_classes = 4 if spec.task == "multilabel" else 2 if spec.metric == "roc_auc" else 3
    shape = (NUM_NODES, num_classes) if spec.task == "multilabel" else (NUM_NODES,)
    y = torch.randint(2 if spec.task == "multilabel" else num_classes, shape, generator=generator)
    y = y.float() if spec.task == "multilabel" else y
    parts = Split(*torch.arange(NUM_NODES).split(NUM_NODES // 3))
    return NodeDataset(name, protocol, x, edge_index, y, parts, split, num_classes, spec.task, spec.metric)


@pytest.fixture(autouse=True)
def _small_graphs(monkeypatch):
    monkeypatch.setattr(graph_data, "load_dataset", stand_in)
    monkeypatch.setattr("sys.argv", ["spx"])  # LightningCLI warns of arguments in both places


def write_scores(path: Path, name: str) -> Path:
    """Scores like those of the dataset's estimator: as many layers, uniform over each node's edges."""
    data = AugmentedGraphData(OWN_PATH if name == OWN else name)
    graph = data.graph
    degree_N = graph.indptr.diff()
    scores_M = (1 / degree_N).repeat_interleave(degree_N)
    num_layers = read(name, "estimator.yaml")["model"]["init_args"]["num_layers"]
    made_from = ArtifactHeader(name, "public", 0, 0, data.data_fingerprint, 4, 1, data.metric, 0.5, 0, 1.0)
    return save_scores(path, AttentionScores(graph, scores_M.expand(num_layers, -1)), made_from)


def instantiate(name: str, files: list[Path], tmp_path: Path, *arguments: str) -> SpxCLI:
    """Read the files as `spx fit` does, ready for one batch."""
    command = [word for file in files for word in ("--config", str(file))]
    command += ["--runs_dir", str(tmp_path), "--trainer.default_root_dir", str(tmp_path)]
    command += ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    if name == OWN:
        command += ["--data.dataset", OWN_PATH]
    if read(name, files[0].name)["data"]["class_path"].endswith("ResampledGraphData"):
        command += ["--data.scores", str(write_scores(tmp_path / "scores.safetensors", name))]
    return SpxCLI(args=[*command, *arguments], run=False)  # without subcommands, which take half a second to set up


def test_every_dataset_has_every_configuration():
    assert {str(file) for file in FILES} == {f"{name}/{config}.yaml" for name in (*DATASETS, OWN) for config in NAMES}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_one_batch_of_training_and_validation(file, tmp_path):
    cli = instantiate(file.parent.name, [CONFIGS / file], tmp_path)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    name, config = file.parent.name, file.stem
    assert cli.settings.name == config, "the run's folder is named after its configuration"
    assert cli.datamodule.dataset_name == name
    logged = cli.trainer.callback_metrics
    assert torch.isfinite(logged["train/loss"])
    assert torch.isfinite(logged["val/loss"])
    assert f"val/{'accuracy' if name == OWN else DATASETS[name].metric}" in logged
    assert (cli.datamodule.expander_degree == 0) == (config == "gcn")


@pytest.mark.parametrize("overlay", sorted(path.name for path in (CONFIGS / OVERLAYS).glob("*.yaml")))
def test_overlay_changes_what_it_says_and_nothing_else(overlay, tmp_path):
    config = "estimator" if overlay.endswith(".estimator.yaml") else "wide"
    file = CONFIGS / "actor" / f"{config}.yaml"
    changes = read(OVERLAYS, overlay)
    arguments = ["--trainer.accelerator", "cpu", "--trainer.precision", "32"]  # gpu.yaml, too, must parse here
    plain = instantiate("actor", [file], tmp_path).settings
    settings = instantiate("actor", [file, CONFIGS / OVERLAYS / overlay], tmp_path, *arguments).settings
    for section in ("model", "data"):
        changed = changes.get(section, {}).get("init_args", {})
        assert settings[section].class_path == plain[section].class_path
        assert vars(settings[section].init_args) == {**vars(plain[section].init_args), **changed}
    for name, value in changes.get("trainer", {}).items():
        if name not in ("accelerator", "precision"):
            assert agrees(settings.trainer[name], value), name


def agrees(setting, written):
    """Whether a parsed setting has what the file has; a class has arguments besides, a duration is no text any more."""
    if isinstance(written, dict):
        return all(agrees(setting[name], value) for name, value in written.items())
    return (str(setting) if isinstance(setting, timedelta) else setting) == written


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize(("config", "stages"), [("wide", 2), ("plus", 1), ("exphormer", 1), ("gcn", 1)])
def test_only_the_wide_network_needs_stage_1(name, config, stages):
    plan = make_plan(Study(name, config=config, configs_dir=str(CONFIGS)))
    assert len(plan.stages) == stages


@pytest.mark.parametrize("name", [*DATASETS, OWN])
def test_both_stages_and_the_exphormer_see_the_same_augmented_graph(name):
    degrees = [
        read(name, f"{config}.yaml")["data"]["init_args"].get("expander_degree", 15)
        for config in ("estimator", "wide", "exphormer")
    ]
    assert len(set(degrees)) == 1


@pytest.mark.parametrize("name", PUBLISHED_WIDE)
def test_wide_has_the_authors_settings(name):
    config = read(name, "wide.yaml")
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    pre_post = (model.get("num_pre_layers", 1), model.get("num_post_layers", 1))
    assert (
        *(model[setting] for setting in ("num_layers", "num_heads", "width")),
        *(data["k"], model["dropout"], *pre_post, data.get("batch_size"), model["lr"], config["trainer"]["max_epochs"]),
    ) == PUBLISHED_WIDE[name]


@pytest.mark.parametrize("name", DATASETS)
def test_plus_is_one_recipe(name):
    """What differs: k, the layer and its dropout; large graphs keep the paper configuration's size."""
    config, recipe, wide = read(name, "plus.yaml"), read("minesweeper", "plus.yaml"), read(name, "wide.yaml")["data"]
    model, data, trainer = (config[part] for part in ("model", "data", "trainer"))
    size = SIZES[name]
    wanted = recipe_for(size.num_features, size.num_training_nodes, size.mean_degree, max(wide["init_args"]["k"]))
    k = data["init_args"].pop("k")
    assert (model["init_args"].pop("layer"), model["init_args"].pop("dropout")) == wanted[:2]
    assert len(k) == model["init_args"]["num_layers"]
    if name in LARGE:
        assert k == wide["init_args"]["k"]
        assert data["init_args"].pop("batch_size", None) == wide["init_args"].get("batch_size")
        model["init_args"]["num_layers"] = recipe["model"]["init_args"]["num_layers"]
        trainer["max_epochs"] = recipe["trainer"]["max_epochs"]
    else:
        assert k == [wanted.k] * NUM_LAYERS
    assert data["init_args"].pop("dataset") == name
    for setting in ("layer", "dropout"):
        del recipe["model"]["init_args"][setting]
    for setting in ("k", "dataset"):
        del recipe["data"]["init_args"][setting]
    assert config == recipe


@pytest.mark.parametrize("name", PUBLISHED_ESTIMATOR)
def test_estimator_has_the_authors_settings(name):
    config = read(name, "estimator.yaml")
    model, degree = config["model"]["init_args"], config["data"]["init_args"]["expander_degree"]
    assert model.get("norm", "graph") == ("batch" if name == "amazon2m" else "graph")
    assert model.get("temperature_min", 0.05) == 0.05
    assert (
        *(model["num_layers"], model["width"], degree, model["temperature_decay"], model.get("temperature_wait")),
        *(model["lr"], config["trainer"]["max_epochs"]),
    ) == PUBLISHED_ESTIMATOR[name]


def test_a_setting_of_another_name_is_refused(tmp_path, capsys):
    (tmp_path / "typo.yaml").write_text("model: {init_args: {witdh: 8}}\n")
    with pytest.raises(SystemExit):
        instantiate("actor", [CONFIGS / "actor" / "gcn.yaml", tmp_path / "typo.yaml"], tmp_path)
    assert "witdh" in capsys.readouterr().err
