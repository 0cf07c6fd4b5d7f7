"""Pictures of how sharp the attention is and along which edges it runs.

Each function takes the tables and gives a figure, or None without data.
"""

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.pictures import style
from spx.score_study.pictures.style import depth_of, graphs_of, spread
from spx.score_study.tables import ALL, TYPE_NAMES, Tables


def entropy(tables: Tables) -> Figure | None:
    """Above: mean entropy by layer and width. Below: its distribution over the nodes in the widest networks."""
    graphs, depth = graphs_of(tables), depth_of(tables["entropy"])
    widths = sorted(set(tables["entropy"]["width"]))
    figure, axes = style.panels(2, len(graphs), sharey="row")
    colours, layer_colours = style.ordered_colours(len(widths)), style.ordered_colours(depth)
    for column, graph in enumerate(graphs):
        above, below = axes[0][column], axes[1][column]
        for place, width in enumerate(widths):
            part = tables["entropy"].filter((pl.col("graph") == graph) & (pl.col("width") == width))
            means = spread(part, "layer", "mean")
            offset = 0.06 * (place - (len(widths) - 1) / 2)
            above.errorbar(
                [layer + offset for layer in means["layer"]],
                means["mean"],
                means["std"],
                capsize=2,
                fmt=f"{style.MARKERS[place % 8]}-",
                color=colours[place],
                label=f"width {width}",
            )
        above.set(xticks=range(1, depth + 1), xlabel="layer", ylim=(0, 1.04), title=style.graph_name(graph))
        widest = tables["entropy_histogram"].filter((pl.col("graph") == graph) & (pl.col("width") == widths[-1]))
        for layer in range(1, depth + 1):
            shares = (
                widest.filter(pl.col("layer") == layer)
                .group_by("low", "high", maintain_order=True)
                .agg(pl.col("share").mean())
            )
            edges = [*shares["low"], shares["high"][-1]]
            below.stairs(
                100 * shares["share"],
                edges,
                color=layer_colours[layer - 1],
                lw=1.6,
                ls=("-", "--", "-.", ":")[(layer - 1) % 4],
                label=f"layer {layer}",
            )
        below.set(xlim=(0, 1), xlabel=f"normalised entropy of a node\n(width {widths[-1]}; 1: uniform)")
    axes[0][0].set_ylabel("normalised entropy\n(mean over nodes)")
    axes[1][0].set_ylabel("nodes, % a bin of 0.05")
    for row in axes:
        row[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def topk_mass(tables: Tables) -> Figure | None:
    """Attention that the k largest scores hold, by degree, in the widest networks."""
    topk = tables["topk"].filter((pl.col("width") == tables["topk"]["width"].max()) & (pl.col("degree_low") > 0))
    graphs, depth = graphs_of(tables), depth_of(topk)
    figure, axes = style.panels(len(graphs), depth, sharex=True, sharey=True)
    lows = sorted(set(topk["degree_low"]))
    names = dict(topk.select("degree_low", "degrees").unique().iter_rows())
    colours = style.ordered_colours(len(lows))
    for row, graph in enumerate(graphs):
        for column in range(depth):
            axis = axes[row][column]
            part = topk.filter((pl.col("graph") == graph) & (pl.col("layer") == column + 1))
            for place, low in enumerate(lows):
                line = (
                    part.filter(pl.col("degree_low") == low)
                    .group_by("k", maintain_order=True)
                    .agg(pl.col("mass").mean())
                )
                if not line.is_empty():
                    axis.plot(
                        line["k"],
                        100 * line["mass"],
                        f"{style.MARKERS[place % 8]}-",
                        color=colours[place],
                        ms=3,
                        label=names[low],
                    )
            style.log2_axis(axis, sorted(set(topk["k"])), "k" if row == len(graphs) - 1 else "")
            axis.set(ylim=(0, 104), title=f"layer {column + 1}")
            axis.axhline(90, color=style.GREY, ls=":", lw=1)
        axes[row][0].set_ylabel(f"{style.graph_name(graph)}\ntop-k attention mass, %")
    style.legend_above(figure, "degree of the attending node (dotted: 90%)")
    return figure


def edge_types(tables: Tables) -> Figure | None:
    """Attention by edge type: by layer and width, beside uniform attention; only where there is more than one type."""
    shares = tables["shares"].filter(pl.col("class") == ALL)
    graphs = [
        g
        for g in graphs_of(tables)
        if shares.filter((pl.col("graph") == g) & (pl.col("share") > 0))["edge_type"].n_unique() > 1
    ]
    if not graphs:
        return None
    depth, widths = depth_of(shares), sorted(set(shares["width"]))
    figure, axes = style.panels(len(graphs), depth, sharey=True, sharex=True)
    for row, graph in enumerate(graphs):
        for column in range(depth):
            axis, part = axes[row][column], shares.filter((pl.col("graph") == graph) & (pl.col("layer") == column + 1))
            bars = {
                f"w={width}": part.filter(pl.col("width") == width).group_by("edge_type").agg(pl.col("share").mean())
                for width in widths
            }
            bars["uniform"] = part.group_by("edge_type").agg(pl.col("uniform").mean())
            bottom = [0.0] * len(bars)
            for name in TYPE_NAMES:
                heights = [100 * dict(bar.iter_rows()).get(name, 0) for bar in bars.values()]
                axis.bar(
                    list(bars),
                    heights,
                    0.75,
                    bottom,
                    color=style.EDGE_COLOURS[name],
                    label=style.EDGE_NAMES[name],
                    hatch="" if name != "self_loop" else "///",
                    edgecolor="white",
                    lw=0.4,
                )
                bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
            axis.tick_params("x", rotation=60)
            axis.grid(False, axis="x")
            axis.set(title=f"layer {column + 1}", ylim=(0, 100))
        axes[row][0].set_ylabel(f"{style.graph_name(graph)}\nshare of attention, %")
    style.legend_above(figure)
    return figure


def edge_types_by_class(tables: Tables) -> Figure | None:
    """Attention of each class's nodes along graph edges, widest networks."""
    shares = tables["shares"].filter((pl.col("class") != ALL) & (pl.col("width") == tables["shares"]["width"].max()))
    shares = shares.filter((pl.col("edge_type") == "graph") & (pl.col("uniform") < 1))
    graphs = [graph for graph in graphs_of(tables) if not shares.filter(pl.col("graph") == graph).is_empty()]
    if not graphs:
        return None
    depth, colours = depth_of(shares), style.ordered_colours(depth_of(shares))
    figure, axes = style.panels(1, len(graphs), sharey=True)
    for axis, graph in zip(axes[0], graphs, strict=True):
        part = shares.filter(pl.col("graph") == graph)
        classes = sorted(set(part["class"]), key=int)
        for layer in range(1, depth + 1):
            means = dict(
                part.filter(pl.col("layer") == layer).group_by("class").agg(pl.col("share").mean()).iter_rows()
            )
            axis.plot(
                classes,
                [100 * means[name] for name in classes],
                style.MARKERS[(layer - 1) % 8],
                color=colours[layer - 1],
                label=f"layer {layer}",
            )
        uniform = dict(part.group_by("class").agg(pl.col("uniform").mean()).iter_rows())
        axis.plot(
            classes, [100 * uniform[name] for name in classes], "_", ms=12, color="black", label="uniform attention"
        )
        axis.set(title=style.graph_name(graph), xlabel="class of the attending node", ylim=(0, 104))
        if len(classes) > 15:
            axis.set_xticks(classes[:: len(classes) // 10])
    axes[0][0].set_ylabel("along graph edges,\n% of the attention")
    style.legend_above(figure)
    return figure
