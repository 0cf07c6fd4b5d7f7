"""The study's numbers and pictures in TensorBoard.

Scalars, whose step is a width or K: `agreement_with_widest/<graph>/layer_l` and `distance_to_widest/<graph>/layer_l`
(widths; at the widest from seed to seed), `entropy/<graph>/layer_l`, `untrained_entropy/<graph>/layer_l`,
`share_of_graph_edges/<graph>/layer_l` (widths),
`top_k_mass/<graph>/layer_l`, `mass_kept/<sampler>/layer_l`, `output_error/<sampler>/layer_l` (K), and
`claims/<claim>/<graph>/<quantity>`. Figures: `<claim>/<picture>`. Text: `claims`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from matplotlib.image import imread
from torch.utils.tensorboard import SummaryWriter

from spx.score_study.claims import Claim
from spx.score_study.pictures import PICTURES
from spx.score_study.tables import ALL, Tables

EVENTS = "events.out.tfevents.*"


def write_board(folder: Path, tables: Tables, claims: list[Claim], pictures: dict[str, Path]) -> None:
    """Write the folder's event file anew.

    Args:
        folder: of the report.
        tables: of all measures.
        claims: with their numbers.
        pictures: PNG files by their name in `PICTURES`.
    """
    for old in folder.glob(EVENTS):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for tag, step, value in scalars(tables):
            writer.add_scalar(tag, value, step)
        for claim in claims:
            for name, value in claim.numbers.items():
                writer.add_scalar(_tag("claims", claim.key, claim.graph, name), value, 0)
        for name, file in pictures.items():
            tag = _tag(PICTURES[name].claim or "structure", name)
            writer.add_image(tag, imread(file)[..., :3], 0, dataformats="HWC")
        lines = [f"**{claim.title}** ({claim.graph}): *{claim.verdict}*. {claim.text}" for claim in claims]
        writer.add_text("claims", "\n\n".join(lines), 0)


def scalars(tables: Tables) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value of every curve: means over seeds, or pairs of networks."""
    widest = tables["baselines"]["width"].max()
    for name, table, by, step, value, where in (
        ("distance_to_widest", "distances", "graph", "width", "value", {"other_width": widest}),
        ("agreement_with_widest", "distances", "graph", "width", "agreement", {"other_width": widest}),
        ("entropy", "entropy", "graph", "width", "mean", {}),
        ("untrained_entropy", "untrained", "graph", "width", "mean", {}),
        ("share_of_graph_edges", "shares", "graph", "width", "share", {"class": ALL, "edge_type": "graph"}),
        ("top_k_mass", "topk", "graph", "k", "mass", {"degrees": ALL, "width": widest}),
        ("mass_kept", "mass_kept", "sampler", "k", "mass", {}),
        ("output_error", "output_error", "sampler", "k", "error", {}),
    ):
        if table in tables:
            rows = tables[table].filter(**where).drop_nans(value)
            means = rows.group_by(by, "layer", step).agg(pl.col(value).mean()).sort(by, "layer", step)
            for group, layer, at, mean in means.select(by, "layer", step, value).iter_rows():
                yield _tag(name, group, f"layer_{layer}"), at, mean


def _tag(*parts: str) -> str:
    return "/".join(re.sub(r"[^\w.-]+", "_", part) for part in parts)
