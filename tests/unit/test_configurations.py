"""Which files a configuration is made of."""

from pathlib import Path

import pytest

from spx.configurations import config_layers, found_configs, with_bases
from spx.dataset_names import PUBLISHED

FILES = (
    "base/wide.yaml",
    "base/gcn.yaml",
    "actor/wide.yaml",
    "mine/wide.yaml",
    "overlays/gcn.yaml",
    "actor/other.yaml",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`configs/` with the base of two kinds, what differs for two datasets, and an overlay."""
    for name in FILES:
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


BASE, ACTOR = "configs/base/wide.yaml", "configs/actor/wide.yaml"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--config", ACTOR], ["--config", BASE, "--config", ACTOR]),
        (["-c", ACTOR], ["--config", BASE, "-c", ACTOR]),
        ([f"--config={ACTOR}"], ["--config", BASE, f"--config={ACTOR}"]),
        ([f"-c={ACTOR}"], ["--config", BASE, f"-c={ACTOR}"]),
        ([f"-c{ACTOR}"], ["--config", BASE, f"-c{ACTOR}"]),
        (
            ["fit", "--name", "a", "--config", ACTOR, "--config", "own.yaml", "--model.width", "8"],
            ["fit", "--name", "a", "--config", BASE, "--config", ACTOR, "--config", "own.yaml", "--model.width", "8"],
        ),
        (
            ["--config", ACTOR, "--config", "configs/mine/wide.yaml"],
            ["--config", BASE, "--config", ACTOR, "--config", "configs/mine/wide.yaml"],
        ),
    ],
)
def test_the_base_comes_before_what_differs(folder: Path, given: list[str], meant: list[str]) -> None:
    assert with_bases(given) == meant
    assert with_bases(meant) == meant, "told already: nothing is added"


@pytest.mark.parametrize(
    "given",
    [
        ["--config", BASE],
        ["--config", ACTOR, "--config", "configs/actor/../base/wide.yaml"],
        ["--config", "configs/overlays/gcn.yaml"],
        ["--config", "configs/actor/other.yaml"],
        ["--config", "configs/actor/nothing.yaml"],
        ["--config", "configs/atcor/wide.yaml"],
        ["--config", "{model: {}}"],
        ["--config", "a" * 5000],
        ["--config"],
        ["--print_config", "--configuration", ACTOR, "--name", ACTOR],
        [],
    ],
)
def test_nothing_else_is_touched(folder: Path, given: list[str]) -> None:
    assert with_bases(given) == given


def test_a_saved_run_s_configuration_has_no_base(folder: Path) -> None:
    saved = folder.parent / "lightning_logs/actor/wide/version_0/config.yaml"
    saved.parent.mkdir(parents=True)
    saved.write_text("{}\n")
    assert with_bases(["--config", str(saved)]) == ["--config", str(saved)]


def test_the_place_does_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "linked").symlink_to(folder)
    assert with_bases(["--config", "linked/actor/wide.yaml"])[1] == "linked/base/wide.yaml"
    assert with_bases(["-c", str(folder / "actor/wide.yaml")])[1] == str(folder / "base/wide.yaml")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert with_bases(["--config=~/configs/actor/wide.yaml"])[1] == str(folder / "base/wide.yaml")
    monkeypatch.chdir(folder / "actor")
    assert with_bases(["--config", "wide.yaml"])[1] == str(folder / "base/wide.yaml")
    assert with_bases(["--config", "../mine/wide.yaml"])[1] == "../base/wide.yaml"


def test_where_nothing_differs_the_base_and_the_name_take_the_file_s_place(folder: Path) -> None:
    base = ["--config", "configs/base/gcn.yaml"]
    assert "cora" in PUBLISHED
    assert with_bases(["--config", "configs/actor/gcn.yaml"]) == [*base, "--data.dataset", "actor"]
    assert with_bases(["-c=configs/cora/gcn.yaml", "x"]) == [*base, "--data.dataset", "cora", "x"]
    assert with_bases([*base, "-c", "configs/cora/gcn.yaml"], "--dataset") == [*base, "--dataset", "cora"]
    assert with_bases(["--config", "configs/mine/gcn.yaml"]) == base, "which graph, says the user"


def test_layers_are_the_files_that_there_are(folder: Path) -> None:
    assert config_layers("configs/actor", "wide") == (Path(BASE), Path(ACTOR))
    assert config_layers("configs/cora", "gcn") == (Path("configs/base/gcn.yaml"),)
    assert config_layers("configs/actor", "other") == (Path("configs/actor/other.yaml"),)
    assert config_layers("configs/actor", "none") == ()


def test_where_there_are_none_here_the_program_s_own_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = found_configs()
    assert (own / "base" / "wide.yaml").is_file()
    base, actor = (["--config", str(own / name / "wide.yaml")] for name in ("base", "actor"))
    assert with_bases(["fit", "--config", ACTOR]) == ["fit", *base, *actor]
    assert with_bases([f"--config={BASE}"]) == base
    (tmp_path / "configs" / "actor").mkdir(parents=True)
    assert found_configs() == own, "a folder of that name without bases"
    (tmp_path / ACTOR).write_text("{}\n")
    assert with_bases(["--config", ACTOR])[-2:] == ["--config", ACTOR], "a file that is there is meant"
    assert found_configs("elsewhere") == Path("elsewhere")
