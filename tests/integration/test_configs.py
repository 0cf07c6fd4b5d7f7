"""Every configuration composes, parses and fits its dataset; one of each kind trains a batch of a stand-in graph."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from daily import every_day

from benchmarks.memory import LARGE, SIZES
from spx.cli import TRAINER_DEFAULTS, SpxCLI
from spx.configurations import BASE, CONFIG_HELP, OVERLAYS, TUNE
from spx.data import AugmentedGraphData, graph_data
from spx.dataset_names import OWN
from spx.datasets import DATASETS, NodeDataset, Split
from spx.errors import ConfigError
from spx.experiments.plan import ANALYSIS, TUNED, Study, config_files, make_plan, merged_settings
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores
from spx.graph_check.full_settings import class_defaults, full_settings
from spx.graph_check.plus_rule import recipe_for

CONFIGS = Path(__file__).parents[2] / "configs"
BASELINES = ("gcn", "gnn", "gat", "sage", "mlp", "polynormer", "sgformer")
NAMES = ("estimator", "wide", "plus", "exphormer", *BASELINES)
FILES = sorted(
    path.relative_to(CONFIGS)
    for path in CONFIGS.glob("*/*.yaml")
    if path.parent.name not in (OVERLAYS, TUNE) and path.stem != TUNED
)
TRAINED = {"estimator": "actor", "wide": "ogbn-proteins", "plus": "minesweeper", "exphormer": "pokec"}
TRAINED |= {"gcn": "mine", "gnn": "minesweeper", "gat": "actor", "sage": "ogbn-proteins", "mlp": "cora"}
TRAINED |= {"polynormer": "ogbn-proteins", "sgformer": "photo"}
"""The dataset whose configuration of a kind is trained: classes and several labels, in one batch and in many."""
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


known_defaults = cache(class_defaults)


def read(*parts: str) -> dict:
    return yaml.safe_load(CONFIGS.joinpath(*parts).read_text())


@cache
def settings_of(name: str, config: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What a configuration asks for, said or not: of the model, of the data, and the epochs."""
    settings = full_settings(CONFIGS / name, config)
    epochs = settings.get("trainer", {}).get("max_epochs", TRAINER_DEFAULTS["max_epochs"])
    return settings["model"]["init_args"], settings["data"]["init_args"], epochs


def leaves(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting with its full name."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def stand_in(
    name: str, data_dir: str = "", protocol: str = "public", split: int = 0, own: object = None, *_: object
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
    num_layers = settings_of(name, "estimator")[0]["num_layers"]
    made_from = ArtifactHeader(name, "public", 0, 0, data.data_fingerprint, 4, 1, data.metric, 0.5, 0, 1.0)
    return save_scores(path, AttentionScores(graph, scores_M.expand(num_layers, -1)), made_from)


def instantiate(name: str, files: list[Path], tmp_path: Path, *arguments: str) -> SpxCLI:
    """Read the files as `spx fit` does, ready for one batch."""
    command = [word for file in files for word in ("--config", str(file))]
    command += ["--runs_dir", str(tmp_path), "--trainer.default_root_dir", str(tmp_path)]
    command += ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    if name == OWN:
        command += ["--data.dataset", OWN_PATH]
    if files[0].stem in ("wide", "plus"):
        command += ["--data.scores", str(write_scores(tmp_path / "scores.safetensors", name))]
    return SpxCLI(args=[*command, *arguments], run=False)  # without subcommands, which take half a second to set up


def test_files_are_of_known_kinds_and_lie_in_the_folders_of_datasets():
    assert {file.stem for file in FILES if file.parent.name == BASE} == {*NAMES, ANALYSIS}
    assert {file.stem for file in FILES} == {*NAMES, ANALYSIS}
    assert {file.parent.name for file in FILES} == {*DATASETS, OWN, BASE}, "make lists the folders"


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name not in (BASE, OWN)], ids=str)
def test_a_file_of_a_dataset_is_short_and_names_it(file):
    settings = read(*file.parts)
    named = settings["dataset"] if file.stem == ANALYSIS else settings["data"]["init_args"]["dataset"]
    assert named == file.parent.name
    assert len(CONFIGS.joinpath(file).read_text().splitlines()) < 10


def defaults_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The code's own, of the settings of a run."""
    found = {f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()}
    for section in ("model", "data"):
        for name, value in known_defaults(settings[section]["class_path"]).items():
            found[f"{section}.init_args.{name}"] = value
    return found


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != ANALYSIS], ids=str)
def test_no_setting_stands_without_which_the_run_would_be_the_same(file):
    base = read(BASE, file.name)
    otherwise = defaults_of(base)
    if file.parent.name != BASE:
        otherwise |= dict(leaves(base))
    for name, value in leaves(read(*file.parts)):
        assert name not in otherwise or otherwise[name] != value, name
        for each in value if name == "trainer.callbacks" else ():
            defaults = known_defaults(each["class_path"])
            assert not {item for item in each.get("init_args", {}).items() if item[0] in defaults} & set(
                defaults.items()
            )


@every_day("config", NAMES, ("estimator", "wide", "gcn"))
@pytest.mark.parametrize(
    "name", ["actor", OWN, *(pytest.param(name, marks=pytest.mark.full) for name in DATASETS if name != "actor")]
)
def test_every_configuration_composes_and_fits_its_dataset(name, config, tmp_path):
    cli = instantiate(name, [CONFIGS / name / f"{config}.yaml"], tmp_path)  # a file that need not exist
    assert cli.settings.name == config, "the run's folder is named after its configuration"
    assert cli.datamodule.dataset_name == name
    assert cli.model.metric_name == ("accuracy" if name == OWN else DATASETS[name].metric)
    assert (cli.datamodule.expander_degree == 0) == (config in BASELINES)
    files = config_files(Study(OWN_PATH if name == OWN else name, configs_dir=str(CONFIGS)), config)
    assert [str(file) for file in cli.settings.config] == [str(file) for file in files]
    composed = merged_settings(files)
    for section in ("model", "data"):
        assert agrees(cli.settings[section], composed[section]), "as a study composes it"
    assert agrees(cli.settings.trainer, composed.get("trainer", {}))


@every_day("config", NAMES, ("estimator", "wide", "plus", "gcn"))
def test_one_batch_of_training_and_validation(config, tmp_path):
    name = TRAINED[config]
    cli = instantiate(name, [CONFIGS / name / f"{config}.yaml"], tmp_path)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    logged = cli.trainer.callback_metrics
    assert torch.isfinite(logged["train/loss"])
    assert torch.isfinite(logged["val/loss"])
    assert f"val/{'accuracy' if name == OWN else DATASETS[name].metric}" in logged


@every_day(
    "overlay",
    sorted(path.name for path in (CONFIGS / OVERLAYS).glob("*.yaml")),
    ("debug.yaml", "gpu.yaml", "no-norm.estimator.yaml", "top.wide.yaml", "graph-first.wide.yaml"),
)
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
    if isinstance(written, list):
        return len(setting) == len(written) and all(map(agrees, setting, written))
    return (str(setting) if isinstance(setting, timedelta) else setting) == written


@every_day("name", DATASETS, 3)
@pytest.mark.parametrize("config", NAMES[1:])
def test_only_the_wide_network_needs_stage_1(name, config):
    plan = make_plan(Study(name, config=config, configs_dir=str(CONFIGS)))
    assert len(plan.stages) == (2 if config == "wide" else 1)


@pytest.mark.parametrize("name", ["actor", OWN_PATH])
@pytest.mark.parametrize("overlay", ["uniform", "graph-first"])
def test_overlays_that_choose_without_scores_leave_stage_1_out(overlay, name):
    plan = make_plan(Study(name, overlay=overlay, configs_dir=str(CONFIGS)))
    assert [stage.name for stage in plan.stages] == [f"wide-{overlay}"]
    data = plan.stages[0].settings["data"]["init_args"]
    assert (data["sampler"], data.get("graph_first", False)) == ("uniform", overlay == "graph-first")


@pytest.mark.parametrize("name", [*DATASETS, OWN])
def test_both_stages_and_the_exphormer_see_the_same_augmented_graph(name):
    degrees = [settings_of(name, config)[1]["expander_degree"] for config in ("estimator", "wide", "exphormer")]
    assert len(set(degrees)) == 1


@pytest.mark.parametrize("name", PUBLISHED_WIDE)
def test_wide_has_the_authors_settings(name):
    model, data, epochs = settings_of(name, "wide")
    assert (
        *(model[setting] for setting in ("num_layers", "num_heads", "width")),
        *(data["k"], model["dropout"], model["num_pre_layers"], model["num_post_layers"], data["batch_size"]),
        *(model["lr"], epochs),
    ) == PUBLISHED_WIDE[name]


@pytest.mark.parametrize("name", DATASETS)
def test_plus_is_one_recipe(name):
    """A dataset has what the rule gives for it; large graphs keep the paper configuration's size."""
    size, own = SIZES[name], dict(leaves(read(name, "plus.yaml")))
    (model, data, epochs), (paper, paper_data, paper_epochs) = settings_of(name, "plus"), settings_of(name, "wide")
    wanted = recipe_for(size.num_features, size.num_training_nodes, size.mean_degree, max(paper_data["k"]))
    assert (model["layer"], model["dropout"]) == wanted[:2]
    differs = {"model.init_args.layer", "model.init_args.dropout", "data.init_args.dataset", "data.init_args.k"}
    if name in LARGE:
        differs |= {"model.init_args.num_layers", "data.init_args.batch_size", "trainer.max_epochs"}
        for setting in ("k", "batch_size"):
            assert data[setting] == paper_data[setting]
        assert (model["num_layers"], epochs) == (paper["num_layers"], paper_epochs)
    else:
        assert data["k"] == [wanted.k] * model["num_layers"]
    assert own.keys() <= differs


@pytest.mark.parametrize("name", PUBLISHED_ESTIMATOR)
def test_estimator_has_the_authors_settings(name):
    model, data, epochs = settings_of(name, "estimator")
    assert model["norm"] == ("batch" if name == "amazon2m" else "graph")
    assert model["temperature_min"] == 0.05
    wait = None if model["temperature_decay"] == 1 else model["temperature_wait"]  # nothing waits where nothing falls
    assert (
        *(model["num_layers"], model["width"], data["expander_degree"], model["temperature_decay"], wait),
        *(model["lr"], epochs),
    ) == PUBLISHED_ESTIMATOR[name]


def test_help_says_what_comes_before_a_dataset_s_file(capsys):
    with pytest.raises(SystemExit):
        SpxCLI(args=["--help"], run=False)
    assert CONFIG_HELP in " ".join(capsys.readouterr().out.split())


def test_a_setting_of_another_name_is_refused(tmp_path):
    (tmp_path / "typo.yaml").write_text("model: {init_args: {witdh: 8}}\n")
    with pytest.raises(ConfigError, match="witdh"):
        instantiate("actor", [CONFIGS / "actor" / "gcn.yaml", tmp_path / "typo.yaml"], tmp_path)
