"""The journal of a long prediction: what was written is read back, on disk and in memory."""

from pathlib import Path

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.streaming.journal import Journal, MemoryJournal, Records, check_same, checksum


@pytest.fixture(params=["disk", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    return Journal(tmp_path) if request.param == "disk" else MemoryJournal()


def test_records_rows_and_metadata_are_read_as_they_were_written(journal: Records) -> None:
    assert journal.read("predict", 0, 3) is None
    assert journal.read_metadata("settings") is None
    assert not journal.has_rows("ids")
    record = {"area": np.array([3, 5]), "crc": np.array(7)}
    journal.write("predict", 0, 3, record)
    journal.write_metadata("settings", {"tile": 256})
    rows = [np.array([1, 2]), np.array([], np.int64), np.array([9])]
    journal.write_rows("ids", rows)
    found = journal.read("predict", 0, 3)
    assert found is not None
    assert all((found[name] == value).all() for name, value in record.items())
    assert journal.read("label", 0, 3) is journal.read("predict", 1, 3) is None
    assert journal.read_metadata("settings") == {"tile": 256}
    read = journal.read_rows("ids")
    assert [read[i].tolist() for i in range(3)] == [r.tolist() for r in rows]


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_record_cut_off_anywhere_is_not_done(tmp_path: Path, kept: int) -> None:
    journal = Journal(tmp_path)
    journal.write("predict", 0, 3, {"area": np.arange(100)})
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:kept])
    assert journal.read("predict", 0, 3) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "\0"])
def test_damaged_metadata_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    assert Journal(tmp_path).read_metadata("settings") is None


def test_a_checksum_is_of_the_values_in_reading_order() -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert checksum(image) == checksum(np.asfortranarray(image)) != checksum(image[::-1])


def test_what_differs_is_named_with_both_values() -> None:
    before = {"tile": 256, "labels": {"threshold": 0.5, "grow": 0}}
    check_same(Path("a.zarr"), before, {"labels": {"threshold": 0.5}})
    with pytest.raises(UserError, match=r"a\.zarr: .*threshold \(0\.5 → 0\.6\)\. .*--overwrite") as error:
        check_same(Path("a.zarr"), before, {"tile": 256, "labels": {"threshold": 0.6, "grow": 0}})
    assert "tile" not in str(error.value)
