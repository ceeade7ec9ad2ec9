"""Scores of label files on disk against truth files: single images, stacks, folders, challenge results."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.challenges import challenge_scores, inside_border, read_frame_labels
from unetseg.evaluation.em_sections import is_probability_map, score_sections
from unetseg.evaluation.paired_predictions import (
    CHALLENGE_TRUTH,
    by_frame_number,
    pair_files,
    result_files,
)
from unetseg.evaluation.truth_meaning import by_rank, ids_agree, truth_rule
from unetseg.evaluation.volumes import Spacing, volume_scores
from unetseg.files import plain_stem, replacing, write_json
from unetseg.images.nifti import read_images
from unetseg.images.whole import Stack, image_files, is_volume_file
from unetseg.scores import FrameTable, scores_of
from unetseg.settings import DataSettings
from unetseg.tasks.cell_tracking import read_truth
from unetseg.tasks.label_planes import label_plane
from unetseg.tasks.label_statistics import label_statistics
from unetseg.tasks.labels import LabelRule


@dataclass(frozen=True)
class Comparison:
    """Scores per frame and pooled, what the truth was taken for, and the label pairs that were scored.

    challenge: SEG, DET and OP_CSB of a challenge's result where its truth has markers, on the frames
    that `marked` tells of; else empty. pairs: empty for probability maps and class maps. volumes: the
    means over volumes, see `volume_scores`; empty for images. notes: for the user.
    """

    table: FrameTable
    meaning: str
    challenge: dict[str, float] = field(default_factory=dict)
    marked: str = ""
    pairs: tuple[Pair, ...] = ()
    volumes: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    rule, recognised, note = truth_rule([path for _, path in files], settings)
    every = list(_pairs(files, rule, settings))
    pairs = [(n, *(inside_border(t, p, border) if border else (t, p))) for (n, t, p), _ in every]
    if rule.meaning == "classes" and recognised.doubt and not ids_agree(pairs):
        rule = LabelRule("instances", not_annotated=rule.not_annotated)
        note = "labels: the predicted objects carry other values than the true ones, so they are ids"
    kind, classes = rule.kind, rule.classes
    if rule.meaning == "classes":
        pairs, classes = by_rank(pairs)
    try:
        table = score_pairs(pairs, kind, classes, names)
    except UserError as error:
        raise UserError(f"{error} The truth was taken as {rule.meaning}; --labels overrides.") from None
    volumes = volume_scores(pairs, [spacing for _, spacing in every], kind, classes)
    notes = (note,) if note else ()
    if kind == "classes":
        return Comparison(table, rule.meaning, volumes=volumes, notes=notes)
    challenge = _challenge(predicted, truth, pairs, border)
    return Comparison(table, rule.meaning, *challenge, tuple(pairs), volumes, notes)


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


def _pairs(
    files: Sequence[tuple[Path, Path]], rule: LabelRule, settings: DataSettings
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
            labels = rule.read(t, f"{truth}[{page}]")
            plane = _predicted(p, rule, f"{predicted}[{page}]" if len(found.pixels) > 1 else str(predicted))
            yield (name, labels, plane), true.spacing_um


def _challenge_pair(found: Stack, true: Stack) -> Pair:
    """A frame of a challenge: a plane, partly annotated perhaps, or a volume, whose objects are 3-D."""
    if len(true.pixels) == 1:
        _check_labels(found.pixels[0], str(found.path))
        plane = label_plane(found.pixels[0], str(found.path)).astype(np.int32)
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
    found = by_frame_number(result_files(predicted))
    markers = by_frame_number(image_files(truth / "TRA"))
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


def _predicted(pixels: np.ndarray, rule: LabelRule, name: str) -> np.ndarray:
    """Predicted labels (*yx) as they are; a 0/255 mask against a mask truth becomes components."""
    if rule.kind != "classes":
        _check_labels(pixels, name)
    if rule.meaning == "mask":
        mask = label_statistics(pixels, (), name)
        if mask.soft or len(mask.values) <= 1 or rule.kind == "classes":
            threshold = sum(mask.soft) / 2 if mask.soft else 0
            return replace(rule, threshold=threshold, not_annotated=()).read(pixels, name)
    return label_plane(pixels, name).astype(np.int32)


def _check_labels(pixels: np.ndarray, name: str) -> None:
    """Raise UserError for grey values: an image given for its labels would be scored without a word."""
    found = label_statistics(pixels, (), name)
    if found.grey:
        raise UserError(
            f"{name}: {len(found.values)} values in {found.components} pieces: an image, not labels. "
            "Give the label image that was predicted from it."
        )
