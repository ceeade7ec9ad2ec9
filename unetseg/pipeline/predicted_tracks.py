"""Tracks of predicted labels: which results are the frames of one film, and where its tracks go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.marks import read_mark
from unetseg.images.scale import time_and_slices
from unetseg.pipeline.label_film import in_order, open_frames, open_label_film
from unetseg.pipeline.linking import Linked, LinkSettings, check_laptrack
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.result_names import Target
from unetseg.pipeline.result_source import open_source
from unetseg.pipeline.tracking import check_folder, track_film, write_masks, write_result
from unetseg.tasks.track_files import RESULT, write_tracks

FRAMES = "tracks"
"""The folder of the tracks of a film whose frames are single files."""


@dataclass(frozen=True)
class TrackTarget:
    """The labels of one film, a stack or a file for each frame, and the folder that its tracks go to.

    challenge: the folder is that of the frames, which get the ids of the tracks.
    """

    labels: tuple[Path, ...]
    out: Path
    challenge: bool = False


def track_targets(targets: Sequence[Target], out: Path, options: PredictOptions) -> list[TrackTarget]:
    """The films among the images of a prediction; single images are the frames of one.

    Raises UserError, before anything is predicted, without laptrack, for images that are no film, and
    for a folder that holds something else.
    """
    check_laptrack()
    if options.challenge:
        sequences = dict.fromkeys(target.out.parent for target in targets)
        return [_sequence(folder, targets) for folder in sequences]
    films = [t for t in targets if _is_film(t, options)]
    found = [TrackTarget((t.out,), t.out.with_name(f"{_name(t.out)}_tracks")) for t in films]
    frames = [t.out for t in targets if t not in films]
    if frames:
        found.append(TrackTarget(tuple(in_order(out, frames)), out / FRAMES))
    for one in found:
        check_folder(one.out, overwrite=True)
    return found


def track_predicted(target: TrackTarget) -> Linked:
    """Track a film whose labels are predicted, and write its tracks."""
    settings = LinkSettings()
    film = open_label_film(target.labels[0]) if len(target.labels) == 1 else open_frames(target.labels)
    linked = track_film(film, settings=settings)
    if target.challenge:
        write_masks(target.out, film, linked, read_mark)
        write_tracks(target.out / RESULT, linked.tracks)
    else:
        write_result(target.out, film, linked, settings)
    return linked


def _sequence(folder: Path, targets: Sequence[Target]) -> TrackTarget:
    frames = in_order(folder, [target.out for target in targets if target.out.parent == folder])
    if int(frames[0].stem.removeprefix("mask")) != 0:
        raise UserError(f"{folder}: begins with {frames[0].name}. The challenge numbers frames from 0.")
    return TrackTarget(tuple(frames), folder, challenge=True)


def _is_film(target: Target, options: PredictOptions) -> bool:
    image = open_source(target, options)
    return time_and_slices(image.axes, image.scale)[0].get("t", 1) > 1


def _name(labels: Path) -> str:
    return plain_stem(labels).removesuffix("_labels")
