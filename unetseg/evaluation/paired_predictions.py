"""Pairs of predicted and true label files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.formats import image_files
from unetseg.images.kept_maps import PROBABILITIES, UNCERTAINTY
from unetseg.tasks.label_formats import object_files
from unetseg.tasks.label_formats.coco import coco_names, places_of
from unetseg.tasks.pairing import bare_name, pair_names, without_word

CHALLENGE_TRUTH = re.compile(r"man_seg_?(\d{3,4})(?:_(\d{3,4}))?\.tif")
"""man_seg007.tif of frame 7; man_seg_007_012.tif of its slice 12, where only slices were annotated."""
REMEDY = "Move one away, or score the two files themselves."


FilePair = tuple[Path, Path | None]
"""A true label file and its prediction; None where that is missing and counts as empty."""


def pair_files(
    truth: Path, predicted: Path, *, maps: bool = False, missing_as_empty: bool = False
) -> list[FilePair]:
    """(true, predicted) files, paired as `pair_names` does.

    Every truth must have its prediction, unless a missing one counts as empty. Where a folder has both
    labels and probabilities of an image, `maps` selects the probabilities.
    """
    for path in (predicted, truth):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
    if predicted.is_file() and truth.is_file():
        return [(truth, predicted)]
    if predicted.is_dir() and (listed := _listed(truth, every_label_file(label_folder(predicted), maps))):
        return listed
    if predicted.is_file() or truth.is_file():
        raise UserError(f"{predicted} and {truth}: give two files or two folders.")
    truth_folder, predictions = label_folder(truth), every_label_file(label_folder(predicted), maps)
    frames = _by_frame(every_label_file(truth_folder))
    found = pair_names(list(frames), predictions, REMEDY)
    if not frames:
        raise UserError(f"{truth_folder}: has no label image and no file of outlines.")
    lone = [path for frame in found.lone_first for path in frames[frame]]
    if lone and not (missing_as_empty and found.pairs):
        raise missing_predictions(lone, predicted, len(frames))
    partner = dict(found.pairs)
    return [(path, partner.get(frame)) for frame, paths in sorted(frames.items()) for path in paths]


def pair_stem(truth: Path, predicted: Path | None) -> str:
    """The name of a pair: of the truth, or of the prediction where one COCO file holds all the truth."""
    if predicted is not None and truth.suffix.lower() == ".json":
        return without_word(predicted)
    return plain_stem(truth)


def missing_predictions(lone: Sequence[Path], predicted: Path, count: int) -> UserError:
    """The error about truth without a prediction: the first one, how many there are, and what to do."""
    others = f" {len(lone)} of {count} have none." if len(lone) > 1 else ""
    return UserError(
        f"{lone[0]}: {predicted} has no prediction for it (no file named {plain_stem(lone[0])}, "
        f"{plain_stem(lone[0])}_labels or the like).{others} Predict every image, or count what is "
        "missing as empty (unetseg score --missing-as-empty)."
    )


def label_folder(folder: Path) -> Path:
    """Where a folder keeps its label images: SEG of a challenge's 01_GT or 01_ST, else the folder itself."""
    return folder / "SEG" if (folder / "SEG").is_dir() else folder


def result_files(folder: Path, maps: bool = False) -> list[Path]:
    """The label files of a folder; a PNG beside another file of its name is only a picture of it.

    If an image has both labels and STEM_probabilities.tif, the labels are used, or with `maps` the other.
    STEM_uncertainty.tif is neither.
    """
    every = [p for p in image_files(folder) if not plain_stem(p).endswith(f"_{UNCERTAINTY}")]
    is_map = {p: plain_stem(p).endswith(f"_{PROBABILITIES}") for p in every}
    wanted = {without_word(p) for p in every if is_map[p] == maps}
    files = [p for p in every if is_map[p] == maps or without_word(p) not in wanted]
    pictured = {plain_stem(p) for p in files if p.suffix.lower() != ".png"}
    return [p for p in files if p.suffix.lower() != ".png" or plain_stem(p) not in pictured]


def every_label_file(folder: Path, maps: bool = False) -> list[Path]:
    """The label images of a folder, as `result_files`, and files of outlines that have none beside them.

    Outlines beside a label image of their name were exported from it.
    """
    images = result_files(folder, maps)
    names = {bare_name(path) for path in images}
    return [*images, *(path for path in object_files(folder) if bare_name(path) not in names)]


def _listed(truth: Path, predictions: Sequence[Path]) -> list[FilePair]:
    """The predictions of images that one COCO file lists, which is the truth, each with it.

    Empty if the truth is no such file. Raises UserError if a listed image has no prediction.
    """
    files = [truth] if truth.is_file() else every_label_file(label_folder(truth))
    if len(files) != 1 or files[0].suffix.lower() != ".json":
        return []
    names = coco_names(files[0])
    found = {path: places for path in predictions if (places := places_of(path.name, names))}
    lone = [name for at, name in enumerate(names) if not any(at in places for places in found.values())]
    if lone:
        raise missing_predictions([Path(name) for name in lone], predictions[0].parent, len(names))
    return [(files[0], path) for path in found]


def by_frame_number(paths: Sequence[Path]) -> dict[str, Path]:
    """Files of a time-lapse by frame number: mask007.tif, t007_labels.tif and man_track007.tif are "007"."""
    return {bare_name(p): p for p in paths}


def _by_frame(truths: Sequence[Path]) -> dict[Path, list[Path]]:
    """The files by name; those of several slices of a frame are grouped under the name of the frame."""
    frames: dict[Path, list[Path]] = {}
    for path in truths:
        challenge = CHALLENGE_TRUTH.fullmatch(path.name)
        name = path.with_name(f"man_seg{challenge[1]}.tif") if challenge and challenge[2] else path
        frames.setdefault(name, []).append(path)
    return frames
