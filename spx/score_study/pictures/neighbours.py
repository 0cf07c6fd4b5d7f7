"""Pictures of which neighbours are attended to: by class, degree and place in the graph.

Each function takes the tables and gives a figure, or None without data.
"""

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.pictures import style
from spx.score_study.pictures.style import depth_of, graphs_of, spread
from spx.score_study.tables import ALL, Tables


def same_class(tables: Tables) -> Figure | None:
    """Share of the attention to neighbours of one's own class, against uniform attention, in the widest networks."""
    if "same_class" not in tables:
        return None
    part = tables["same_class"].filter((pl.col("class") == ALL) & (pl.col("edge_type") != ALL))
    part = part.filter(pl.col("width") == part["width"].max())
    graphs, depth = graphs_of(tables), depth_of(part)
    homophily = dict(tables["graphs"].select("graph", "edge_homophily").iter_rows())
    figure, axes = style.panels(1, len(graphs), sharey=True)
    for axis, graph in zip(axes[0], graphs, strict=True):
        for name, shift in (("graph", -0.08), ("expander", 0.08)):
            here = part.filter((pl.col("graph") == graph) & (pl.col("edge_type") == name))
            if here.is_empty():
                continue
            means = spread(here.with_columns(value=pl.col("share")), "layer")
            colour = style.EDGE_COLOURS[name]
            axis.errorbar(
                [layer + shift for layer in means["layer"]],
                100 * means["mean"],
                100 * means["std"],
                fmt="o" if name == "graph" else "^",
                color=colour,
                capsize=2,
                label=f"attention along {style.EDGE_NAMES[name]}",
            )
            axis.axhline(
                100 * here["uniform"].mean(),
                color=colour,
                ls="--",
                lw=1,
                label=f"uniform over {style.EDGE_NAMES[name]}",
            )
        axis.axhline(100 * homophily[graph], color="black", ls=":", lw=1.2, label="edge homophily")
        axis.set(title=style.graph_name(graph), xlabel="layer", xticks=range(1, depth + 1), ylim=(0, 104))
    axes[0][0].set_ylabel("to the node's own class,\n% of the attention")
    style.legend_above(figure)
    return figure


def degrees(tables: Tables) -> Figure | None:
    """Mean score relative to uniform, by graph degree of the node attended to, widest networks."""
    if "degrees" not in tables:
        return None
    table = tables["degrees"].filter(pl.col("width") == tables["degrees"]["width"].max())
    graphs, depth = graphs_of(tables), depth_of(table)
    figure, axes = style.panels(1, len(graphs), sharey=True)
    for axis, graph in zip(axes[0], graphs, strict=True):
        for layer, colour in zip(range(1, depth + 1), style.ordered_colours(depth), strict=True):
            here = table.filter((pl.col("graph") == graph) & (pl.col("layer") == layer))
            means = here.group_by("degree_low").agg(pl.col("relative_score").mean()).sort("degree_low")
            axis.plot(
                means["degree_low"],
                means["relative_score"],
                f"{style.MARKERS[(layer - 1) % 8]}-",
                color=colour,
                label=f"layer {layer}",
            )
        axis.axhline(1, color="black", lw=0.8)
        axis.set_xscale("log", base=2)
        axis.set(title=style.graph_name(graph), xlabel="graph degree of the node attended to\n(from; bins double)")
    axes[0][0].set_ylabel("mean score over uniform\n(1: uniform)")
    axes[0][0].set_ylim(bottom=0)
    style.legend_above(figure)
    return figure


def structure(tables: Tables) -> Figure | None:
    """Rank agreement of the scores with the degree of the node attended to and with effective resistance."""
    if "structure" not in tables:
        return None
    table = tables["structure"].filter(pl.col("width") == tables["structure"]["width"].max())
    graphs, depth = graphs_of(tables), depth_of(table)
    figure, axes = style.panels(1, len(graphs), sharey=True)
    for axis, graph in zip(axes[0], graphs, strict=True):
        for name, colour, marker, shift in (
            ("degree", style.BLUE, "o", -0.08),
            ("effective resistance", style.ORANGE, "^", 0.08),
        ):
            here = table.filter((pl.col("graph") == graph) & (pl.col("property") == name)).with_columns(
                value=pl.col("agreement")
            )
            if not here.is_empty():
                means = spread(here, "layer")
                axis.errorbar(
                    [layer + shift for layer in means["layer"]],
                    means["mean"],
                    means["std"],
                    fmt=marker,
                    color=colour,
                    capsize=2,
                    label=f"with {name}",
                )
        axis.axhline(0, color="black", lw=0.8)
        axis.set(title=style.graph_name(graph), xlabel="layer", xticks=range(1, depth + 1), ylim=(-1, 1))
    axes[0][0].set_ylabel("Spearman's rank correlation\n(mean over nodes)")
    style.legend_above(figure)
    return figure
