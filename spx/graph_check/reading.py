"""The graph that is checked, read as `spx fit` reads it, but without Lightning, which takes longer than most graphs."""

import dataclasses
from typing import Any, NamedTuple

from spx.dataset_names import run_name
from spx.datasets import NodeDataset, OwnSettings, load_dataset
from spx.errors import ConfigError
from spx.graph.expander import EXPANDER_DEGREE


class CheckedGraph(NamedTuple):
    """A dataset with what `--extra` says of it.

    Args:
        dataset: as loaded.
        source, name: of it, as `GraphData` has them.
        expander_degree: D.
    """

    dataset: NodeDataset
    source: str
    name: str
    expander_degree: int


def read_graph(source: str, data_dir: str, extra: list[str]) -> CheckedGraph:
    """Read the graph.

    Args:
        source: name or path.
        data_dir: folder of the published datasets.
        extra: arguments of `spx fit` that begin with `--data.`; those that don't change how a graph is read are left
            out.

    Raises:
        ConfigError: an unknown argument, or a value that it can't have.
        DatasetError: the graph can't be read.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="spx check", exit_on_error=False)
    parser.add_class_arguments(OwnSettings, "data.own")
    parser.add_argument("--data.own.protocol", type=str, default="public")
    parser.add_argument("--data.own.split", type=int, default=0)
    parser.add_argument("--data.own.expander_degree", type=int, default=EXPANDER_DEGREE)
    fields = {field.name: field for field in dataclasses.fields(OwnSettings)}
    known = {*fields, "protocol", "split", "expander_degree"}
    words = [f"--data.own.{name}={value}" for name, value in _pairs(extra) if name in known]
    _check_others([name for name, _ in _pairs(extra) if name not in known])
    try:
        given = vars(parser.parse_args(words).data.own)
    except Exception as error:
        raise ConfigError(
            f"--extra can't be used: {str(error).replace('data.own.', 'data.').splitlines()[0]}"
        ) from error
    own = OwnSettings(**{name: _as_field(given[name], fields[name].default) for name in fields})
    dataset = load_dataset(source, data_dir, given["protocol"], given["split"], own)
    return CheckedGraph(dataset, source, run_name(source), given["expander_degree"])


def _as_field(value: Any, default: Any) -> Any:
    """Lists are tuples in settings; null is the default of what can't be null."""
    if value is None:
        return default
    return tuple(value) if isinstance(default, tuple) else value


def _pairs(extra: list[str]) -> list[tuple[str, str]]:
    """Names without `--data.` and values, of `--data.name=value` and of `--data.name value`."""
    pairs = []
    for word, following in zip(extra, [*extra[1:], ""], strict=False):
        if word.startswith("--data."):
            name, equals, value = word.removeprefix("--data.").partition("=")
            pairs.append((name, value if equals else following))
    return pairs


def _check_others(names: list[str]) -> None:
    """Refuse settings that no data have; Lightning, which knows them all, is imported where there is need alone."""
    if not names:
        return
    from difflib import get_close_matches

    from spx.data import ResampledGraphData
    from spx.signatures import parameters_of

    known = parameters_of(ResampledGraphData)
    for name in names:
        if name.split(".")[0] not in known:
            close = get_close_matches(name, list(known), n=1)
            hint = f" Did you mean --data.{close[0]}?" if close else ""
            raise ConfigError(f"--extra can't be used: there is no setting --data.{name}.{hint}")
