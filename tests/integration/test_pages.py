"""What README and docs tell a user to type, typed: each command as it is printed, with few epochs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from .processes import run_python, run_spx

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/own-data.md", "docs/predictions.md", "docs/distributed.md")
SHORT = {"fit": ["--trainer.max_epochs", "2"], "study": ["--extra=--trainer.max_epochs 2"]}
NOT_RUN = {
    "spx fit ... ": "any command of the page",
    "spx study minesweeper-sim --overlay ddp\n": "it takes all GPUs; the next line runs",
    "spx study actor --overlay bf16": "minutes on a CPU without bfloat16",
    "spx check mygraph\n": "examples/accounts is checked; mygraph is the page's name for any graph",
}


def commands(page: str) -> list[str]:
    """Its indented lines that begin with `spx`, those that go on in the next line put together."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    lines = re.findall(r"^    (spx .*)$", text, flags=re.MULTILINE)
    return [line for line in lines if not any(f"{line}\n".startswith(start) for start in NOT_RUN)]


def typed(line: str) -> list[str]:
    """Words after `spx`, with few epochs."""
    words = shlex.split(line, comments=True)[1:]
    extra = [word for word in words if word.startswith("--extra=")]
    if words[0] == "study" and extra:
        return [f"{word} --trainer.max_epochs 2" if word in extra else word for word in words]
    return [*words, *SHORT.get(words[0], [])]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the examples; the configurations are the program's own."""
    home = tmp_path_factory.mktemp("pages")
    shutil.copytree(ROOT / "examples", home / "examples")
    if not (ROOT / "data" / "Actor" / "raw").is_dir():
        pytest.skip("the raw files of Actor are not in data/")
    (home / "data").symlink_to((ROOT / "data").resolve())
    return home


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES)
def test_commands_as_they_are_printed(home: Path, page: str) -> None:
    lines = commands(page)
    assert lines
    for line in lines:
        ended = run_spx(*typed(line), cwd=home)
        assert ended.returncode == 0, f"{line}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"


@pytest.mark.full
def test_python_as_it_is_printed(home: Path) -> None:
    """Of the page on predictions, whose run README's commands leave behind; they come first in this file."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predictions.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        ended = run_python(block, cwd=home)
        assert ended.returncode == 0, ended.stderr
