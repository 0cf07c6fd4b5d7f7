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
        *(("width", "graph"), ("layers", "graph"), ("topk", "graph")),
        *(("width", "augmented"), ("layers", "augmented"), ("topk", "augmented"), ("types", "augmented")),
        *(("choice", "augmented"), ("error", "augmented")),
    ]


def test_narrow_against_wide(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "width")
    pairs = tables["distances"].filter((pl.col("graph") == "augmented") & (pl.col("other_width") == 16))
    assert claim.numbers["width 4 to 16"] == pytest.approx(pairs.filter(pl.col("width") == 4)["value"].mean())
    assert claim.numbers["seed to seed"] == pytest.approx(pairs.filter(pl.col("width") == 16)["value"].mean())
    assert claim.verdict == HOLDS
    ratio = claim.numbers["ratio to the nearer baseline"]
    narrow = pl.col("width") == 4
    assert claim_of(judge(scaled(tables, "distances", "value", 0.7 / ratio, narrow)), "width").verdict == PARTLY
    assert claim_of(judge(scaled(tables, "distances", "value", 1.5 / ratio, narrow)), "width").verdict == FAILS
    alone = {**tables, "baselines": tables["baselines"].filter(narrow)}
    assert claim_of(judge(alone), "width").verdict == OPEN


def test_layers(claims: list[Claim], tables: Tables) -> None:
    claim = claim_of(claims, "layers")
    assert claim.numbers["entropy of layer 1"] > 0.95, "made so"
    assert claim.numbers["among later layers"] > claim.numbers["first layer to later ones"], "unrelated patterns"
    assert claim.verdict == PARTLY
    flat = scaled(tables, "entropy", "mean", 0.1, pl.col("layer") == 1)
    assert claim_of(judge(flat), "layers").verdict == FAILS
    alike = scaled(tables, "layers", "value", 0.1, pl.col("layer") > 1)
    assert claim_of(judge(alike), "layers").verdict == HOLDS
    shallow = {**tables, "entropy": tables["entropy"].filter(pl.col("layer") < 3)}
    assert claim_of(judge(shallow), "layers").verdict == OPEN


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
