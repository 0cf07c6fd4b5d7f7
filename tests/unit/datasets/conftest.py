from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every download fails as it does without a network. Gives the list of URLs that were tried."""
    tried: list[str] = []

    def refuse(url: str, *_args: object, **_kwargs: object) -> None:
        tried.append(url)
        raise URLError("no network in tests")

    monkeypatch.setattr("pooch.retrieve", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tried


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """serve(folder): downloads now copy the file of that name from the folder. Gives the list of URLs."""

    def start(folder: Path) -> list[str]:
        served: list[str] = []

        def copy(url: str, *, fname: str, path: Path, **_kwargs: object) -> None:
            served.append(url)
            (Path(path) / fname).write_bytes((folder / fname).read_bytes())

        monkeypatch.setattr("pooch.retrieve", copy)
        return served

    return start
