"""Downloads from a server on loopback: resumed where they stopped, whole and checked, or nothing."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import Site, serving

from unetseg.download import fetch
from unetseg.errors import UserError

CONTENT = bytes(range(256)) * 2000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "site") as served:
        (served.folder / "a.zip").write_bytes(CONTENT)
        yield served


def test_an_interrupted_download_is_resumed(site: Site, tmp_path: Path) -> None:
    target, counts = tmp_path / "to" / "a.zip", []
    site.limit = 200_000
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetch(f"{site.url}/a.zip", target)
    assert not target.exists()
    received = target.with_name("a.zip.part").stat().st_size
    assert 0 < received <= 200_000
    site.limit = None
    fetch(f"{site.url}/a.zip", target, sha256=SHA, progress=lambda done, total: counts.append((done, total)))
    assert site.ranges == [None, f"bytes={received}-"]
    assert target.read_bytes() == CONTENT
    assert counts[-1] == (len(CONTENT), len(CONTENT))
    assert counts[0][0] > received
    assert [p.name for p in target.parent.iterdir()] == ["a.zip"]


def test_a_file_that_changed_meanwhile_starts_anew(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    site.limit = 200_000
    with pytest.raises(UserError):
        fetch(f"{site.url}/a.zip", target)
    site.limit = None
    (site.folder / "a.zip").write_bytes(CONTENT[::-1])
    assert fetch(f"{site.url}/a.zip", target).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("name", "sha", "what"),
    [("gone.zip", None, "404"), ("a.zip", "0" * 64, "does not have the checksum of the registry")],
)
def test_nothing_is_kept_of_a_failure(
    site: Site, tmp_path: Path, name: str, sha: str | None, what: str
) -> None:
    with pytest.raises(UserError, match=what):
        fetch(f"{site.url}/{name}", tmp_path / "to" / "a.zip", sha256=sha)
    assert list((tmp_path / "to").iterdir()) == []


def test_without_network_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Check the network"):
        fetch("http://127.0.0.1:1/a.zip", tmp_path / "to" / "a.zip")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_file_larger_than_the_disk_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match="choose another disk"):
        fetch(f"{site.url}/a.zip", tmp_path / "to" / "a.zip")
    assert list((tmp_path / "to").iterdir()) == []
