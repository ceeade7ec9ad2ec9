"""The command that follows objects through a film: track."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.output import show
from unetseg.cli.terminal import Progress, counted


@cli.command(summary=True)
@click.argument("labels", type=PATH)
@click.argument("image", type=PATH, required=False)
@click.option("--out", type=PATH, required=True, help="Folder for the tracks.")
@click.option(
    "--max-distance",
    type=click.FloatRange(0, min_open=True),
    metavar="PIXELS",
    help="Distance that an object moves between frames at most (default: from the objects).",
)
@click.option(
    "--max-gap",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="Frames in which an object may be missing.",
)
@click.option("--divisions/--no-divisions", default=True, show_default=True, help="Objects divide.")
@click.option("--axes", help="Axes of the stacks, such as TYX, if the files do not name them.")
@click.option("--overwrite", is_flag=True, help="Replace the tracks in the folder.")
def track(
    labels: Path,
    image: Path | None,
    out: Path,
    max_distance: float | None,
    max_gap: int,
    divisions: bool,
    axes: str | None,
    overwrite: bool,
) -> dict[str, Any]:
    """Follow objects through a film: tracks and divisions.

    LABELS is a stack (TYX or TZYX), an OME-Zarr, or a folder with a label image for each frame. With
    IMAGE, the film itself, mean grey values are measured, and its pixel size and frame interval are used
    where LABELS has none. The folder is laid out as a result of the Cell Tracking Challenge (mask000.tif,
    res_track.txt), with a table of the tracks, tracks.csv, and the tracks for napari, napari_tracks.csv.

    \b
    Example:
      unetseg track film_labels.tif film.tif --out film_tracks
    """  # noqa: D301
    from unetseg.pipeline.label_film import open_image_film, open_label_film, scaled_like
    from unetseg.pipeline.linking import LinkSettings
    from unetseg.pipeline.tracking import check_folder, count_links, track_film, write_result

    check_folder(out, overwrite=overwrite)
    film = open_label_film(labels, axes)
    pictures = None if image is None else open_image_film(image, film, axes)
    film = film if pictures is None else scaled_like(film, pictures)
    settings = LinkSettings(max_distance, max_gap, divisions)
    with Progress(film.count, "frame") as bar:
        linked = track_film(film, pictures, settings, bar.add)
    write_result(out, film, linked, settings)
    counts = count_links(linked)
    show(f"{out}: {tracks_text(counts)}")
    return {**counts, "folder": out}


def tracks_text(counts: dict[str, int]) -> str:
    """How many tracks, divisions and closed gaps there are, in words.

    >>> tracks_text({"tracks": 7, "frames": 9, "divisions": 1, "gaps": 2})
    '7 tracks in 9 frames (divisions: 1, gaps closed: 2)'
    """
    tracks, frames = counted(counts["tracks"], "track"), counted(counts["frames"], "frame")
    return f"{tracks} in {frames} (divisions: {counts['divisions']}, gaps closed: {counts['gaps']})"
