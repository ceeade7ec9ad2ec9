"""Scores of label files on disk against truth files: single images, stacks, folders, challenge results."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.challenge_folders import score_challenge
from unetseg.evaluation.challenges import inside_border
from unetseg.evaluation.em_sections import is_probability_map, score_sections
from unetseg.evaluation.label_files import check_no_image, one_plane, read_label_pair, size_text
from unetseg.evaluation.paired_predictions import CHALLENGE_TRUTH, FilePair, pair_files, pair_stem
from unetseg.evaluation.restoration_methods import Methods
from unetseg.evaluation.restored_files import score_restored, scores_images
from unetseg.evaluation.scoring import Scoring
from unetseg.evaluation.truth_meaning import by_rank, ids_agree, truth_rule
from unetseg.evaluation.volumes import Spacing, volume_scores
from unetseg.files import replacing, write_json
from unetseg.images.formats import is_volume_file
from unetseg.images.whole import Stack
from unetseg.sample import NOT_ANNOTATED
from unetseg.scores import FrameTable, scores_of
from unetseg.settings import DataSettings
from unetseg.tasks.cell_tracking import read_truth
from unetseg.tasks.label_formats import holds_objects
from unetseg.tasks.label_planes import label_plane
from unetseg.tasks.label_statistics import label_statistics
from unetseg.tasks.labels import LabelRule


@dataclass(frozen=True)
class Comparison:
    """Scores per frame and pooled, how the truth was read, and the label pairs that were scored.

    challenge: SEG, DET and OP_CSB of a challenge's result if its truth has markers, on the frames
    that `marked` describes; else empty. pairs: empty for probability maps and class maps. volumes: the
    means over volumes, see `volume_scores`; empty for images. notes: for the user. methods: the means over
    restored images by each method.
    """

    table: FrameTable
    meaning: str
    challenge: dict[str, float] = field(default_factory=dict)
    marked: str = ""
    pairs: tuple[Pair, ...] = ()
    volumes: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    methods: Methods = field(default_factory=dict)


def score_files(truth: Path, predicted: Path, data: DataSettings, scoring: Scoring) -> Comparison:
    """The scores of `predicted` against `truth`.

    Both are files, or both folders whose files pair by name; STEM_labels.tif goes with STEM.tif,
    and a challenge's 01_RES/mask000.tif with 01_GT/SEG/man_seg000.tif. Probability maps get the
    scores of EM sections, and restored images those of `score_restored`. Where any file is NIfTI, or with
    `data.volumes`, every file is one volume.
    """
    if scores_images(predicted, scoring):
        restored, methods = score_restored(truth, predicted, scoring)
        return Comparison(restored, "clean images", methods=methods)
    names = scoring.names
    of_maps = any(name in scores_of("probabilities") for name in names)
    files = pair_files(truth, predicted, maps=of_maps, missing_as_empty=scoring.missing_as_empty)
    maps = next(found for _, found in files if found)
    if data.volumes or any(is_volume_file(path) for pair in files for path in pair if path):
        data = replace(data, volumes=True)
    elif of_maps or (not names and not holds_objects(maps) and is_probability_map(maps)):
        return Comparison(score_sections(files, names), "cells of EM sections")
    rule, recognised, note = truth_rule([path for path, _ in files], data)
    every = list(_pairs(files, rule, data))
    pairs = [(name, *_counted(true, found, scoring)) for (name, true, found), _ in every]
    if rule.meaning == "classes" and recognised.doubt and not ids_agree(pairs):
        rule = LabelRule("instances", not_annotated=rule.not_annotated)
        note = "labels: the predicted objects have other values than the true ones, so the values are ids"
    kind, classes = rule.kind, rule.classes
    if rule.meaning == "classes":
        pairs, classes = by_rank(pairs)
    try:
        table = score_pairs(pairs, kind, classes, names)
    except UserError as error:
        raise UserError(f"{error} The truth was read as {rule.meaning}; --labels overrides this.") from None
    volumes = volume_scores(pairs, [spacing for _, spacing in every], kind, classes)
    notes = tuple(filter(None, (note, missing_note(files), partly_note(table))))
    if kind == "classes":
        return Comparison(table, rule.meaning, volumes=volumes, notes=notes)
    challenge = score_challenge(truth, predicted, pairs, scoring)
    return Comparison(table, rule.meaning, *challenge, tuple(pairs), volumes, notes)


def missing_note(files: Sequence[FilePair]) -> str:
    """How many predictions are missing and count as empty; empty if none is."""
    missing = [truth for truth, predicted in files if predicted is None]
    if not missing:
        return ""
    return f"{len(missing)} of {len(files)} have no prediction and count as empty: {missing[0].name}, …"


def partly_note(table: FrameTable) -> str:
    """What the scores mean where frames are partly annotated; empty if none is."""
    if not table.partly_annotated:
        return ""
    return (
        f"{table.partly_annotated} of {len(table.frames)} frames are partly annotated: there only annotated "
        "objects count, and predicted objects elsewhere are not judged"
    )


def write_table(found: Comparison, path: Path) -> None:
    """The table as CSV (a row per frame and a last row "all") or JSON, by the path's ending.

    The JSON also has the totals of a challenge and of volumes, under these names, if there are any.
    """
    check_table_path(path)
    if path.suffix.lower() == ".json":
        write_json(path, score_values(found))
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *found.table.names])
        writer.writerows([frame, *values] for frame, values in _rows(found.table))


def score_values(found: Comparison) -> dict[str, dict[str, Any]]:
    """The scores by name: of each frame, of "all", and any totals of a challenge, of volumes, of methods."""
    scores: dict[str, dict[str, Any]] = {
        frame: dict(zip(found.table.names, v, strict=True)) for frame, v in _rows(found.table)
    }
    totals: dict[str, dict[str, Any]] = {
        "challenge": found.challenge,
        "volumes": found.volumes,
        "methods": found.methods,
    }
    return scores | {name: values for name, values in totals.items() if values}


def _rows(table: FrameTable) -> list[tuple[str, list[float]]]:
    return [*zip(table.frames, table.values.tolist(), strict=True), ("all", table.pooled.tolist())]


def check_table_path(path: Path) -> None:
    """Raise UserError for an ending other than .csv and .json."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"{path}: scores are written as .csv or .json.")


def _pairs(files: Sequence[FilePair], rule: LabelRule, data: DataSettings) -> Iterator[tuple[Pair, Spacing]]:
    """The pairs of pages, or of volumes, and their truth's pixel size."""
    for truth, predicted in files:
        true, found = read_label_pair(truth, predicted, volumes=data.volumes)
        challenge = CHALLENGE_TRUTH.fullmatch(truth.name)
        if challenge and challenge[2] and predicted:
            found = one_plane(found, int(challenge[2]))
        if size_text(found) != size_text(true):
            raise UserError(
                f"{predicted} is {size_text(found)} and {truth} {size_text(true)}: the sizes must agree."
            )
        if challenge:
            yield _challenge_pair(true, found), true.spacing_um
            continue
        for page, (t, p) in enumerate(zip(true.pixels, found.pixels, strict=True)):
            stem = pair_stem(truth, predicted)
            name = f"{stem}[{page}]" if len(true.pixels) > 1 else stem
            labels = rule.read(t, f"{truth}[{page}]")
            plane = _predicted(p, rule, f"{predicted}[{page}]" if len(found.pixels) > 1 else str(predicted))
            yield (name, labels, plane), true.spacing_um


def _challenge_pair(true: Stack, found: Stack) -> Pair:
    """A frame of a challenge: a plane, partly annotated perhaps, or a volume, whose objects are 3-D."""
    if len(true.pixels) == 1:
        check_no_image(found.pixels[0], str(found.path))
        plane = label_plane(found.pixels[0], str(found.path)).astype(np.int32)
        return true.path.stem, read_truth(true.path), plane
    volumes = [np.stack([label_plane(page, str(s.path)) for page in s.pixels]) for s in (true, found)]
    return true.path.stem, volumes[0].astype(np.int32), volumes[1].astype(np.int32)


def _counted(
    truth: NDArray[Any], predicted: NDArray[Any], scoring: Scoring
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and prediction without the objects in the border; background is ignored where it is not known."""
    if scoring.border:
        truth, predicted = inside_border(truth, predicted, scoring.border)
    return (np.where(truth > 0, truth, NOT_ANNOTATED) if scoring.partly_annotated else truth), predicted


def _predicted(pixels: np.ndarray, rule: LabelRule, name: str) -> np.ndarray:
    """Predicted labels (*yx) as they are; a 0/255 mask against a mask truth becomes components."""
    if rule.kind != "classes":
        check_no_image(pixels, name)
    if rule.meaning == "mask":
        mask = label_statistics(pixels, (), name)
        if mask.soft or len(mask.values) <= 1 or rule.kind == "classes":
            threshold = sum(mask.soft) / 2 if mask.soft else 0
            return replace(rule, threshold=threshold, not_annotated=()).read(pixels, name)
    return label_plane(pixels, name).astype(np.int32)
