"""Model cards and registries: read strictly, errors that name file and key."""

import hashlib
from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.models import known_models, shipped_models

ENTRY = """
[[models]]
name = "{name}"
title = "Synthetic cells"
url = "http://localhost/cells.pt"
sha256 = "{sha}"
bytes = 10
licence = "CC0"
"""


def registry(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = folder / "registry.toml"
    path.write_text(text)
    monkeypatch.setenv("UNETSEG_MODELS", str(path))
    return path


def test_a_registry_of_ones_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry(tmp_path, ENTRY.format(name="cells", sha="a" * 64), monkeypatch)
    card = known_models()["cells"]
    assert (card.title, card.bytes, card.licence) == ("Synthetic cells", 10, "CC0")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[models]", "not a TOML file of models"),
        (ENTRY.format(name="../cells", sha="a" * 64), "models.0.name"),
        (ENTRY.format(name="cells", sha="a" * 63), "models.0.sha256"),
        (ENTRY.format(name="cells", sha="a" * 64).replace("10", '"10"'), "models.0.bytes"),
        (ENTRY.format(name="cells", sha="a" * 64).replace("http:", "file:"), "models.0.url"),
        (ENTRY.format(name="cells", sha="a" * 64).replace("url =", "site ="), "models.0.site"),
        (ENTRY.format(name="cells", sha="a" * 64) * 2, "exists already"),
    ],
    ids=["toml", "name", "sha256", "bytes", "url", "key", "twice"],
)
def test_wrong_registries_are_user_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    path = registry(tmp_path, text, monkeypatch)
    with pytest.raises(UserError, match=what) as error:
        known_models()
    assert str(error.value).startswith(str(path))


def test_shipped_files_are_those_of_their_cards() -> None:
    for card in shipped_models().values():
        content = card.shipped_file.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (card.bytes, card.sha256)
        assert len(content) <= 5_000_000
