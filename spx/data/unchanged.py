"""Whether the data at hand are those that a checkpoint or a score file was made from, and in words what changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_warn

from spx.datasets import changed_columns, changed_parts, has_other_nodes, what_changed
from spx.datasets.own.schema import Schema
from spx.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from spx.data.graph_data import GraphData

OF_FIGURES = frozenset({"nodes", "labels", "classes", "split", "edges, labels or split", "format"})
"""Parts without which a figure may be one of nodes that were trained on."""
OF_GRAPH = OF_FIGURES | {"edges", "weights"}


class Changes(NamedTuple):
    """What is other than recorded: the parts (`spx.datasets.changed_parts`), and a clause that says so."""

    parts: frozenset[str]
    text: str


def changes_since(state: Mapping[str, Any], data: "GraphData") -> Changes:
    """What changed since the state was taken (`GraphData.state_dict`, or a record with a fingerprint)."""
    fingerprint, dataset = state.get("fingerprint"), data.dataset
    parts: tuple[str, ...] = ()
    if fingerprint is not None and has_other_nodes(str(fingerprint), dataset):
        parts = ("nodes",)  # then there is no need to read all the rest
    elif fingerprint is not None:
        parts = changed_parts(str(fingerprint), data.data_fingerprint, dataset)
    columns = changed_columns(state.get("feature_names"), dataset.feature_names)
    if columns is not None:
        parts = (*(part for part in parts if part not in ("columns", "features", "written")), "columns")
    text = what_changed(parts)
    return Changes(frozenset(parts), text if columns is None else f"{text} ({columns})")


def data_state(checkpoint: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class and state of the DataModule that a checkpoint's network was trained on; "" and nothing in older ones."""
    for name, value in checkpoint.items():
        if isinstance(value, dict) and _is_state(value):
            return name, value
    return "", {}


def _is_state(value: dict) -> bool:
    """Whether it has the types of a state of `GraphData`: a checkpoint is a file like others."""
    texts = [value.get(name) for name in ("dataset", "fingerprint", "cwd")]
    optional = ("scores_path", "scores_fingerprint", "feature_store")
    maybe = [value[name] for name in optional if value.get(name) is not None]
    lists = [value[name] for name in ("feature_names", "class_names") if value.get(name) is not None]
    return (
        isinstance(value.get("settings"), dict)
        and isinstance(value.get("schema"), dict | None)
        and all(isinstance(text, str) for text in (*texts, *maybe))
        and all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
    )


def read_as_trained(state: Mapping[str, Any], data: "GraphData") -> None:
    """Have a user's table read and scaled as it was when the state was taken; none is of an older version."""
    if state.get("schema") is not None:
        data.use_schema(state["schema"])
    elif "schema" not in state:
        data.leave_unscaled()


def check_checkpoint(checkpoint: Mapping[str, Any], data: "GraphData", stage: str) -> None:
    """Make sure that a checkpoint may be gone on from, or judged, on these data.

    A fit goes on with the same data and seeds alone. A test on the same graph is refused if its labels or split
    changed, since nodes that were trained on may be among the judged; on another graph a warning says so.

    Args:
        checkpoint: its content.
        data: at hand.
        stage: "fit", "validate", "test" or "predict".

    Raises:
        ConfigError: a fit that goes on has other settings.
        ArtifactError: the data changed.
    """
    _, then = data_state(checkpoint)
    if stage == "fit":
        _check_settings(then.get("settings", {}), data)
        _check_scales(then, data)
    else:
        read_as_trained(then, data)
    changes = changes_since(then, data)
    if not changes.parts:
        return
    if stage == "fit":
        raise ArtifactError(
            f"The data changed since the run began: {changes.text}. Restore them, or start anew: a run that goes on "
            "with other data could have seen its test labels."
        )
    if "columns" in changes.parts:
        raise ArtifactError(
            f"The network was trained on other data: {changes.text}. Give it the same feature columns in the same "
            "order."
        )
    if changes.parts & (OF_GRAPH if stage == "predict" else OF_FIGURES) and not _is_another_graph(then, changes, data):
        why = "" if stage == "predict" else "; nodes that it was trained on may be among those that would be judged"
        raise ArtifactError(f"The data changed since the network was trained: {changes.text}{why}. Restore them.")
    rank_zero_warn(f"The network was trained on other data ({then.get('dataset')}): {changes.text}.")


def _check_settings(then: Mapping[str, Any], data: "GraphData") -> None:
    now = data.method_settings
    differences = [
        f"{name} is {now[name]} here and {then[name]} there" for name in now if name in then and now[name] != then[name]
    ]
    if differences:
        raise ConfigError(
            f"The checkpoint was made with other settings of the data: {'; '.join(differences)}. Give those that it "
            "was made with (data.seed is seed_everything on the command line), or start anew."
        )


def _check_scales(then: Mapping[str, Any], data: "GraphData") -> None:
    """Refuse to go on with numbers of a table that are scaled in another way; older versions didn't scale."""
    if data.dataset.schema is None:
        return
    scalings = [
        {column.scaling for column in Schema.from_json(schema).columns} - {"none"} if schema else set()
        for schema in (then.get("schema"), data.dataset.schema)
    ]
    if scalings[0] != scalings[1]:
        raise ConfigError(
            "The checkpoint was made with other scales of the table's numbers. Give --data.scaling "
            f"{next(iter(scalings[0]), 'none')}, or start anew."
        )


def _is_another_graph(then: Mapping[str, Any], changes: Changes, data: "GraphData") -> bool:
    """Of another name, and with nothing in common."""
    other = {"edges", "labels", "features"} <= changes.parts or "nodes" in changes.parts
    return other and then.get("dataset") != data.dataset_name
