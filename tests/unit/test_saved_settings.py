"""A run's folder is data: what its configuration may say, and that nothing it names is imported or built."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from daily import every_day

from spx.__main__ import main
from spx.errors import ConfigError
from spx.saved_settings import check_saved

PAYLOAD = "payload_of_a_stranger"
SYMPY = {"class_path": "sympy.Lambda", "init_args": {"signature": "x", "expr": "open('executed', 'w')"}}
LAMBDA = "lightning.pytorch.callbacks.LambdaCallback"
TENSORBOARD = "lightning.pytorch.loggers.TensorBoardLogger"
PROFILER = "lightning.pytorch.profilers.SimpleProfiler"
AVERAGING = "lightning.pytorch.callbacks.StochasticWeightAveraging"
CSV = "lightning.pytorch.loggers.CSVLogger"
SAVED = {
    "seed_everything": 0,
    "trainer": {
        "accelerator": "auto",
        "strategy": "auto",
        "devices": "auto",
        "precision": None,
        "logger": None,
        "callbacks": None,
        "max_epochs": 2,
        "max_time": {"hours": 1},
        "profiler": None,
        "plugins": None,
        "default_root_dir": None,
        "model_registry": None,
    },
    "model": {"class_path": "spx.training.Spexphormer", "init_args": {"width": 8, "num_layers": 2, "norm": None}},
    "data": {
        "class_path": "spx.data.ResampledGraphData",
        "init_args": {"dataset": "toy", "k": [2, 3], "shares": [0.6, 0.2, 0.2], "data_dir": "/data"},
    },
    "name": "wide",
    "runs_dir": "runs",
    "version": None,
    "checkpoint": {"dirpath": None, "monitor": None, "mode": "max"},
    "handover": {"path": None},
    "attention": {"every": 10, "top_k": [1, 2]},
    "compile": {"enabled": False},
    "predictions": {"path": None},
    "ckpt_path": None,
    "weights_only": None,
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty run's folder; beside where the test runs lies a module that leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{PAYLOAD}.py").write_text("open('executed', 'w')\nclass Thing: ...\n")
    folder = tmp_path / "runs/toy/wide/version_0"
    folder.mkdir(parents=True)
    return folder


def write(run: Path, settings: Any) -> None:
    (run / "config.yaml").write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))


def changed(place: str, value: Any) -> dict[str, Any]:
    settings = copy.deepcopy(SAVED)
    *parents, last = place.split("/")
    inside = settings
    for parent in parents:
        inside = inside[parent]
    inside[last] = value
    return settings


def callback(path: str, **arguments: Any) -> list[dict[str, Any]]:
    return [{"class_path": path, "init_args": arguments}]


CODE = [
    ("trainer/callbacks", callback(LAMBDA, on_fit_start=SYMPY), r"callbacks\[0\]\.init_args\.on_fit_start"),
    ("trainer/callbacks", callback(LAMBDA, on_fit_start={"class_path": "sympy.Poly"}), "on_fit_start"),
    ("trainer/callbacks", callback(LAMBDA, setup=f"{PAYLOAD}.Thing"), "setup"),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.lambda_function.LambdaCallback", setup=SYMPY), "setup"),
    ("trainer/callbacks", callback("sympy.Poly"), "'sympy.Poly', none of"),
    ("trainer/callbacks", callback(f"{PAYLOAD}.Thing"), PAYLOAD),
    ("trainer/callbacks", callback("pytorch_lightning.callbacks.LambdaCallback"), "class_path"),
    ("trainer/callbacks", callback("LambdaCallback", setup=SYMPY), "class_path"),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelPruning", pruning_fn=f"{PAYLOAD}.Thing"), "none"),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ThroughputMonitor", batch_size_fn=SYMPY), "none of"),
    ("trainer/callbacks", f"{PAYLOAD}.Thing", "trainer.callbacks is 'payload"),
    ("trainer/callbacks", [f"{PAYLOAD}.Thing"], r"callbacks\[0\]"),
    ("trainer/callbacks", "callbacks.yaml", "trainer.callbacks is 'callbacks.yaml'"),
    (
        "trainer/callbacks",
        [{"class_path": LAMBDA, "init_args": {}, "dict_kwargs": {"on_fit_start": SYMPY}}],
        "not a class_path and init_args alone",
    ),
    (
        "trainer/callbacks",
        callback(AVERAGING, swa_lrs=0.1, avg_fn=f"{PAYLOAD}.Thing"),
        "avg_fn",
    ),
    (
        "trainer/callbacks",
        callback("lightning.pytorch.callbacks.WeightAveraging", device=f"{PAYLOAD}.Thing"),
        "device",
    ),
    (
        "trainer/callbacks",
        callback("lightning.pytorch.callbacks.RichProgressBar", console_kwargs={"file": SYMPY}),
        "console_kwargs",
    ),
    (
        "trainer/callbacks",
        callback("lightning.pytorch.callbacks.RichProgressBar", theme={"description": f"{PAYLOAD}.Thing"}),
        "theme",
    ),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.EarlyStopping", monitor=SYMPY), "monitor"),
    (
        "trainer/callbacks",
        callback("lightning.pytorch.callbacks.GradientAccumulationScheduler", scheduling={"0": SYMPY}),
        "scheduling",
    ),
    ("trainer/callbacks", callback("spx.training.callbacks.WeightAverage", decay=SYMPY), "decay"),
    ("trainer/callbacks", callback("spx.training.callbacks.WeightAverage", decay=[{"a": SYMPY}]), "decay"),
    ("data/init_args/feature_store", f"{PAYLOAD}.Thing", "feature_store"),
    ("data/init_args/feature_store", {"class_path": f"{PAYLOAD}.Thing"}, "feature_store"),
    ("data/init_args/feature_store", {"class_path": "torch_geometric.data.Data"}, "feature_store"),
    ("trainer/logger", f"{PAYLOAD}.Thing", "trainer.logger"),
    ("trainer/logger", {"class_path": f"{PAYLOAD}.Thing"}, "trainer.logger.class_path"),
    ("trainer/logger", [{"class_path": CSV, "init_args": {"save_dir": SYMPY}}], r"logger\[0\].init_args.save_dir"),
    (
        "trainer/logger",
        {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"experiment": f"{PAYLOAD}.Thing"}},
        "experiment",
    ),
    (
        "trainer/logger",
        {"class_path": "lightning.pytorch.loggers.MLFlowLogger", "init_args": {"tags": {"a": SYMPY}}},
        "tags",
    ),
    ("trainer/strategy", f"{PAYLOAD}.Thing", "trainer.strategy"),
    ("trainer/strategy", {"class_path": f"{PAYLOAD}.Thing"}, "trainer.strategy"),
    ("trainer/strategy", "strategy.yaml", "trainer.strategy"),
    ("trainer/accelerator", f"{PAYLOAD}.Thing", "trainer.accelerator"),
    ("trainer/plugins", f"{PAYLOAD}.Thing", "trainer.plugins"),
    ("trainer/plugins", [{"class_path": f"{PAYLOAD}.Thing"}], "trainer.plugins"),
    ("trainer/profiler", f"{PAYLOAD}.Thing", "trainer.profiler"),
    ("trainer/profiler", {"class_path": f"{PAYLOAD}.Thing"}, "trainer.profiler.class_path"),
    ("trainer/max_time", SYMPY, "trainer.max_time"),
    ("trainer/another", 1, "trainer.another"),
    ("trainer", "trainer.yaml", "trainer is 'trainer.yaml'"),
    ("model", "model.yaml", "model is 'model.yaml'"),
    ("model", f"{PAYLOAD}.Thing", "model is"),
    ("model", "{class_path: sympy.Poly}", "model is"),
    ("model/class_path", f"{PAYLOAD}.Thing", "model.class_path"),
    ("model/class_path", "spx.training.Unknown", "model.class_path"),
    ("model/init_args", "arguments.yaml", "model.init_args"),
    ("model/init_args/width", SYMPY, "model.init_args.width"),
    ("model/init_args/unknown", 1, "model.init_args.unknown"),
    ("model/dict_kwargs", {"width": SYMPY}, "model is"),
    ("data/init_args/k", [{"class_path": "sympy.Poly"}], "data.init_args.k"),
    ("data/init_args/metric", SYMPY, "data.init_args.metric"),
    ("data", "data.yaml", "data is 'data.yaml'"),
    ("checkpoint", "checkpoint.yaml", "checkpoint is"),
    ("checkpoint/monitor", SYMPY, "checkpoint.monitor"),
    ("attention/top_k", [SYMPY], "attention.top_k"),
    ("handover", {"class_path": f"{PAYLOAD}.Thing"}, "handover.class_path"),
    ("name", SYMPY, "name is"),
    ("config", "other.yaml", "config is no setting"),
    ("fit", {"model": SYMPY}, "fit is no setting"),
    ("trainer.logger", f"{PAYLOAD}.Thing", "trainer.logger is no setting"),
    ("trainer.callbacks+", callback("sympy.Poly"), r"trainer.callbacks\+ is no setting"),
    ("optimizer", SYMPY, "optimizer is no setting"),
    ("weights_only", False, "weights_only"),
    ("ckpt_path", "http://elsewhere/last.ckpt", "ckpt_path"),
]


@every_day(("place", "value", "words"), CODE, 20)
def test_what_could_run_code_is_refused_by_its_name(run: Path, capsys, place: str, value: Any, words: str) -> None:
    write(run, changed(place, value))
    for name in ("model", "data", "trainer", "checkpoint", "callbacks", "strategy", "arguments"):
        Path(f"{name}.yaml").write_text(f"class_path: {PAYLOAD}.Thing\n")
    with pytest.raises(ConfigError, match=words):
        check_saved(run)
    with pytest.raises(SystemExit) as caught:
        main(["resume", str(run)])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "is your own code: spx fit --config" in message
    assert len(message.splitlines()) == 1
    assert PAYLOAD not in sys.modules
    assert not Path("executed").exists()


OUTSIDE = [
    ("handover/path", "/tmp/other.safetensors"),
    ("handover/path", "other.safetensors"),
    ("handover/path", "runs/toy/wide/version_0/../version_1/scores.safetensors"),
    ("handover/path", "file:///tmp/other"),
    ("handover/path", "~/other"),
    ("checkpoint/dirpath", "/tmp"),
    ("predictions/path", "../predictions.csv"),
    ("trainer/default_root_dir", "/tmp"),
    ("trainer/logger", {"class_path": CSV, "init_args": {"save_dir": "RUN", "name": "../../../../x"}}),
    ("trainer/logger", {"class_path": CSV, "init_args": {"save_dir": "RUN", "name": "/tmp"}}),
    ("trainer/logger", {"class_path": CSV, "init_args": {"save_dir": "RUN", "version": "../x"}}),
    (
        "trainer/logger",
        {
            "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
            "init_args": {"save_dir": "RUN", "sub_dir": ".."},
        },
    ),
    (
        "trainer/logger",
        {"class_path": "lightning.pytorch.loggers.MLFlowLogger", "init_args": {"tracking_uri": "http://elsewhere"}},
    ),
    ("trainer/logger", {"class_path": "lightning.pytorch.loggers.CometLogger", "init_args": {"api_key": "theirs"}}),
    (
        "trainer/profiler",
        {"class_path": PROFILER, "init_args": {"dirpath": "/tmp"}},
    ),
    (
        "trainer/profiler",
        {"class_path": PROFILER, "init_args": {"filename": "../../x"}},
    ),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", dirpath="/tmp")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", filename="../../../x")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", filename="/tmp/x")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", filename="{epoch:/>9}")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", filename="{../../x}")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.OnExceptionCheckpoint", dirpath="..")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.SpikeDetection", exclude_batches_path="/tmp/x")),
    ("data/init_args/dataset", "cora"),
    ("data/init_args/dataset", "/elsewhere/graph.npz"),
]


@pytest.mark.parametrize(("place", "value"), OUTSIDE)
def test_what_a_resumed_run_writes_stays_inside(run: Path, place: str, value: Any) -> None:
    settings = changed(place, value)
    write(run, yaml.safe_dump(settings).replace("RUN", str(run)))
    with pytest.raises(ConfigError, match=place.split("/")[0]):
        check_saved(run)


def test_a_link_that_leads_out_of_the_folder_is_not_written_through(run: Path, tmp_path: Path) -> None:
    write(run, SAVED)
    (run / "inside").mkdir()
    (run / "to-inside").symlink_to("inside")
    check_saved(run)
    (run / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=r"checkpoints is a symbolic link to .*outside"):
        check_saved(run)
    (run / "checkpoints").unlink()
    write(run, changed("handover/path", str(run / "inside/link/scores")))
    (run / "inside/link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"handover.path|symbolic link"):
        check_saved(run)


def test_a_file_that_is_called_like_a_value_is_not_read_in_its_place(run: Path) -> None:
    write(run, SAVED)
    Path("auto").write_text(f"class_path: {PAYLOAD}.Thing\n")
    with pytest.raises(ConfigError, match=r"'auto', which is also a file in this folder"):
        check_saved(run)


PLAIN = [
    ("trainer/callbacks", callback(LAMBDA, on_fit_start=None)),
    ("trainer/callbacks", {"class_path": "spx.training.callbacks.EarlyEnd", "init_args": {"patience": 5}}),
    ("trainer/callbacks", callback("spx.training.callbacks.WeightAverage")),
    ("trainer/callbacks", [{"class_path": "lightning.pytorch.callbacks.DeviceStatsMonitor"}]),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", filename="{epoch:02d}-{val/f1:.3f}")),
    ("trainer/callbacks", callback("lightning.pytorch.callbacks.ModelCheckpoint", dirpath="RUN/more", filename="a/b")),
    (
        "trainer/callbacks",
        callback(AVERAGING, swa_lrs=[0.1], device="cpu"),
    ),
    ("trainer/logger", False),
    ("trainer/logger", {"class_path": CSV, "init_args": {"save_dir": "elsewhere"}}),  # brought inside later
    ("trainer/logger", {"class_path": CSV, "init_args": {"save_dir": "RUN", "version": 3, "prefix": "a"}}),
    ("trainer/logger", [{"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"save_dir": "."}}]),
    ("trainer/profiler", "simple"),
    ("trainer/profiler", {"class_path": PROFILER, "init_args": {"filename": "a"}}),
    ("trainer/strategy", "ddp"),
    ("trainer/accelerator", "cpu"),
    ("trainer/devices", [0, 1]),
    ("trainer/precision", "bf16-mixed"),
    ("trainer/default_root_dir", "RUN"),
    ("checkpoint/dirpath", "RUN/checkpoints"),
    ("handover/path", "runs/toy/wide/version_0/scores.safetensors"),
    ("model/class_path", "spx.training.wide.Spexphormer"),
    ("data/init_args/dataset", "/elsewhere/toy.npz"),
    ("seed_everything", True),
]


@pytest.mark.parametrize(("place", "value"), PLAIN)
def test_plain_settings_are_taken(run: Path, place: str, value: Any) -> None:
    write(run, yaml.safe_dump(changed(place, value)).replace("RUN", str(run)))
    check_saved(run)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["v0: &v0 [x, x]", *(f"v{n}: &v{n} [*v{n - 1}, *v{n - 1}, *v{n - 1}]" for n in range(1, 30))]),
        "a: &a [*a]",
        "[1, 2]",
        "",
        "{",
        "!!python/object/apply:os.system ['touch executed']",
        "[" * 700,
        "\xff",
    ],
)
def test_a_damaged_or_boundless_configuration_is_refused(run: Path, text: str) -> None:
    (run / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml|mapping|levels"):
        check_saved(run)
    assert not Path("executed").exists()
