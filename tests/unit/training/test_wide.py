"""Settings of the networks that are trained for their predictions."""

from pathlib import Path

import pytest
import torch

from spx.errors import ConfigError
from spx.training import Spexphormer

from .conftest import augmented, train, wide


def test_settings_reach_the_network() -> None:
    model = wide(
        width=6,
        num_layers=3,
        num_heads=3,
        num_pre_layers=2,
        num_post_layers=2,
        norm="graph",
        dropout=0.4,
        unit_rows=False,
    )
    assert model.num_layers == 3
    assert [layer.attention.num_heads for layer in model.network.layers] == [3, 3, 3]
    assert len(model.network.pre) == 2
    assert not model.network.pre[0].unit_rows
    assert len(model.network.head) == 2
    assert model.network.layers[0].dropout.p == 0.4
    assert type(model.network.layers[0].norm1).__name__ == "GraphNorm"
    assert all(layer.attention.value_scale is None for layer in model.network.layers)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in model.network.parameters())


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="num_heads is 3, which doesn't divide width 8"):
        wide(width=8, num_heads=3)


def test_a_checkpoint_brings_its_settings_and_holds_no_pickled_objects(tmp_path: Path) -> None:
    run = train(tmp_path, wide(width=12, dropout=0.3), augmented(), epochs=1)
    path = run.folder / "checkpoints" / "last.ckpt"
    assert torch.load(path, weights_only=True)["hyper_parameters"]["width"] == 12
    again = Spexphormer.load_from_checkpoint(path)
    assert again.hparams == run.model.hparams
    assert all(map(torch.equal, again.state_dict().values(), run.model.state_dict().values()))


def test_the_wide_network_on_the_augmented_graph_is_an_exphormer(tmp_path: Path) -> None:
    run = train(tmp_path, wide(), augmented(), epochs=2)
    assert run.trainer.callback_metrics["train/loss"].isfinite()
    assert not list(tmp_path.rglob("*.safetensors")), "it hands no scores over"
