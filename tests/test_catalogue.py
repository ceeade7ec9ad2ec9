"""The catalogue of data sets, and the check of a local copy."""

import hashlib
from dataclasses import replace
from pathlib import Path

from unetseg.catalogue import check_dataset, read_catalogue


def test_each_set_has_a_name_of_its_own_a_site_and_terms() -> None:
    items = read_catalogue()
    assert len({item.name for item in items}) == len(items) > 0
    assert all(item.site.startswith("http") and item.licence and item.citation for item in items)
    assert all(len(sha) == 64 for item in items for sha in item.files.values())


def test_a_copy_is_missing_incomplete_changed_or_complete(tmp_path: Path) -> None:
    content = hashlib.sha256(b"pixels").hexdigest()
    item = replace(read_catalogue()[0], folder="set", files={"a.tif": content, "b.tif": content})
    assert check_dataset(item, tmp_path) == [f"no folder {tmp_path / 'set'}"]
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.tif").write_bytes(b"other")
    assert check_dataset(item, tmp_path) == ["differs from the provider's: a.tif", "missing: b.tif"]
    for name in item.files:
        (tmp_path / "set" / name).write_bytes(b"pixels")
    assert check_dataset(item, tmp_path) == []
