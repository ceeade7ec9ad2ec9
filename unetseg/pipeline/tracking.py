"""Objects of a film tracked, and written as a result of the Cell Tracking Challenge with tables beside it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.files import discard, replacing, temporary_name
from unetseg.images.marks import Mark, read_mark
from unetseg.images.ngff import replace_folder
from unetseg.images.whole import write_stack
from unetseg.pipeline.label_film import Film
from unetseg.pipeline.linking import Linked, LinkSettings, link_objects
from unetseg.scores.tracks import Track
from unetseg.tasks.track_files import RESULT, write_tracks

TRACKS, POINTS = "tracks.csv", "napari_tracks.csv"


def track_film(
    labels: Film,
    image: Film | None = None,
    settings: LinkSettings | None = None,
    progress: Callable[[int], None] = lambda frames: None,
) -> Linked:
    """Link the objects of a film; image: for their mean grey values; progress: called after every frame."""

    def frames() -> Iterator[tuple[Any, Any]]:
        for t in range(labels.count):
            yield labels.labels(t), image and image.read(t)
            progress(1)

    return link_objects(frames(), settings or LinkSettings(), labels.spacing_um)


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Raise UserError, before anything is computed, for a folder that is not to be replaced."""
    if out.is_file():
        raise UserError(f"{out}: is a file. Give a folder.")
    there = list(out.iterdir()) if out.is_dir() else []
    if not there:
        return
    names = (RESULT, TRACKS, POINTS)
    foreign = [p for p in there if p.name not in names and read_mark(p) is None]
    if foreign or not (out / TRACKS).is_file():
        name = (foreign or there)[0].name
        raise UserError(
            f"{out}: holds {name}, which is not of this command, so it is left alone. Choose another --out."
        )
    if not overwrite:
        raise UserError(f"{out}: holds tracks already. Choose another --out, or replace them: --overwrite.")


def write_result(out: Path, labels: Film, linked: Linked, settings: LinkSettings) -> None:
    """The folder of the tracks, written completely or not at all; an older one is replaced.

    mask000.tif and so on have the ids of the tracks, res_track.txt, tracks.csv and napari_tracks.csv the
    tracks. The frames are read a second time, so that a film of any length is tracked in little memory.
    """
    new = temporary_name(out)
    try:
        mark = {"unetseg": __version__, "settings": {"track": asdict(settings)}}
        write_masks(new, labels, linked, lambda path: mark)
        write_tracks(new / RESULT, linked.tracks)
        write_table(new / TRACKS, labels, linked)
        write_points(new / POINTS, labels, linked)
        replace_folder(new, out)
    finally:
        discard(new)


def write_masks(folder: Path, labels: Film, linked: Linked, mark: Callable[[Path], Mark | None]) -> None:
    """mask000.tif and so on, with the ids of the tracks: uint16, or uint32 if there are more than 65,535.

    mark: of each file by its path. The frames of `labels` may be these files.
    """
    dtype = np.uint16 if len(linked.tracks) < 2**16 else np.uint32
    axes = "TYX" if len(labels.shape) == 2 else "TZYX"
    for t in range(labels.count):
        pixels = linked.relabel(labels.labels(t), t).astype(dtype)[None]
        path = folder / f"mask{t:0{max(3, labels.digits)}}.tif"
        write_stack(path, pixels, axes=axes, spacing_um=labels.spacing_um, frame_s=None, mark=mark(path))


def write_table(path: Path, labels: Film, linked: Linked) -> None:
    """A row for each track; path lengths in µm and durations in seconds only where they are known.

    link: what the parent is, by "division" or, for the same object after frames without it, "gap"; cell: the
    first track of the same object, so the same before and after gaps.
    """
    head = ["id", "start", "end", "parent", "link", "cell", "frames", "path_px"]
    spacing, frame_s = labels.spacing_um, labels.scale.frame_s
    head += [*(["path_um"] if spacing else []), *(["duration_s"] if frame_s else [])]
    cells: dict[int, int] = {}
    rows = []
    places = track_places(linked)
    for track, kind, at in zip(linked.tracks, link_kinds(linked.tracks), places, strict=True):
        cells[track.id] = cells[track.parent] if kind == "gap" else track.id
        row = [*track, kind, cells[track.id], len(at), f"{_length(at):.6g}"]
        row += [f"{_length(at * np.array(spacing)):.6g}"] if spacing else []
        row += [f"{(track.end - track.start) * frame_s:.6g}"] if frame_s else []
        rows.append(row)
    _write_csv(path, head, rows)


def write_points(path: Path, labels: Film, linked: Linked) -> None:
    """A row for each object of each frame, as napari takes tracks: track_id, t, (z,) y, x in pixels.

    area_px (volume_px) and the mean grey values follow.
    """
    volume = len(labels.shape) == 3
    channels = linked.frames[0].grey.shape[1]
    head = ["track_id", "t", *"zyx"[-len(labels.shape) :], "volume_px" if volume else "area_px"]
    head += [f"mean_c{channel + 1}" for channel in range(channels)]
    rows: list[list[Any]] = [
        [int(number), t, *(f"{v:.6g}" for v in place), int(area), *(f"{v:.6g}" for v in grey)]
        for t, (found, ids) in enumerate(zip(linked.frames, linked.ids, strict=True))
        for number, place, area, grey in zip(ids, found.positions, found.areas, found.grey, strict=True)
    ]
    _write_csv(path, head, sorted(rows, key=lambda row: (row[0], row[1])))


def count_links(linked: Linked) -> dict[str, int]:
    """How many tracks, frames, divisions and closed gaps there are."""
    kinds = link_kinds(linked.tracks)
    divisions = len(
        {track.parent for track, kind in zip(linked.tracks, kinds, strict=True) if kind == "division"}
    )
    return {
        "tracks": len(kinds),
        "frames": len(linked.frames),
        "divisions": divisions,
        "gaps": kinds.count("gap"),
    }


def link_kinds(tracks: Sequence[Track]) -> list[str]:
    """How each track comes from its parent: "division", "gap", or "" without a parent."""
    children = Counter(track.parent for track in tracks)
    return [("division" if children[t.parent] > 1 else "gap") if t.parent else "" for t in tracks]


def track_places(linked: Linked) -> list[np.ndarray]:
    """The positions (frames, axes) of the objects of each track, in pixels."""
    places: list[list[np.ndarray]] = [[] for _ in linked.tracks]
    for found, ids in zip(linked.frames, linked.ids, strict=True):
        for number, place in zip(ids.tolist(), found.positions, strict=True):
            places[number - 1].append(place)
    return [np.array(track) for track in places]


def _length(places: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
