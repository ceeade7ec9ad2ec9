"""Errors of a user: one line that names the file, whatever a reader raised."""

import errno
from pathlib import Path

import pytest

from unetseg.errors import (
    DEBUG,
    UserError,
    did_you_mean,
    first_line,
    ran_out_of_memory,
    reading,
    some_of,
)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (ValueError("bad magic\nsecond line"), r"not a readable TIFF file \(bad magic\)"),
        (KeyError("axes"), r"not a readable TIFF file \('axes' is missing\)"),
        (PermissionError(), "no permission to read it"),
        (MemoryError(), "not enough memory"),
        (UserError("a.tif: its own words"), "its own words"),
    ],
)
def test_what_a_reader_raises_becomes_one_line(raised: Exception, words: str) -> None:
    with pytest.raises(UserError, match=rf"^a\.tif: .*{words}") as error, reading(Path("a.tif"), "TIFF"):
        raise raised
    assert "\n" not in str(error.value)


def test_for_debugging_the_reader_s_own_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(ValueError, match="bad magic"), reading(Path("a.tif"), "TIFF"):
        raise ValueError("bad magic")


def test_the_first_line_is_short_and_never_empty() -> None:
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError("x" * 500)) == "x" * 120


def test_names_are_listed() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "allowed: a, b."
    assert some_of(["a", "b"]) == "a, b"
    assert some_of(map(str, range(6))) == "0, 1, 2, 3 and 2 more"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("Check 'ptr' failed\nFailed to allocate 4591768 bytes of memory"), True),
        (RuntimeError("shapes differ"), False),
        (ImportError("No module named 'x'"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_out_of_memory_is_known_in_every_form(error: Exception, expected: bool) -> None:
    assert ran_out_of_memory(error) is expected
    wrapped = ImportError("numpy cannot be imported")
    wrapped.__cause__ = error
    assert ran_out_of_memory(wrapped) is expected
