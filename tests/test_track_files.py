"""The text file of tracks: round trip, the challenge's own file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.scores.tracks import Track
from unetseg.tasks.track_files import read_tracks, write_tracks


def test_round_trip(tmp_path: Path) -> None:
    tracks = (Track(3, 5, 5, 1), Track(1, 0, 4), Track(70000, 6, 9, 3))
    write_tracks(tmp_path / "res_track.txt", tracks)
    assert (tmp_path / "res_track.txt").read_text() == "1 0 4 0\n3 5 5 1\n70000 6 9 3\n"
    assert read_tracks(tmp_path / "res_track.txt") == tuple(sorted(tracks))


def test_tabs_windows_lines_and_blank_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1\t0\t4\t0\r\n\r\n2 5 6 1 \r\n")
    assert read_tracks(tmp_path / "a.txt") == (Track(1, 0, 4), Track(2, 5, 6, 1))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1 0 4\n", "line 1"),
        ("1 0 4 0 0\n", "line 1"),
        ("1 0 4 0\nx 0 4 0\n", "line 2: 'x 0 4 0' is not a track"),
        ("1 4 3 0\n", "line 1"),
        ("1 -1 3 0\n", "line 1"),
        ("0 0 3 0\n", "line 1"),
        ("1 0 4 0\n1 5 6 0\n", "two tracks have the same id"),
        ("1 0 4 7\n", "the parent 7 of track 1 is not in the file"),
        ("1 0 4 0\n2 4 6 1\n", "ends in frame 4, not before it"),
        ("1 0 4 1\n", "ends in frame 4"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UserError, match="a.txt") as error:
        read_tracks(tmp_path / "a.txt")
    assert wrong in str(error.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "a.txt", tmp_path / "none.txt", tmp_path):
        with pytest.raises(UserError, match="cannot be read as a text file of tracks"):
            read_tracks(path)
