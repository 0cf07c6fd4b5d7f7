"""Whether stage 1 is worth its time on a graph: what `spx check` says of it (docs/results.md, "Does stage 1 pay?")."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spx.experiments.plan import ESTIMATOR, WIDE

if TYPE_CHECKING:
    from spx.graph_check.trial import StageEstimate

OVERLAY = "graph-first"
"""Of the same study without stage 1."""


def stage_one_advice(source: str, mean_degree: float, k: Sequence[int], arguments: Sequence[str] = ()) -> str:
    """What there is for scores to choose, and the two commands that tell what they are worth.

    Args:
        source: name or path of the graph, as it was given.
        mean_degree: of the dataset's own edges.
        k: sampled degree of each layer.
        arguments: of the data, as `spx fit` takes them.
    """
    extra = f" --extra={shlex.quote(shlex.join(arguments))}" if arguments else ""
    study = f"spx study {shlex.quote(source)}{extra}"
    most = max(k)
    room = "at most as many as" if mean_degree <= most else "more than"
    return (
        f"Stage 1: a node has {mean_degree:,.1f} edges in the mean, {room} the {most:,} that a layer draws. Whether it "
        f"pays, two studies tell (docs/results.md): `{study} --overlay {OVERLAY}`, without it, and `{study}`."
    )


def time_of_stage_one(stages: "Sequence[StageEstimate]") -> str:
    """What stage 1 takes of a run, by the trials."""
    seconds = {stage.stage: stage.seconds for stage in stages}
    share = seconds[ESTIMATOR] / max(1e-9, seconds[ESTIMATOR] + seconds[WIDE])
    return f"Stage 1 takes {share:.0%} of the time of both, which `--overlay {OVERLAY}` saves."
