"""The study's numbers and pictures in TensorBoard.

Scalars, whose step is a width or K: `distance_to_widest/<graph>/layer_l` (widths; at the widest from seed to seed),
`rank_agreement/<graph>/layer_l`, `entropy/<graph>/layer_l`, `share_of_graph_edges/<graph>/layer_l` (widths),
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
            writer.add_image(
                _tag(PICTURES[name].claim or "structure", name), imread(file)[..., :3], 0, dataformats="HWC"
            )
        lines = [f"**{claim.title}** ({claim.graph}): *{claim.verdict}*. {claim.text}" for claim in claims]
        writer.add_text("claims", "\n\n".join(lines), 0)


def scalars(tables: Tables) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value of every curve."""
    widest = tables["baselines"]["width"].max()
    for name, table in (("distance_to_widest", "distances"), ("rank_agreement", "ranks")):
        if table in tables:
            yield from _curves(name, tables[table].filter(pl.col("other_width") == widest), "graph", "width", "value")
    yield from _curves("entropy", tables["entropy"], "graph", "width", "mean")
    shares = tables["shares"].filter((pl.col("class") == ALL) & (pl.col("edge_type") == "graph"))
    yield from _curves("share_of_graph_edges", shares, "graph", "width", "share")
    topk = tables["topk"].filter((pl.col("degrees") == ALL) & (pl.col("width") == widest))
    yield from _curves("top_k_mass", topk, "graph", "k", "mass")
    for name, column in (("mass_kept", "mass"), ("output_error", "error")):
        if name in tables:
            yield from _curves(name, tables[name], "sampler", "k", column)


def _curves(name: str, table: pl.DataFrame, by: str, step: str, value: str) -> Iterator[tuple[str, int, float]]:
    means = table.drop_nans(value).group_by(by, "layer", step).agg(pl.col(value).mean()).sort(by, "layer", step)
    for group, layer, at, mean in means.select(by, "layer", step, value).iter_rows():
        yield _tag(name, group, f"layer_{layer}"), at, mean


def _tag(*parts: str) -> str:
    return "/".join(re.sub(r"[^\w.-]+", "_", part) for part in parts)
