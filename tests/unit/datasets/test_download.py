import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from spx.datasets.download import fetch_missing
from spx.errors import DatasetError

from .raw_files import write_zip

# The real function, before any fixture replaces it.
from pooch import retrieve  # isort: skip

FILES = {"a.txt": "https://example.org/a.txt", "b.zip": "https://example.org/b.zip"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return tmp_path / "raw", scratch


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "upstream"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    write_zip(folder / "b.zip", {"x": "1\n"})
    return folder


def test_fetches_only_what_is_missing(
    folders: tuple[Path, Path], upstream: Path, serve: Callable[[Path], list[str]]
) -> None:
    raw, scratch = folders
    raw.mkdir()
    (raw / "a.txt").write_text("mine")
    served = serve(upstream)
    fetch_missing(FILES, raw, scratch)
    assert served == [FILES["b.zip"]]
    assert (raw / "a.txt").read_text() == "mine"
    assert (raw / "b.zip").read_bytes() == (upstream / "b.zip").read_bytes()
    fetch_missing(FILES, raw, scratch)
    assert len(served) == 1


def test_no_network_names_urls_and_places(folders: tuple[Path, Path], no_network: list[str]) -> None:
    raw, scratch = folders
    with pytest.raises(DatasetError) as caught:
        fetch_missing(FILES, raw, scratch)
    message = str(caught.value)
    assert "URLError" in message
    for name, url in FILES.items():
        assert f"{url}  as  {raw / name}" in message
    assert no_network == [FILES["a.txt"]], "one failure is enough"


def test_a_damaged_zip_never_reaches_the_raw_folder(
    folders: tuple[Path, Path], upstream: Path, serve: Callable[[Path], list[str]]
) -> None:
    raw, scratch = folders
    content = (upstream / "b.zip").read_bytes()
    (upstream / "b.zip").write_bytes(content[:-5])
    serve(upstream)
    with pytest.raises(DatasetError, match=r"b\.zip could not be fetched .*not a whole zip"):
        fetch_missing(FILES, raw, scratch)
    assert [path.name for path in raw.iterdir()] == ["a.txt"]


def test_an_empty_file_is_refused(
    folders: tuple[Path, Path], upstream: Path, serve: Callable[[Path], list[str]]
) -> None:
    (upstream / "a.txt").write_text("")
    serve(upstream)
    with pytest.raises(DatasetError, match=r"a\.txt is empty"):
        fetch_missing(FILES, *folders)
    assert not folders[0].exists()


def test_fetched_files_can_be_read_by_whoever_reads_the_folder(
    folders: tuple[Path, Path], upstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def private(_url: str, *, fname: str, path: Path, **_kwargs: object) -> None:
        (path / fname).write_bytes((upstream / fname).read_bytes())
        (path / fname).chmod(0o600)

    monkeypatch.setattr("pooch.retrieve", private)
    folders[0].mkdir(mode=0o755)
    fetch_missing(FILES, *folders)
    assert {path.stat().st_mode & 0o777 for path in folders[0].iterdir()} == {0o644}


@pytest.fixture
def web_server() -> Iterator[str]:
    """A local server: /whole.txt is sent whole, anything else stops after 5 of 1000 announced bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"x" * 1000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.path == "/whole.txt" else body[:5])

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_announced_length_is_enforced(
    folders: tuple[Path, Path], web_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    raw, scratch = folders
    fetch_missing({"whole.txt": f"{web_server}/whole.txt"}, raw, scratch)
    assert (raw / "whole.txt").stat().st_size == 1000
    with pytest.raises(DatasetError, match=r"cut\.txt could not be fetched"):
        fetch_missing({"cut.txt": f"{web_server}/cut.txt"}, raw, scratch)
    assert not (raw / "cut.txt").exists()
    assert list(scratch.iterdir()) == []
