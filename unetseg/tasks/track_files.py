"""The Cell Tracking Challenge's text file of tracks: res_track.txt of a result, man_track.txt of the truth.

A line is a track: its id, its first and last frame, and the id of its parent, 0 for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.scores.tracks import Track

RESULT, TRUTH = "res_track.txt", "man_track.txt"


def read_tracks(path: Path) -> tuple[Track, ...]:
    """The tracks of a file, in its order.

    Raises UserError, with the line, for a file that is not of this format, and for tracks that make no sense:
    an id twice, an end before the start, a parent that is not in the file or has not ended before.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a text file of tracks ({error}).") from None
    tracks = [_track(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    known = {track.id: track for track in tracks}
    if len(known) < len(tracks):
        raise UserError(f"{path}: two tracks have the same id. Give every track its own.")
    for track in tracks:
        parent = known.get(track.parent)
        if track.parent and (parent is None or parent.end >= track.start):
            wrong = "is not in the file" if parent is None else f"ends in frame {parent.end}, not before it"
            raise UserError(f"{path}: the parent {track.parent} of track {track.id} {wrong}.")
    return tuple(tracks)


def write_tracks(path: Path, tracks: Sequence[Track]) -> None:
    """Write the tracks in the order of their ids."""
    text = "".join(f"{t.id} {t.start} {t.end} {t.parent}\n" for t in sorted(tracks))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _track(path: Path, number: int, line: str) -> Track:
    try:
        own, start, end, parent = map(int, line.split())
        track = Track(own, start, end, parent)
    except ValueError:
        track = Track(0, 0, 0)
    if track.id < 1 or track.parent < 0 or not 0 <= track.start <= track.end:
        raise UserError(
            f"{path}, line {number}: {line.strip()[:40]!r} is not a track. Expected four whole numbers: id, "
            "first frame, last frame, and parent or 0."
        )
    return track
