from spx.datasets.own.error_words import did_you_mean, listed, one_line, shown


def test_values_are_quoted_and_cut() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 1000)) == 40


def test_lists_are_cut() -> None:
    assert listed([]) == "nothing"
    assert listed(["a", 1]) == "'a', 1"
    assert listed(range(20), limit=2) == "0, 1, ... (20 in all)"


def test_close_names() -> None:
    assert did_you_mean("node_id", ["label", "nodeid"]) == "; did you mean 'nodeid'?"
    assert did_you_mean("x", ["label"]) == ""


def test_lines_are_joined_and_cut() -> None:
    assert one_line("a\n\n  b\t") == "a b"
    assert len(one_line("x" * 1000, 50)) == 50
