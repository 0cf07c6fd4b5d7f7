"""Pictures of how well the estimators choose edges. Each function takes the tables and gives a figure, or None."""

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.choice_tables import PREDICTED_SLOPE
from spx.score_study.pictures import style
from spx.score_study.pictures.style import depth_of
from spx.score_study.tables import Tables


def mass_kept(tables: Tables) -> Figure | None:
    """The wide network's attention on K sampled edges of a node, by sampler."""
    if "mass_kept" not in tables:
        return None
    return _by_k(tables["mass_kept"], "mass", 100, "attention kept, %", log=False)


def output_error(tables: Tables) -> Figure | None:
    """The error of a layer's output on K sampled edges of a node, with the predicted slope."""
    if "output_error" not in tables:
        return None
    return _by_k(tables["output_error"], "error", 1, "relative error of the output", log=True)


def error_by_width(tables: Tables) -> Figure | None:
    """The error of a layer's output against the estimator's width, scores replaced and sampled; the predicted slope."""
    if "output_error" not in tables:
        return None
    replaced, sampled = tables["replaced_error"], tables["output_error"].filter(pl.col("sampler") == "attention")
    widths = sorted(set(sampled["width"]))
    if len(widths) < 2:
        return None
    ks = sorted(set(sampled["k"]))
    k = 4 if 4 in ks else ks[len(ks) // 2]
    sampled = sampled.filter(pl.col("k") == k)
    depth = depth_of(sampled)
    figure, axes = style.panels(1, depth, sharey=True)
    for layer, axis in enumerate(axes[0], start=1):
        of_layer = replaced.filter(pl.col("layer") == layer)
        for table, colour, marker, label in (
            (of_layer.filter(pl.col("sampler") == "attention"), style.BLUE, "o", "all edges, the estimator's scores"),
            (sampled.filter(pl.col("layer") == layer), style.ORANGE, "^", f"{k} edges drawn by the estimator's scores"),
        ):
            means = style.spread(table, "width", "error")
            axis.errorbar(
                means["width"], means["mean"], means["std"], fmt=f"{marker}-", color=colour, capsize=2, label=label
            )
        projected = tables["projected_error"].filter(pl.col("layer") == layer)
        means = style.spread(projected, "width", "error")
        axis.plot(
            *(means["width"], means["mean"], "s-"),
            color=style.GREEN,
            label="all edges, own scores projected to the width",
        )
        uniform = of_layer.filter(pl.col("sampler") == "uniform")["error"].mean()
        axis.axhline(uniform, color=style.GREY, ls="--", lw=1, label="all edges, uniform scores")
        line = [means["mean"][0] * (width / widths[0]) ** PREDICTED_SLOPE for width in widths]
        axis.plot(widths, line, ":", color="black", label="predicted slope: width$^{-1/2}$")
        axis.set_yscale("log")
        style.log2_axis(axis, widths, "estimator's width")
        axis.set_title(f"layer {layer}")
    axes[0][0].set_ylabel("relative error of the output")
    style.plain_log_ticks(figure)
    style.legend_above(figure)
    return figure


def _by_k(table: pl.DataFrame, column: str, scale: float, label: str, log: bool) -> Figure:
    """A panel for each layer, K across; the narrowest and the widest estimator, the other samplers, their spread."""
    depth, widths = depth_of(table), sorted(set(table["width"]) - {0})
    ks = sorted(set(table["k"]))
    figure, axes = style.panels(1, depth, 2.5, sharey=True)
    for layer, axis in enumerate(axes[0], start=1):
        here = table.filter((pl.col("layer") == layer) & (pl.col(column).is_finite()))
        for sampler, (colour, marker) in style.SAMPLER_STYLES.items():
            asked = (
                {0: "-"}
                if sampler in ("own", "uniform")
                else dict(zip((widths[0], widths[-1]), ("-", "--"), strict=True))
            )
            for width, line in asked.items():
                part = here.filter((pl.col("sampler") == sampler) & (pl.col("width") == width))
                means = style.spread(part.filter(pl.col(column) > 0) if log else part, "k", column)
                axis.plot(
                    means["k"],
                    scale * means["mean"],
                    marker=marker,
                    ls=line,
                    color=colour,
                    label=style.SAMPLER_NAMES[sampler] + (f", width {width}" if width else ""),
                )
        style.log2_axis(axis, ks, "K, edges a node")
        axis.set_title(f"layer {layer}")
        if log:
            axis.set_yscale("log")
            by_theory = here.filter(pl.col("sampler") == "own")
            means = style.spread(by_theory, "k", "expected")
            axis.plot(
                means["k"], means["mean"], ":", color="black", label="the theory's estimator, own scores: $K^{-1/2}$"
            )
        else:
            axis.set_ylim(0, 104)
    axes[0][0].set_ylabel(label)
    if log:
        style.plain_log_ticks(figure)
    style.legend_above(figure)
    return figure
