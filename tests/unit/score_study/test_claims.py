"""Verdicts and numbers of the claims, from the toy tables and from tables turned against them."""

import math

import polars as pl
import pytest

from spx.score_study.claims import FAILS, HOLDS, OPEN, PARTLY, Claim, claims_table, judge
from spx.score_study.tables import Tables


def claim_of(claims: list[Claim], key: str, graph: str = "augmented") -> Claim:
    (found,) = (claim for claim in claims if (claim.key, claim.graph) == (key, graph))
    return found


def scaled(tables: Tables, name: str, column: str, factor: float, *where: pl.Expr) -> Tables:
    condition = pl.all_horizontal(*where) if where else pl.lit(True)
    value = pl.when(condition).then(pl.col(column) * factor).otherwise(pl.col(column)).alias(column)
    return {**tables, name: tables[name].with_columns(value)}


def test_each_claim_is_judged_on_each_graph(claims: list[Claim]) -> None:
    assert [(claim.key, claim.graph) for claim in claims] == [
        *(("width", "graph"), ("sharpness", "graph"), ("edges", "graph"), ("topk", "graph")),
        *(("width", "augmented"), ("sharpness", "augmented"), ("edges", "augmented"), ("topk", "augmented")),
        ("types", "augmented"),
        *(("choice", "augmented"), ("error", "augmented")),
    ]


def test_narrow_against_wide(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "width")
    pairs = tables["distances"].filter((pl.col("graph") == "augmented") & (pl.col("other_width") == 16))
    for name, column in (("agreement", "agreement"), ("distance", "value")):
        means = dict(pairs.group_by("width").agg(pl.col(column).mean()).iter_rows())
        assert claim.numbers[f"{name}, width 4 to 16"] == pytest.approx(means[4])
        assert claim.numbers[f"{name}, seed to seed"] == pytest.approx(means[16])
    of_layer = [claim.numbers[f"agreement in layer {layer}, width 4 to 16"] for layer in (1, 2, 3)]
    assert of_layer[0] < 0.5 < min(of_layer[1:]), "noise hides the first layer's faint pattern"
    assert claim.verdict == PARTLY
    narrow, first = pl.col("width") == 4, pl.col("layer") == 1
    agreeing = scaled(tables, "distances", "agreement", 0.6 / of_layer[0], narrow, first)
    assert claim_of(judge(agreeing), "width").verdict == HOLDS
    assert claim_of(judge(scaled(tables, "distances", "agreement", 0.4, narrow)), "width").verdict == FAILS
    far = scaled(tables, "distances", "value", 100, narrow)
    assert claim_of(judge(far), "width").verdict == PARTLY, "sharpness, which moves the distance, doesn't count"
    alone = {**tables, "baselines": tables["baselines"].filter(narrow)}
    assert claim_of(judge(alone), "width").verdict == OPEN


def test_networks_before_training_stand_beside_trained_ones(claims: list[Claim], tables: Tables) -> None:
    untrained = tables["untrained"].filter(graph="augmented")
    expected = untrained.filter(layer=2)["mean"].mean()
    sharpness, edges, width = (claim_of(claims, key) for key in ("sharpness", "edges", "width"))
    assert sharpness.numbers["entropy of layer 2, untrained"] == pytest.approx(expected)
    assert "Of untrained networks, " in sharpness.text
    pairs = tables["untrained_distances"].filter(graph="augmented", width=16, other_width=16)
    assert width.numbers["agreement, seed to seed, untrained"] == pytest.approx(pairs["agreement"].mean())
    assert edges.numbers["seed to seed, layer 1, untrained"] == pytest.approx(pairs.filter(layer=1)["agreement"].mean())
    without = {name: table for name, table in tables.items() if not name.startswith("untrained")}
    for claim in judge(without):
        assert "ntrained" not in claim.text
        assert not [name for name in claim.numbers if "untrained" in name]


def test_what_is_there_before_training_is_no_finding(tables: Tables) -> None:
    means = {1: 0.9, 2: 0.5, 3: 0.5}
    for name in ("entropy", "untrained"):
        made = pl.col("layer").replace_strict(means, return_dtype=pl.Float64)
        tables = {**tables, name: tables[name].with_columns(mean=made)}
    as_before = claim_of(judge(tables), "sharpness")
    assert as_before.verdict == HOLDS
    assert "is the architecture's" in as_before.text
    flat = {**tables, "untrained": tables["untrained"].with_columns(mean=pl.lit(0.9))}
    assert "is learned" in claim_of(judge(flat), "sharpness").text


def test_layers_alike_in_sharpness(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "sharpness")
    assert claim.numbers["entropy of layer 1"] > 0.95, "made so"
    assert claim.verdict == HOLDS, "later layers have the same spread"
    flat = scaled(tables, "entropy", "mean", 0.1, pl.col("layer") == 1)
    assert claim_of(judge(flat), "sharpness").verdict == FAILS
    alone = scaled(tables, "entropy", "mean", 0.1, pl.col("layer") == 3)
    assert claim_of(judge(alone), "sharpness").verdict == PARTLY, "the second is nearer to the first than to the third"
    shallow = {**tables, "entropy": tables["entropy"].filter(pl.col("layer") < 3)}
    assert claim_of(judge(shallow), "sharpness").verdict == OPEN


def test_layers_alike_in_their_edges(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "edges")
    rows = tables["layers"].filter(graph="augmented", layer=2)
    for name, other in (("other later ones", 3), ("the first", 1)):
        expected = rows.filter(other_layer=other)["agreement"].mean()
        assert claim.numbers[f"layer 2 to {name}"] == pytest.approx(expected)
    assert claim.verdict == FAILS, "unrelated patterns, alike in sharpness or not"

    def with_agreement(value: float, *where: pl.Expr) -> str:
        column = pl.when(pl.all_horizontal(*where)).then(value).otherwise(pl.col("agreement")).alias("agreement")
        return claim_of(judge({**tables, "layers": tables["layers"].with_columns(column)}), "edges").verdict

    later = (pl.col("layer") > 1, pl.col("other_layer") > 1)
    assert with_agreement(0.7, *later) == HOLDS
    assert with_agreement(0.7, pl.col("layer") == 3, pl.col("other_layer") == 2) == PARTLY
    assert with_agreement(0.7, pl.col("layer") > 0) == FAILS, "the first isn't unlike them"
    assert with_agreement(0.4, *later) == FAILS


def test_top_k(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "topk")
    rows = tables["topk"].filter(
        *((pl.col("graph") == "augmented"), (pl.col("width") == 16), (pl.col("k") == 4), (pl.col("degree_low") >= 8))
    )
    expected = (rows["covered"] * rows["nodes"]).sum() / rows["nodes"].sum()
    assert claim.numbers["nodes covered by top-4"] == pytest.approx(expected)
    everything = {**tables, "topk": tables["topk"].with_columns(covered=pl.lit(0.6))}
    assert claim_of(judge(everything), "topk").verdict == FAILS
    small = {**tables, "topk": tables["topk"].filter(pl.col("degree_low") < 8)}
    assert claim_of(judge(small), "topk").verdict == OPEN


def test_edge_types_against_homophily(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "types")
    shares = [claim.numbers[f"share of {name} edges"] for name in ("graph", "expander", "self_loop")]
    assert sum(shares) == pytest.approx(1)
    homophilic = {**tables, "graphs": tables["graphs"].with_columns(adjusted_homophily=pl.lit(0.8))}
    assert {claim.verdict, claim_of(judge(homophilic), "types").verdict} == {HOLDS, FAILS}
    unlabelled = {**tables, "graphs": tables["graphs"].with_columns(adjusted_homophily=pl.lit(math.nan))}
    assert claim_of(judge(unlabelled), "types").verdict == OPEN


def test_the_estimators_choice(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "choice")
    own = tables["mass_kept"].filter((pl.col("sampler") == "own") & (pl.col("k") == 4))["mass"].mean()
    assert claim.numbers["mass kept, own"] == pytest.approx(own)
    worse = scaled(tables, "mass_kept", "mass", 0.1, pl.col("sampler") == "attention")
    assert claim_of(judge(worse), "choice").verdict == FAILS
    error = claim_of(claims, "error")
    assert error.numbers["predicted slope"] == -0.5
    assert f"K^{error.numbers['slope in K']:.3g}" in error.text
    flat = {**tables, "slopes": tables["slopes"].with_columns(slope=pl.lit(-0.1))}
    assert claim_of(judge(flat), "error").verdict == FAILS


def test_a_table_of_all_numbers(claims: list[Claim]) -> None:
    table = claims_table([*claims, Claim("x", "graph", "t", "r", OPEN, "nothing")])
    assert table.height == sum(len(claim.numbers) for claim in claims) + 1
    assert table["value"].null_count() == 1
