"""Scores of label files on disk against truth files: single images, stacks, folders, challenge results."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.challenges import challenge_scores, inside_border, read_frame_labels
from unetseg.evaluation.em_sections import is_probability_map, score_sections
from unetseg.evaluation.volumes import Spacing, volume_scores
from unetseg.files import by_name, plain_stem, replacing, write_json
from unetseg.images.nifti import read_images
from unetseg.images.whole import Stack, image_files, is_volume_file
from unetseg.sample import LabelKind
from unetseg.scores import FrameTable, scores_of
from unetseg.settings import DataSettings
from unetseg.tasks.cell_tracking import read_truth
from unetseg.tasks.labels import (
    MOST_CLASSES,
    LabelStatistics,
    Meaning,
    label_plane,
    label_statistics,
    read_labels,
    recognise,
)

ENDING = re.compile(r"[-_. ](labels?|masks?|classes|gt|seg|probabilities)$", re.IGNORECASE)
CHALLENGE_TRUTH = re.compile(r"man_seg_?(\d{3,4})(?:_(\d{3,4}))?\.tif")
"""man_seg007.tif of frame 7; man_seg_007_012.tif of its slice 12, where only slices were annotated."""

SCATTERED = 20
"""Pieces per label above which a prediction is an image: labels have one or a few each."""


@dataclass(frozen=True)
class Comparison:
    """Scores per frame and pooled, what the truth was taken for, and the label pairs that were scored.

    challenge: SEG, DET and OP_CSB of a challenge's result where its truth has markers, on the frames
    that `marked` tells of; else empty. pairs: empty for probability maps and class maps. volumes: the
    means over volumes, see `volume_scores`; empty for images.
    """

    table: FrameTable
    meaning: str
    challenge: dict[str, float] = field(default_factory=dict)
    marked: str = ""
    pairs: tuple[Pair, ...] = ()
    volumes: dict[str, float] = field(default_factory=dict)


def score_files(
    predicted: Path, truth: Path, settings: DataSettings, names: Sequence[str], border: int = 0
) -> Comparison:
    """The scores of `predicted` against `truth`.

    Both are files, or both folders whose files pair by name; STEM_labels.tif goes with STEM.tif,
    and a challenge's 01_RES/mask000.tif with 01_GT/SEG/man_seg000.tif. With a border, objects that
    lie wholly within so many pixels of the image's edge do not count. Probability maps get the
    scores of EM sections. Where any file is NIfTI, or with `settings.volumes`, every file is one volume.
    """
    of_maps = any(name in scores_of("probabilities") for name in names)
    files = pair_files(predicted, truth, maps=of_maps)
    if settings.volumes or any(is_volume_file(path) for pair in files for path in pair):
        settings = replace(settings, volumes=True)
    elif of_maps or (not names and is_probability_map(files[0][0])):
        return Comparison(score_sections(files, names), "cells of EM sections")
    truths = [path for _, path in files]
    facts = [f for path in truths for f in _facts(path, settings)]
    meaning: Meaning = recognise(facts) if settings.labels == "auto" else settings.labels
    if all(CHALLENGE_TRUTH.fullmatch(path.name) for path in truths):
        meaning = "instances"
    kind: LabelKind = "classes" if meaning == "classes" else "instances"
    top = max(max(f.values, default=1) for f in facts)
    every = list(_pairs(files, meaning, settings))
    pairs = [(n, *(inside_border(t, p, border) if border else (t, p))) for (n, t, p), _ in every]
    classes = settings.classes or max(top, max(int(p.max(initial=0)) for _, _, p in pairs)) + 1
    try:
        table = score_pairs(pairs, kind, classes if kind == "classes" else 2, names)
    except UserError as error:
        raise UserError(f"{error} The truth was taken as {meaning}; --labels overrides.") from None
    volumes = volume_scores(pairs, [spacing for _, spacing in every], kind, classes)
    if kind == "classes":
        return Comparison(table, meaning, volumes=volumes)
    return Comparison(table, meaning, *_challenge(predicted, truth, pairs, border), tuple(pairs), volumes)


def pair_files(predicted: Path, truth: Path, *, maps: bool = False) -> list[tuple[Path, Path]]:
    """(predicted, truth) files; every truth must have its prediction.

    Where a folder has both labels and probabilities of an image, `maps` takes the probabilities.
    """
    for path in (predicted, truth):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
    if predicted.is_file() and truth.is_file():
        return [(predicted, truth)]
    if predicted.is_file() or truth.is_file():
        raise UserError(f"{predicted} and {truth}: give two files or two folders.")
    truth_folder = truth / "SEG" if (truth / "SEG").is_dir() else truth
    found = _by_key(predicted, maps)
    pairs = []
    for name, path in _by_key(truth_folder).items():
        challenge = CHALLENGE_TRUTH.fullmatch(path.name)
        key = challenge[1] if challenge else name
        if key not in found:
            raise UserError(
                f"{path}: {predicted} has no prediction for it (no file named {key!r}, {key}_labels "
                "or the like). Predict every image first."
            )
        pairs.append((found[key], path))
    if not pairs:
        raise UserError(f"{truth_folder}: no TIFF, PNG or NIfTI label image in it.")
    return pairs


def write_table(found: Comparison, path: Path) -> None:
    """The table as CSV (a row per frame and a last row "all") or JSON, by the path's ending.

    The JSON has the totals of a challenge and of volumes too, under these names, where there are any.
    """
    check_table_path(path)
    table, totals = found.table, {"challenge": found.challenge, "volumes": found.volumes}
    rows = [*zip(table.frames, table.values.tolist(), strict=True), ("all", table.pooled.tolist())]
    if path.suffix.lower() == ".json":
        scores = {frame: dict(zip(table.names, v, strict=True)) for frame, v in rows}
        write_json(path, scores | {name: values for name, values in totals.items() if values})
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *table.names])
        writer.writerows([frame, *values] for frame, values in rows)


def check_table_path(path: Path) -> None:
    """Raises UserError for an ending that is no table's."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"{path}: scores are written as .csv or .json.")


def _facts(path: Path, settings: DataSettings) -> Iterator[LabelStatistics]:
    for i, page in enumerate(read_images(path, volumes=settings.volumes, palette=True).pixels):
        yield label_statistics(label_plane(page, f"{path}[{i}]"), settings.not_annotated)


def _pairs(
    files: Sequence[tuple[Path, Path]], meaning: Meaning, settings: DataSettings
) -> Iterator[tuple[Pair, Spacing]]:
    """The pairs of pages, or of volumes, and their truth's pixel size."""
    for predicted, truth in files:
        found, true = (read_images(p, volumes=settings.volumes, palette=True) for p in (predicted, truth))
        challenge = CHALLENGE_TRUTH.fullmatch(truth.name)
        if challenge and challenge[2]:
            found = _slice(found, int(challenge[2]))
        if _shape(found) != _shape(true):
            raise UserError(
                f"{predicted} is {_shape(found)} and {truth} {_shape(true)}; they must be the same."
            )
        if challenge:
            yield _challenge_pair(found, true), true.spacing_um
            continue
        for page, (p, t) in enumerate(zip(found.pixels, true.pixels, strict=True)):
            name = f"{plain_stem(truth)}[{page}]" if len(true.pixels) > 1 else plain_stem(truth)
            labels = read_labels(t, meaning, settings.not_annotated, f"{truth}[{page}]")
            plane = _predicted(label_plane(p, f"{predicted}[{page}]"), meaning, predicted)
            yield (name, labels, plane), true.spacing_um


def _challenge_pair(found: Stack, true: Stack) -> Pair:
    """A frame of a challenge: a plane, partly annotated perhaps, or a volume, whose objects are 3-D."""
    if len(true.pixels) == 1:
        plane = label_plane(found.pixels[0], str(found.path)).astype(np.int32)
        _check_labels(plane, found.path)
        return true.path.stem, read_truth(true.path), plane
    volumes = [np.stack([label_plane(page, str(s.path)) for page in s.pixels]) for s in (true, found)]
    return true.path.stem, volumes[0].astype(np.int32), volumes[1].astype(np.int32)


def _slice(found: Stack, z: int) -> Stack:
    """The plane of a result volume that a slice of the truth is compared with."""
    if z >= len(found.pixels):
        raise UserError(f"{found.path}: {len(found.pixels)} planes, but the truth has one of plane {z}.")
    return Stack(found.path, found.pixels[z : z + 1], found.spacing_um)


def _challenge(
    predicted: Path, truth: Path, pairs: Sequence[Pair], border: int
) -> tuple[dict[str, float], str]:
    """SEG, DET and OP_CSB where 01_GT/TRA has markers, and how many of its frames have a result."""
    if not (truth / "TRA").is_dir():
        return {}, ""
    found = _by_key(predicted)
    markers = {_key(path): path for path in image_files(truth / "TRA")}
    marked = [
        inside_border(read_frame_labels(path), read_frame_labels(found[key]), border)
        for key, path in markers.items()
        if key in found
    ]
    scores = challenge_scores([(t, p) for _, t, p in pairs], marked)
    return scores, f"{len(marked)} of {len(markers)} frames with markers"


def _shape(stack: Stack) -> str:
    pages, _, *sizes = stack.pixels.shape
    if len(sizes) == 3:
        return f"a volume of {'×'.join(map(str, sizes))} voxels (z, y, x)"
    return f"{pages} pages of {'×'.join(map(str, sizes))} pixels"


def _predicted(plane: np.ndarray, meaning: Meaning, path: Path) -> np.ndarray:
    """Predicted labels (*yx) as they are; a 0/255 mask against a mask truth becomes components."""
    if meaning != "classes":
        _check_labels(plane, path)
    if meaning == "mask" and len(np.unique(plane[plane != 0])) <= 1:
        return read_labels(plane[None], "mask", (), "prediction")
    return plane.astype(np.int32)


def _check_labels(plane: np.ndarray, path: Path) -> None:
    """Raise UserError for grey values: an image given for its labels would be scored without a word."""
    facts = label_statistics(plane, ())
    if facts.components > SCATTERED * len(facts.values) > SCATTERED * MOST_CLASSES:
        raise UserError(
            f"{path}: {len(facts.values)} values in {facts.components} pieces: an image, not labels. "
            "Give the label image that was predicted from it."
        )


def _key(path: Path) -> str:
    """What pairs two names: without _labels and the like; the frame number of challenge files."""
    challenge = re.fullmatch(r"(?:mask|man_track|man_seg_?)(\d{3,4}(?:_\d{3,4})?)", path.stem)
    return challenge[1] if challenge else ENDING.sub("", plain_stem(path))


def _by_key(folder: Path, maps: bool = False) -> dict[str, Path]:
    """The label files of a folder by what pairs them; a PNG beside another file of its name is its picture.

    Of labels and STEM_probabilities.tif of the same name the labels are taken, or with `maps` the other.
    """
    every = image_files(folder)
    is_map = {p: plain_stem(p).endswith("_probabilities") for p in every}
    wanted = {_key(p) for p in every if is_map[p] == maps}
    files = [p for p in every if is_map[p] == maps or _key(p) not in wanted]
    pictured = {plain_stem(p) for p in files if p.suffix.lower() != ".png"}
    labels = [p for p in files if p.suffix.lower() != ".png" or plain_stem(p) not in pictured]
    return by_name(labels, _key, "Move one away, or score the two files themselves.")
