"""The page: whole by itself, names as text, everything in its place."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from spx.errors import ArtifactError, ConfigError
from spx.explanation.evidence import MEASURED, evidence
from spx.explanation.page import page_text, removal_by_attention
from spx.explanation.picture import (
    COLORS,
    OTHER_COLOR,
    WIDTH,
    Neighbor,
    class_colors,
    make_picture,
    shortened,
)

from .made import made_explanation

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
EVIL = '<script>alert("1")</script>&\'{}'
VOID = {"meta", "link", "img"}


class Tags(HTMLParser):
    """The tags that stand in a page, their attributes, its text; and that each is closed."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], "", []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_are_text_wherever_they_stand() -> None:
    told = made_explanation([EVIL], name=EVIL, classes=(EVIL, "blue"), neighbors=3)._replace(facts={"run": EVIL})
    page = page_text(told)
    found = Tags(page)
    assert "script" not in found.tags
    assert EVIL in found.text
    assert "<script" not in page
    label = dict(found.attributes)["aria-label"]
    assert label == f"Neighbourhood of {EVIL}"


def test_it_needs_nothing_beside_it_and_no_network() -> None:
    page = page_text(made_explanation(["anna", "ben"], neighbors=4))
    assert not re.findall(r"https?:|//|@import|url\(", page)
    found = Tags(page)
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert {name for name, _ in found.attributes if name in ("src", "href")} == {"href"}
    assert {value for name, value in found.attributes if name == "href"} == {"#node-1", "#node-2"}
    assert {"node-1", "node-2"} <= {value for name, value in found.attributes if name == "id"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    assert "prefers-color-scheme: dark" in page


def test_the_removal_leads_and_all_tables_follow() -> None:
    told = made_explanation(["anna"], neighbors=4)
    text = " ".join(Tags(page_text(told)).text.split())
    assert (
        "Predicted: red, probability 0.750. Without the neighbour n0 (graph edge) the probability of red moves" in text
    )
    headings = ["Without this neighbour", "Features", "Attention in each layer", "Attention rolled out"]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "Change of the probability of red: exact, mean over 10 draws" in text
    assert "\u22120.500 \u00b1 0.250" in text
    assert "without the most attended neighbour a prediction moves by 0.500, without another" in text
    assert "n2" in text
    assert "expander edge" in text
    alone = made_explanation(["anna"], neighbors=1, spread=False)
    text = " ".join(Tags(page_text(alone)).text.split())
    assert "Without its edge to itself the probability of red moves" in text
    assert "\u00b1" not in text
    assert "without the most attended neighbour" not in text


def test_the_page_says_what_was_measured() -> None:
    kept = json.loads((RESULTS / "explanations.json").read_text())["headline"]
    assert [row.dataset.lower() for row in MEASURED] == list(kept)
    for row, measured in zip(MEASURED, kept.values(), strict=True):
        for given, key in zip(
            row[1:], ("most attended", "random other", "most attended is the largest", "by chance"), strict=True
        ):
            assert given == pytest.approx(measured[key], rel=5e-3)
        assert measured["most attended"] < measured["largest"]
        assert measured["random other"] < measured["most attended"]
        assert row.is_largest < 0.5  # "but only for"
    text = " ".join(Tags(page_text(made_explanation(["a"]))).text.split())
    assert "Measured on Actor, Minesweeper and Photo, 200 nodes each" in text
    assert "1.5, 8.6 and 6.8 times as far" in text
    assert "for 37%, 45% and 37% of the nodes" in text
    assert evidence() in text
    assert evidence() in " ".join((ROOT / "docs" / "predictions.md").read_text().split())


def test_how_far_removals_move_is_a_mean_over_nodes() -> None:
    rows = [("a", "graph", 0.5, 0.4), ("a", "graph", 0.3, 0.2), ("a", "expander", 0.1, 0.0), ("a", "itself", 0.9, 0.9)]
    rows += [("b", "graph", 0.1, 0.1), ("b", "graph", 0.2, 0.2), ("c", "graph", 0.1, 0.7)]
    table = pl.DataFrame(rows, schema=["node", "edge", "attention", "moved"], orient="row")
    first, rest = removal_by_attention(table)
    assert (first, rest) == (pytest.approx((0.4 + 0.2) / 2), pytest.approx((0.1 + 0.1) / 2))
    assert removal_by_attention(table.filter(node="c")) is None


def test_thirty_neighbours_stand_apart_within_the_picture() -> None:
    neighbors = [
        Neighbor(f"a name of some length {number}", "graph" if number < 9 else "expander", 1 / (number + 1), "red", 0.0)
        for number in range(30)
    ]
    picture = make_picture([*neighbors, Neighbor("me", "itself", 0.5, "red", 0.0)])
    assert len(picture.marks) == 30
    for side in (True, False):
        heights = sorted(mark.y for mark in picture.marks if mark.is_right == side)
        assert len(heights) == 15
        assert min(later - earlier for earlier, later in pairwise(heights)) >= 20
        assert heights[0] > 20
        assert heights[-1] < picture.height - 20
    widest = 7.5 * (22 + 6)
    assert all(widest < mark.text_x < WIDTH - widest or mark.is_right for mark in picture.marks)
    assert all(mark.text_x + widest < WIDTH for mark in picture.marks if mark.is_right)
    thickness = {mark.neighbor.weight: mark.thickness for mark in picture.marks}
    assert [thickness[weight] for weight in sorted(thickness)] == sorted(thickness.values())
    assert picture.marks[0].neighbor.weight == 1.0
    assert [mark.neighbor.edge for mark in picture.marks[:10]] == ["graph"] * 9 + ["expander"]
    assert picture.loop == pytest.approx((thickness[1.0] + 1.0) / 2)
    assert make_picture([]).marks == []
    assert make_picture([neighbors[0]]).loop == 0


def test_long_names_are_cut_and_wide_letters_count_twice() -> None:
    assert shortened("anna") == "anna"
    assert shortened("x" * 22) == "x" * 22
    assert shortened("x" * 23) == "x" * 21 + "\u2026"
    assert shortened("\u6f22" * 12) == "\u6f22" * 10 + "\u2026"


def test_frequent_classes_have_colours_of_their_own() -> None:
    names = [f"class {number}" for number in range(10) for _ in range(10 - number)]
    colors = class_colors(names)
    assert list(colors.values()) == [*COLORS, *[OTHER_COLOR] * 3]
    page = page_text(made_explanation(["a"], neighbors=12, classes=tuple(f"class {n}" for n in range(12))))
    assert "other classes" in page
    assert page.count(f"background:{OTHER_COLOR}") > 1


def test_a_page_is_written_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = made_explanation(["anna"])._replace(facts={"run": "a folder of no UTF-8: \udcff"})
    told.write_page(tmp_path / "new" / "why.html")
    assert (tmp_path / "new" / "why.html").read_text(encoding="utf-8").endswith("</html>")
    with pytest.raises(ConfigError, match=r"must end in \.html"):
        told.write_page(tmp_path / "why.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        told.write_page(tmp_path / "folder.html")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="can't be written to"):
        told.write_page(tmp_path / "file" / "why.html")
    with pytest.raises(ConfigError, match="201 nodes are more than a page shows, 200"):
        made_explanation([f"n{number}" for number in range(201)]).write_page(tmp_path / "why.html")
