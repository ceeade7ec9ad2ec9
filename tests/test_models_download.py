"""Downloads against a server on loopback: whole and checked, or nothing."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from unetseg.errors import UserError
from unetseg.models import ModelCard, cached_file, download_model

CONTENT = bytes(range(256)) * 40


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelCard]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "cells.pt").write_bytes(CONTENT)
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cells.pt"
        sha = hashlib.sha256(CONTENT).hexdigest()
        yield ModelCard("cells", "Synthetic cells", sha, len(CONTENT), "CC0", url)
        server.shutdown()


def kept(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_the_file_comes_whole_into_the_cache(card: ModelCard, tmp_path: Path) -> None:
    counts: list[int] = []
    path = download_model(card, lambda done, total: counts.append(done))
    assert path == cached_file(card)
    assert path.read_bytes() == CONTENT
    assert kept(tmp_path) == [path]
    assert counts[-1] == len(CONTENT)


def test_a_second_use_needs_no_network(card: ModelCard) -> None:
    download_model(card)
    assert download_model(replace(card, url="http://127.0.0.1:1/cells.pt")).read_bytes() == CONTENT


def test_a_damaged_copy_is_downloaded_again(card: ModelCard) -> None:
    path = download_model(card)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert download_model(card).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"sha256": "0" * 64}, "does not have the checksum of the registry"),
        ({"url": "http://127.0.0.1:1/cells.pt"}, "cannot be downloaded"),
    ],
    ids=["checksum", "network"],
)
def test_nothing_is_kept_of_a_failed_download(
    card: ModelCard, tmp_path: Path, change: dict[str, str], what: str
) -> None:
    with pytest.raises(UserError, match=what):
        download_model(replace(card, **change))
    assert kept(tmp_path) == []


def test_a_missing_file_on_the_server_is_a_user_error(card: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="404"):
        download_model(replace(card, url=f"{card.url}.gone"))
    assert kept(tmp_path) == []
