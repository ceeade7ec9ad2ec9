"""Files written whole or not at all, JSON, and names of files."""

import json
import math
import os
from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.files import (
    check_name,
    check_writable,
    discard,
    remove_leftovers,
    replacing,
    temporary_name,
    write_json,
)

FOREVER = 2**22 + 1  # a process id that no system gives


def test_a_place_that_cannot_be_written_to_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    check_writable(tmp_path / "new" / "out.pt")
    check_writable(tmp_path / "file")
    assert list((tmp_path / "new").iterdir()) == []
    assert (tmp_path / "file").read_text() == "kept"
    with pytest.raises(UserError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "out.pt")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, words in ((tmp_path, "a folder of this name"), (file / "a.txt", "is a file, not a folder")):
        with pytest.raises(UserError, match=words), replacing(path):
            pass


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [math.nan, 1.5], "b": {"c": -math.inf}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}


def test_leftovers_of_ended_processes_alone_are_removed(tmp_path: Path) -> None:
    own = temporary_name(tmp_path / "a.txt")
    ended = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{FOREVER}-"))
    other = tmp_path / f".unetseg-another.host-{FOREVER}-0-a.txt"
    for path in (own, ended, other):
        path.touch()
    remove_leftovers(tmp_path)
    assert {*tmp_path.iterdir()} == {own, other}


def test_a_folder_is_discarded_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    discard(tmp_path / "a")
    discard(tmp_path / "a")  # not there: nothing to do
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text_is_refused_in_words_that_can_be_printed() -> None:
    check_name(Path("é/µm $x_1$ <b>.tif"))
    with pytest.raises(UserError, match=r"^dish\\udcff\.tif: the name is not text in UTF-8") as raised:
        check_name(Path(os.fsdecode(b"dish\xff.tif")))
    assert str(raised.value).encode("utf-8")
