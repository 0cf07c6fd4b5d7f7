"""The next epoch's draw, made in a thread while this one trains."""

import threading
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest

from spx.data import ResampledGraphData
from spx.data.ahead import DrawAhead
from spx.data.core_nodes import Tables
from spx.training import Spexphormer

Make = Callable[..., ResampledGraphData]


class Recorded(ResampledGraphData):
    """Notes which draws were made in which thread."""

    def draw(self, number: int, lazily: list[bool] = ()) -> Tables:
        self.drawn = [*getattr(self, "drawn", []), (number, threading.current_thread().name.rstrip("_0"))]
        return super().draw(number, lazily)


def fit(data: ResampledGraphData, epochs: int, folder: Path, *callbacks: L.Callback) -> None:
    model = Spexphormer(4, 2, 1, num_features=5, num_outputs=3, task="multiclass", metric="accuracy")
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[*callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
    )
    trainer.fit(model, datamodule=data)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(0, "MainThread"), (-1, "MainThread"), (1, "draw"), (2, "draw"), (3, "draw")]),
        ({"resample_every": 2}, [(0, "MainThread"), (-1, "MainThread"), (1, "draw")]),
        pytest.param(
            {"num_workers": 1, "batch_size": 20},
            [(number, "MainThread") for number in (0, -1, 1, 2, 3)],
            marks=pytest.mark.full,
        ),
    ],
)
def test_each_draw_is_made_once_and_all_but_the_first_ahead(
    make: Make, tmp_path: Path, settings: dict, expected: list[tuple[int, str]]
) -> None:
    data = Recorded("toy", **{"k": [2, 3], "scores": make().scores_path, **settings})
    fit(data, 4, tmp_path)
    assert sorted(data.drawn) == sorted(expected), "none for an epoch that doesn't come, none beside a fork"


def test_an_error_of_a_draw_made_ahead_reaches_the_fit(make: Make, tmp_path: Path) -> None:
    class Breaks(ResampledGraphData):
        def draw(self, number: int, lazily: list[bool] = ()) -> Tables:
            if number == 2:
                raise ZeroDivisionError("broken")
            return super().draw(number, lazily)

    with pytest.raises(ZeroDivisionError, match="broken"):
        fit(Breaks("toy", k=[2, 3], scores=make().scores_path), 4, tmp_path)


def test_a_draw_that_was_begun_is_waited_for_and_another_is_not_taken_for_it() -> None:
    ahead, go = DrawAhead(), threading.Event()
    tables: Tables = ()

    def slowly() -> Tables:
        go.wait(10)
        return tables

    ahead.start(3, slowly)
    ahead.start(3, lambda: pytest.fail("it was begun already"))
    threading.Timer(0.05, go.set).start()
    assert ahead.take(3) is tables
    assert ahead.take(3) is None, "it is given once"
    ahead.start(4, slowly)
    assert ahead.take(5) is None
    ahead.start(6, slowly)
    ahead.stop()
    assert ahead.take(6) is None
