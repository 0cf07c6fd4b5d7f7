"""The study's pictures: which rows of which table each shows, and how. A function's docstring is its caption."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.choice_tables import PREDICTED_SLOPE
from spx.score_study.claims import usual_k
from spx.score_study.pictures.panels import Grid, bars, draw_grids, matrix, stairs
from spx.score_study.pictures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Look, look
from spx.score_study.tables import ALL, Tables

EDGE_NAMES = {"graph": "graph edges", "expander": "expander edges", "self_loop": "self-loops"}
BASELINES = {"uniform": "uniform scores", "random": "random scores", "shuffled": "own scores, shuffled"}
SAMPLERS = {
    "own": ("drawn by the wide network's own scores", GREY, "s"),
    "attention": ("drawn by the estimator's scores", BLUE, "o"),
    "top": ("the estimator's largest scores", ORANGE, "^"),
    "uniform": ("drawn uniformly", RED, "v"),
}
WIDTH, WIDEST = pl.col("width"), pl.col("width") == pl.col("width").max()
OF_ALL_CLASSES = pl.col("class") == ALL
EDGE_TYPE = pl.col("edge_type").replace(EDGE_NAMES)
PER_LAYER = pl.format("layer {}", "layer")
PERCENT = (0, 104)
RANK_CORRELATION = "Spearman's rank correlation\n(mean over nodes)"
OUTPUT_ERROR = "relative error of the output"


class Picture(NamedTuple):
    """What a picture shows and how it is drawn.

    Args:
        claim: key of the claim that it belongs to (`spx.score_study.claims`), or none.
        title: a few words.
        caption: what is shown, with units.
        draw: from the tables; None where they don't hold its data.
    """

    claim: str
    title: str
    caption: str
    draw: Callable[[Tables], Figure | None]


PICTURES: dict[str, Picture] = {}


def picture(
    claim: str, title: str, source: str, several: str = "", height: float = 2.1, legend: str | None = None
) -> Callable:
    """Enter a function from the tables to grids of panels as a picture.

    Args:
        claim, title: see `Picture`.
        source: table without which there is nothing to draw.
        several: "width" or "layer", where there must be two of them.
        height: of a row of panels, in inches.
        legend: its title.
    """

    def enter(grids: Callable[[Tables], list[Grid]]) -> Callable[[Tables], list[Grid]]:
        def draw(tables: Tables) -> Figure | None:
            if source not in tables or (several and tables["baselines"][several].n_unique() < 2):
                return None
            return draw_grids(grids(tables), height, legend)

        PICTURES[grids.__name__] = Picture(claim, title, " ".join((grids.__doc__ or "").split()), draw)
        return grids

    return enter


def drawn(table: pl.DataFrame, series: str | pl.Expr, x: str | pl.Expr | None, y: str | pl.Expr) -> pl.DataFrame:
    """The rows with label of the curve, place and height; see `Grid`."""
    return table.with_columns(series=pl.lit(series) if isinstance(series, str) else series, x=x, y=y)


def together(*parts: pl.DataFrame) -> pl.DataFrame:
    """Rows of several tables."""
    return pl.concat(parts, how="diagonal_relaxed")


def to_widest(tables: Tables, name: str) -> pl.DataFrame:
    """Pairs of networks whose second is one of the widest."""
    return tables[name].filter(other_width=tables["baselines"]["width"].max())


@picture("width", "Distance to wide networks' attention", "distances", several="width")
def distance_by_width(tables: Tables) -> list[Grid]:
    """Mean energy distance over the nodes (0: the same scores, 2: nothing in common) between single-head networks of a
    width and those of the greatest width, with all pairs of seeds. Grey, red and purple: distance of the wide networks
    to scores that know nothing; black: distance between two wide networks."""
    widest = tables["baselines"]["width"].max()
    to_wide, two_seeds = f"to networks of width {widest} (mean, std over pairs)", f"two seeds of width {widest}"
    pairs = to_widest(tables, "distances")
    seeds = pairs.filter(width=widest)
    data = together(
        drawn(pairs.filter(widest > WIDTH), to_wide, "width", "value"),
        drawn(seeds, "_two seeds", "width", "value"),
        drawn(seeds, two_seeds, None, "value"),
        drawn(tables["baselines"].filter(WIDEST), pl.col("baseline").replace(BASELINES), None, "value"),
    )
    lines = (look(GREY, line="--"), look(RED, line=":"), look(PURPLE, line="-."))
    looks = {to_wide: look(BLUE, "o"), "_two seeds": look(BLACK, "s"), two_seeds: look(BLACK)}
    looks |= zip(BASELINES.values(), lines, strict=True)
    axes = {"rows": "graph", "columns": "layer", "doubling": True, "ylim": (0, None)}
    return [Grid(data=data, x="width", y="energy distance", looks=looks, **axes)]


@picture("width", "Distances between widths", "distances", height=2.4)
def distance_matrix(tables: Tables) -> list[Grid]:
    """Mean energy distance between networks of two widths, over layers and pairs of seeds; on the diagonal between
    seeds of one width."""
    pairs = tables["distances"].sort("width", "other_width", maintain_order=True)
    both_ways = [
        drawn(pairs, pl.col(down).cast(str), pl.col(across).cast(str), "value")
        for down, across in (("width", "other_width"), ("other_width", "width"))
    ]
    return [Grid(data=together(*both_ways), x="width", y="width", marks=matrix)]


@picture("width", "Rank agreement with wide networks", "ranks", several="width")
def rank_agreement(tables: Tables) -> list[Grid]:
    """Spearman's rank correlation of a node's scores with the widest networks' own (1: the same order, 0: none), mean
    over nodes; bars: standard deviation over pairs of networks."""
    data = drawn(to_widest(tables, "ranks"), PER_LAYER, "width", "value")
    x = f"width (at {tables['baselines']['width'].max()}: seed to seed)"
    return [Grid(data=data, x=x, y=RANK_CORRELATION, doubling=True, level=0)]


@picture("layers", "Entropy by layer", "entropy")
def entropy(tables: Tables) -> list[Grid]:
    """Entropy of a node's scores over the logarithm of its degree: 1 is uniform, 0 all on one edge. Above: mean over
    nodes, with the standard deviation over seeds. Below: its distribution over the nodes in the widest networks."""
    means = drawn(tables["entropy"], pl.format("width {}", "width"), "layer", "mean")
    shares = drawn(tables["entropy_histogram"].filter(WIDEST), PER_LAYER, "low", 100 * pl.col("share"))
    x = f"normalised entropy of a node\n(width {tables['entropy']['width'].max()}; 1: uniform)"
    return [
        Grid(data=means, x="layer", y="normalised entropy\n(mean over nodes)", shift=0.06, ylim=(0, 1.04)),
        Grid(data=shares, x=x, y="nodes, % a bin of 0.05", marks=stairs),
    ]


@picture("layers", "Likeness of layers", "layers", several="layer", height=2.4)
def layers_alike(tables: Tables) -> list[Grid]:
    """Mean energy distance between the layers of one network of the greatest width, mean over seeds."""
    layers = tables["layers"].filter(WIDEST)
    data = drawn(layers, pl.col("layer").cast(str), pl.col("other_layer").cast(str), "value")
    return [Grid(data=data, x="layer", y="layer", marks=matrix)]


@picture("topk", "Attention in the k largest scores", "topk", legend="degree of the attending node (line: 90%)")
def topk_mass(tables: Tables) -> list[Grid]:
    """Share of a node's attention that its k largest scores hold, by degree of the attending node; mean over nodes and
    seeds of the widest networks."""
    topk = tables["topk"].filter(WIDEST, pl.col("degree_low") > 0).sort("degree_low", maintain_order=True)
    data = drawn(topk, pl.col("degrees"), "k", 100 * pl.col("mass"))
    axes = {"rows": "graph", "columns": "layer", "doubling": True, "ylim": PERCENT, "level": 90}
    return [Grid(data=data, x="k", y="top-k attention mass, %", spread=False, **axes)]


@picture("types", "Attention by edge type", "shares")
def edge_types(tables: Tables) -> list[Grid]:
    """Share of all attention along each type of edge, by layer and width, mean over seeds; the last bar is uniform
    attention."""
    types = pl.col("edge_type").filter(pl.col("share") > 0).n_unique().over("graph")
    shares = tables["shares"].filter(OF_ALL_CLASSES).filter(types > 1)
    data = together(
        drawn(shares, EDGE_TYPE, pl.format("w={}", "width"), 100 * pl.col("share")),
        drawn(shares, EDGE_TYPE, pl.lit("uniform"), 100 * pl.col("uniform")),
    )
    fills = ({"color": BLUE}, {"color": ORANGE}, {"color": GREEN, "hatch": "///"})
    looks = dict(zip(EDGE_NAMES.values(), fills, strict=True))
    axes = {"rows": "graph", "columns": "layer", "ylim": (0, 100)}
    return [Grid(data=data, x="", y="share of attention, %", looks=looks, marks=bars, **axes)]


@picture("types", "Attention along graph edges by class", "shares")
def edge_types_by_class(tables: Tables) -> list[Grid]:
    """Share of the attention of each class's nodes that runs along graph edges, in the widest networks."""
    shares = tables["shares"].filter(WIDEST, ~OF_ALL_CLASSES, pl.col("uniform") < 1, edge_type="graph")
    of_class = pl.col("class").cast(pl.Int64)
    data = together(
        drawn(shares, PER_LAYER, of_class, 100 * pl.col("share")),
        drawn(shares, "uniform attention", of_class, 100 * pl.col("uniform")),
    )
    looks, y = {"uniform attention": look(BLACK, "_", "") | {"ms": 12}}, "along graph edges,\n% of the attention"
    return [Grid(data=data, x="class of the attending node", y=y, looks=looks, line="", spread=False, ylim=PERCENT)]


@picture("types", "Attention to one's own class", "same_class")
def same_class(tables: Tables) -> list[Grid]:
    """Share of the attention along edges of a type that goes to nodes of the attending node's class, in the widest
    networks, with the standard deviation over seeds; dashed: if attention were uniform; dotted: the graph's edge
    homophily. Self-loops are left out."""
    shares = tables["same_class"].filter(WIDEST, OF_ALL_CLASSES, pl.col("edge_type") != ALL)
    data = together(
        drawn(shares, pl.lit("attention along ") + EDGE_TYPE, "layer", 100 * pl.col("share")),
        drawn(shares, pl.lit("uniform over ") + EDGE_TYPE, None, 100 * pl.col("uniform")),
        drawn(tables["graphs"], "edge homophily", None, 100 * pl.col("edge_homophily")),
    )
    looks: dict[str, Look] = {"edge homophily": look(BLACK, line=":")}
    for name, colour, marker in (("graph edges", BLUE, "o"), ("expander edges", ORANGE, "^")):
        looks |= {f"attention along {name}": look(colour, marker, ""), f"uniform over {name}": look(colour, line="--")}
    y = "to the node's own class,\n% of the attention"
    return [Grid(data=data, x="layer", y=y, looks=looks, shift=0.16, ylim=PERCENT)]


@picture("", "Score and degree", "degrees")
def degrees(tables: Tables) -> list[Grid]:
    """Mean score relative to uniform attention by graph degree of the node attended to (in how many rows it stands), in
    the widest networks; bins double."""
    data = drawn(tables["degrees"].filter(WIDEST), PER_LAYER, "degree_low", "relative_score")
    x, y = "graph degree of the node attended to\n(from; bins double)", "mean score over uniform\n(1: uniform)"
    return [Grid(data=data, x=x, y=y, spread=False, doubling=True, ylim=(0, None), level=1)]


@picture("", "Scores against degree and effective resistance", "structure")
def structure(tables: Tables) -> list[Grid]:
    """Spearman's rank correlation within a node's edges of the score with the graph degree of the node attended to, and
    with the edge's effective resistance; mean over nodes, bars: standard deviation over seeds."""
    data = drawn(tables["structure"].filter(WIDEST), pl.format("with {}", "property"), "layer", "agreement")
    looks = {"with degree": look(BLUE, "o", ""), "with effective resistance": look(ORANGE, "^", "")}
    return [Grid(data=data, x="layer", y=RANK_CORRELATION, looks=looks, shift=0.16, ylim=(-1, 1), level=0)]


def by_sampler(table: pl.DataFrame, y: str | pl.Expr) -> tuple[pl.DataFrame, dict[str, Look]]:
    """Rows of the narrowest and the widest estimator, and of the samplers that ask none, with their looks."""
    widths = table["width"].filter(table["width"] > 0)
    asked = dict(zip((0, widths.min(), widths.max()), ("-", "-", "--"), strict=True))
    label = pl.col("sampler").replace({sampler: name for sampler, (name, *_) in SAMPLERS.items()})
    label += pl.when(WIDTH > 0).then(pl.format(", width {}", "width")).otherwise(pl.lit(""))
    looks = {
        name + (f", width {width}" if width else ""): look(colour, marker, line)
        for name, colour, marker in SAMPLERS.values()
        for width, line in asked.items()
    }
    return drawn(table.filter(WIDTH.is_in(list(asked))), label, "k", y), looks


@picture("choice", "Attention kept by sampled edges", "mass_kept", height=2.5)
def mass_kept(tables: Tables) -> list[Grid]:
    """Share of a trained wide network's attention (mean of its heads) on K edges of each node, mean over nodes; solid:
    the narrowest estimator, dashed: the widest."""
    data, looks = by_sampler(tables["mass_kept"], 100 * pl.col("mass"))
    axes = {"columns": "layer", "spread": False, "doubling": True, "ylim": PERCENT}
    return [Grid(data=data, x="K, edges a node", y="attention kept, %", looks=looks, **axes)]


@picture("error", "Error of the layer's output against K", "output_error", height=2.5)
def output_error(tables: Tables) -> list[Grid]:
    """Relative error of a layer's attention output on K sampled edges of each node (softmax over them alone, exact
    inputs). Dotted: expected error of the estimator that the theory bounds, K draws with replacement weighted by
    p / (K q), with the wide network's own scores; its slope is -1/2."""
    data, looks = by_sampler(tables["output_error"], "error")
    theory = "the theory's estimator, own scores: $K^{-1/2}$"
    data = together(data, drawn(tables["output_error"].filter(sampler="own"), theory, "k", "expected"))
    axes = {"columns": "layer", "spread": False, "doubling": True, "log": True}
    return [Grid(data=data, x="K, edges a node", y=OUTPUT_ERROR, looks=looks | {theory: look(BLACK, line=":")}, **axes)]


@picture("error", "Error of the layer's output against the estimator's width", "output_error", several="width")
def error_by_width(tables: Tables) -> list[Grid]:
    """Relative error of a layer's output when all heads attend by the estimator's scores (blue), when K edges are drawn
    by them (orange), and when the wide network's own queries and keys are projected at random to as many dimensions
    (green), the narrow network of the theory; dotted: its slope -1/2. Bars: standard deviation over seeds, or draws."""
    replaced, projected, k = tables["replaced_error"], tables["projected_error"], usual_k(tables["output_error"])
    sampled = tables["output_error"].filter(sampler="attention", k=k)
    at_narrowest = pl.col("error").filter(WIDTH.min() == WIDTH).mean().over("layer")
    predicted = at_narrowest * (WIDTH / WIDTH.min()) ** PREDICTED_SLOPE
    parts = {
        "all edges, the estimator's scores": (replaced.filter(sampler="attention"), "width", "error", look(BLUE, "o")),
        f"{k} edges drawn by the estimator's scores": (sampled, "width", "error", look(ORANGE, "^")),
        "all edges, own scores projected to the width": (projected, "width", "error", look(GREEN, "s")),
        "all edges, uniform scores": (replaced.filter(sampler="uniform"), None, "error", look(GREY, line="--")),
        "predicted slope: width$^{-1/2}$": (projected, "width", predicted, look(BLACK, line=":")),
    }
    data = together(*(drawn(table, label, x, y) for label, (table, x, y, _) in parts.items()))
    looks = {label: each for label, (*_, each) in parts.items()}
    axes = {"columns": "layer", "doubling": True, "log": True}
    return [Grid(data=data, x="estimator's width", y=OUTPUT_ERROR, looks=looks, **axes)]
