"""Arguments of `spx tune` that go to each trial's `spx fit`, such as --data.undirected true."""

import itertools
from collections.abc import Iterator, Sequence

from spx.errors import ConfigError

OF_FIT = ("--data.", "--model.", "--trainer.")
"""How they begin."""
SET_BY_TUNE = ("data.k", "data.seed", "data.split", "data.protocol", "data.dataset", "data.data_dir", "data.scores")
SET_BY_TUNE += ("data.hide_test", "data.runs_dir", "trainer.max_epochs", "trainer.callbacks")
STAGE_2 = ("sampler", "graph_first", "resample_every", "batch_size", "eval_batch_size", "eval_samples", "num_workers")
STAGE_2 += ("feature_store",)
"""Settings of the data that the estimator's don't have."""


def split_arguments(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """What is `spx tune`'s own, and what is each trial's: `--data.NAME value`, `--data.NAME=value` and the like."""
    own: list[str] = []
    of_fit: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith(OF_FIT):
            own.append(word)
            continue
        of_fit.append(word)
        if "=" not in word and waiting and not waiting[0].startswith("--"):
            of_fit.append(waiting.pop(0))
    return own, tuple(of_fit)


def check_settings(of_fit: Sequence[str], searched: Sequence[str]) -> None:
    """Refuse what would go against the values that a trial is given.

    Args:
        of_fit: from `split_arguments`.
        searched: names of the parameters.

    Raises:
        ConfigError: there is one.
    """
    for name, _ in _settings(of_fit):
        if name in searched:
            raise ConfigError(f"--{name} can't be given: it is searched. Take {name} out of the kind's file for that.")
        if name in SET_BY_TUNE:
            raise ConfigError(f"--{name} can't be given: spx tune sets {name} itself.")


def of_estimator(of_fit: Sequence[str]) -> tuple[str, ...]:
    """What of them stage 1 is given: settings of the data that it knows, and of the Trainer."""
    alien = {f"data.{name}" for name in STAGE_2}
    settings = [words for name, words in _settings(of_fit) if not name.startswith("model.") and name not in alien]
    return tuple(word for words in settings for word in words)


def _settings(of_fit: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Name and words of each."""
    starts = [place for place, word in enumerate(of_fit) if word.startswith(OF_FIT)]
    for start, stop in itertools.pairwise([*starts, len(of_fit)]):
        name = of_fit[start].partition("=")[0].removeprefix("--")
        yield name.replace(".init_args", ""), list(of_fit[start:stop])
