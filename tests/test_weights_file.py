"""Files of weights: what was written comes back, and whatever is damaged or claims too much is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from unetseg.errors import UserError
from unetseg.pipeline.weights_file import content_checksum, load_plain, read_plain, save_plain

VALUES = {"a": torch.arange(1000.0), "b": {"c": [1, 2.5, "x", None, True], "d": torch.tensor(3)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_plain(tmp_path / "a.pt", "kind", VALUES)
    return tmp_path / "a.pt"


def test_what_was_written_comes_back(path: Path) -> None:
    saved = load_plain(path, "kind")
    assert saved.note == ""
    assert saved.values["b"]["c"] == VALUES["b"]["c"]
    assert torch.equal(saved.values["a"], VALUES["a"])


def test_no_flipped_bit_changes_what_is_loaded(path: Path) -> None:
    """A bit flipped anywhere: an error, or (in bytes that mean nothing) the same content."""
    whole, wanted, refused = path.read_bytes(), content_checksum(load_plain(path, "kind").values), 0
    rng = Random(1)  # noqa: S311
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            found = load_plain(path, "kind").values
        except UserError:
            refused += 1
        else:
            assert content_checksum(found) == wanted
    assert refused > 200


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.9, -1])
def test_a_file_cut_off_names_itself(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(UserError, match=r"a\.pt: not a file of weights, damaged or truncated: \d+ bytes"):
        load_plain(path, "kind")


def test_other_content_with_the_old_checksum_is_refused(path: Path) -> None:
    saved = torch.load(path, weights_only=True)
    saved["a"][17] += 1e-3
    torch.save(saved, path)
    with pytest.raises(UserError, match="its content does not match its checksum"):
        load_plain(path, "kind")


def test_a_file_from_before_checksums_loads_with_a_note(path: Path) -> None:
    torch.save({"format": "kind-1", **VALUES}, path)
    assert "has no checksum" in load_plain(path, "kind").note


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match="not a other file"):
        load_plain(path, "other")


def test_a_file_of_something_else_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match=r"a\.png: not a file of weights\. Give a run folder"):
        load_plain(tmp_path / "a.png", "kind")


def test_records_that_unpack_to_more_than_the_file_are_refused(path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(10**7) if name.endswith("data/0") else old.read(name))
    path.write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"claim to unpack to 10\.0 MB"):
        load_plain(path, "kind")


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(1).expand(2**20, 2**18), torch.eye(3).to_sparse(), torch.empty(3, device="meta")],
    ids=["one number a terabyte long", "sparse", "on no device"],
)
def test_tensors_that_claim_more_than_they_hold_are_refused(tmp_path: Path, tensor: Any) -> None:
    torch.save({"a": tensor}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not a file of weights"):
        read_plain(tmp_path / "a.pt")


def test_checksums_tell_values_apart() -> None:
    """Types, shapes, order and grouping count."""
    values: list[Any] = [1, 1.0, True, "1", [1], [[1]], ["a", "b"], ["ab"]]
    values += [{"a": 1}, {1: "a"}, {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    values += [torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(2, 3).double(), torch.zeros(6)]
    assert len({content_checksum(value) for value in values}) == len(values)
