"""A napari_tracks.csv, as `unetseg track` writes it, opened as a tracks layer with its divisions and gaps."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.napari.layers import LayerData, scale_arguments
from unetseg.tasks.track_files import RESULT, read_tracks

NAME = "napari_tracks.csv"
FRAME = "mask000.tif"


def tracks_layer(path: Path) -> LayerData:
    """Tracks (objects, 1 + t(z)yx) of a table, linked by res_track.txt and scaled as mask000.tif beside it.

    Columns after the position, such as the area, colour the tracks. Raises UserError for another table.
    """
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    axes = [name for name in head if name in ("t", "z", "y", "x")]
    count = 1 + len(axes)
    if head[:count] != ["track_id", *axes] or axes[-2:] != ["y", "x"]:
        raise UserError(f"{path}: not a table of tracks; its columns are {', '.join(head[:5])}.")
    try:
        values = np.array(rows, float).reshape(len(rows), len(head))
    except ValueError:
        raise UserError(f"{path}: a value is not a number, or a row is not complete.") from None
    arguments = {"name": f"{path.parent.name} tracks", "graph": _graph(path.with_name(RESULT))}
    arguments["properties"] = dict(zip(head[count:], values[:, count:].T, strict=True))
    frame = path.with_name(FRAME)
    if frame.is_file():
        arguments |= scale_arguments(open_image(frame).scale, axes[:-2], len(axes))
    return values[:, :count], arguments, "tracks"


def _graph(path: Path) -> dict[int, list[int]]:
    """The parents of each track that has any, as napari takes them."""
    return {t.id: [t.parent] for t in read_tracks(path) if t.parent} if path.is_file() else {}
