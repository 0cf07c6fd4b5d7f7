"""Pictures of the distances between networks and between layers.

Each function takes the tables and gives a figure, or None without data.
"""

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.pictures import style
from spx.score_study.pictures.style import depth_of, graphs_of, spread
from spx.score_study.tables import Tables


def distance_by_width(tables: Tables) -> Figure | None:
    """Distance to the widest networks against width, a panel for each graph and layer."""
    if "distances" not in tables:
        return None
    distances, baselines = tables["distances"], tables["baselines"]
    graphs, depth = graphs_of(tables), depth_of(distances)
    widest = int(baselines["width"].max())
    if baselines["width"].n_unique() < 2:
        return None
    figure, axes = style.panels(len(graphs), depth, sharex=True, sharey="row")
    for row, graph in enumerate(graphs):
        for column in range(depth):
            axis, here = axes[row][column], (pl.col("graph") == graph) & (pl.col("layer") == column + 1)
            pairs = distances.filter(here & (pl.col("other_width") == widest))
            means = spread(pairs.filter(pl.col("width") < widest), "width")
            axis.errorbar(
                means["width"],
                means["mean"],
                means["std"],
                fmt="o-",
                color=style.BLUE,
                capsize=2,
                label=f"to networks of width {widest} (mean, std over pairs)",
            )
            floor = spread(pairs.filter(pl.col("width") == widest), "width")
            if not floor.is_empty():
                axis.errorbar([widest], floor["mean"], floor["std"], fmt="s", color="black", capsize=2)
                axis.axhline(floor["mean"][0], color="black", lw=1, label=f"two seeds of width {widest}")
            for name, (colour, line) in style.BASELINE_STYLES.items():
                value = baselines.filter(here & (pl.col("width") == widest) & (pl.col("baseline") == name))[
                    "value"
                ].mean()
                axis.axhline(value, color=colour, ls=line, label=style.BASELINE_NAMES[name])
            style.log2_axis(axis, [*means["width"], widest], "width" if row == len(graphs) - 1 else "")
            axis.set_title(f"layer {column + 1}")
        axes[row][0].set_ylabel(f"{style.graph_name(graph)}\nenergy distance")
        axes[row][0].set_ylim(bottom=0)
    style.legend_above(figure)
    return figure


def distance_matrix(tables: Tables) -> Figure | None:
    """Distances between widths, mean over layers and pairs; the diagonal is from seed to seed."""
    if "distances" not in tables:
        return None
    graphs, widths = graphs_of(tables), sorted(set(tables["baselines"]["width"]))
    figure, axes = style.panels(1, len(graphs), 2.4)
    means = tables["distances"].group_by("graph", "width", "other_width").agg(pl.col("value").mean())
    high = float(means["value"].max())
    for axis, graph in zip(axes[0], graphs, strict=True):
        found = {(w, o): v for g, w, o, v in means.iter_rows() if g == graph}
        values = [[found.get((min(a, b), max(a, b)), float("nan")) for b in widths] for a in widths]
        image = style.annotated(axis, values, [str(width) for width in widths], 0, high, "{:.3f}")
        axis.set_title(style.graph_name(graph))
        axis.set_xlabel("width")
    axes[0][0].set_ylabel("width")
    figure.colorbar(image, ax=axes[0].tolist(), label="energy distance", shrink=0.85)
    return figure


def rank_agreement(tables: Tables) -> Figure | None:
    """Rank agreement with the widest networks' scores against width."""
    if "ranks" not in tables or tables["baselines"]["width"].n_unique() < 2:
        return None
    ranks, graphs, depth = tables["ranks"], graphs_of(tables), depth_of(tables["ranks"])
    widest, colours = int(tables["baselines"]["width"].max()), style.ordered_colours(depth)
    figure, axes = style.panels(1, len(graphs), sharey=True)
    for axis, graph in zip(axes[0], graphs, strict=True):
        for layer in range(1, depth + 1):
            pairs = ranks.filter(
                (pl.col("graph") == graph) & (pl.col("layer") == layer) & (pl.col("other_width") == widest)
            )
            means = spread(pairs.drop_nans("value"), "width")
            axis.errorbar(
                means["width"],
                means["mean"],
                means["std"],
                fmt=f"{style.MARKERS[(layer - 1) % 8]}-",
                capsize=2,
                color=colours[layer - 1],
                label=f"layer {layer}",
            )
        axis.axhline(0, color="black", lw=0.8)
        style.log2_axis(axis, sorted(set(ranks["width"])), f"width (at {widest}: seed to seed)")
        axis.set_title(style.graph_name(graph))
    axes[0][0].set_ylabel("Spearman's rank correlation\n(mean over nodes)")
    style.legend_above(figure)
    return figure


def layers_alike(tables: Tables) -> Figure | None:
    """Distances between the layers of the widest networks, mean over seeds."""
    graphs, depth = graphs_of(tables), depth_of(tables["layers"])
    if depth < 2:
        return None
    widest = tables["layers"].filter(pl.col("width") == tables["layers"]["width"].max())
    means = widest.group_by("graph", "layer", "other_layer").agg(pl.col("value").mean())
    figure, axes = style.panels(1, len(graphs), 2.4)
    high, names = max(1e-9, float(means["value"].max())), [str(layer) for layer in range(1, depth + 1)]
    for axis, graph in zip(axes[0], graphs, strict=True):
        found = {(a, b): value for g, a, b, value in means.iter_rows() if g == graph}
        values = [[found[a, b] for b in range(1, depth + 1)] for a in range(1, depth + 1)]
        image = style.annotated(axis, values, names, 0, high, "{:.3f}")
        axis.set(title=style.graph_name(graph), xlabel="layer")
    axes[0][0].set_ylabel("layer")
    figure.colorbar(image, ax=axes[0].tolist(), label="energy distance", shrink=0.85)
    return figure
