"""What answers at once: the help, the version, a misspelt command. None of it imports torch or Lightning."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spx import __version__
from spx.__main__ import main
from spx.commands import PLACES, SENTENCES

ROOT = Path(__file__).parents[2]
LIGHT = [["--help"], ["--version"], ["foo"], *([name, "--help"] for name in (*PLACES, "predict", "resume"))]
ASK = """
import contextlib, io, sys
from spx.__main__ import main
for words in {asked!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(words)
        except SystemExit:
            pass
    loaded = {{"torch", "lightning", "torchmetrics", "torch_geometric", "numba", "polars", "scipy", "matplotlib"}}
    assert not loaded & set(sys.modules), (words, loaded & set(sys.modules))
assert "spx.score_study.command" in sys.modules
"""


def test_what_answers_at_once_imports_nothing_heavy() -> None:
    command = [sys.executable, "-c", ASK.format(asked=LIGHT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["--debug", "--help"]])
def test_the_help_has_a_whole_sentence_for_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    shown = capsys.readouterr().out
    found = dict(re.findall(r"^  (\w+) +([A-Z].*\.)$", shown, re.MULTILINE))
    assert found.keys() == {"fit", "validate", "test", "predict", "resume", *PLACES}
    assert "analyze" in found
    assert max(map(len, shown.splitlines())) < 100
    assert "exit codes" in shown


def test_the_version_is_that_of_the_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"spx {importlib.metadata.version('spx')}\n"

    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    main(["--version"])
    assert capsys.readouterr().out == f"spx {__version__}\n"


@pytest.mark.parametrize(
    ("given", "meant"), [("foo", None), ("analyse", "analyze"), ("stduy", "study"), ("Fit", "fit")]
)
def test_an_unknown_command_is_told_the_nearest_and_all(
    given: str, meant: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([given, "--config", "x.yaml"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"spx: error: '{given}' is no command")
    assert (f"did you mean {meant}?" in message) if meant else ("did you mean" not in message)
    assert f"There are: {', '.join(SENTENCES)};" in message
    assert message.count("\n") == 1
