"""Scores of label files on disk against truth files: single images, stacks, folders, challenge results."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.io import TIFF_ENDINGS, Stack, image_files, plain_stem, read_stack, replacing, write_json
from unetseg.pipeline.scoring import Pair, score_pairs
from unetseg.sample import Kind
from unetseg.scores import FrameTable
from unetseg.settings import DataSettings
from unetseg.tasks.cell_tracking import read_truth
from unetseg.tasks.labels import LabelFacts, Meaning, label_facts, label_plane, read_labels, recognise

ENDING = re.compile(r"[-_. ](labels?|masks?|classes|gt|seg|probabilities)$", re.IGNORECASE)
CHALLENGE_TRUTH = re.compile(r"man_seg\d{3,4}\.tif")


def score_files(
    predicted: Path, truth: Path, settings: DataSettings, names: Sequence[str]
) -> tuple[FrameTable, str]:
    """The scores of `predicted` against `truth`, and what the truth was taken for.

    Both are files, or both folders whose files pair by name; STEM_labels.tif goes with STEM.tif,
    and a challenge's 01_RES/mask000.tif with 01_GT/SEG/man_seg000.tif.
    """
    files = pair_files(predicted, truth)
    truths = [path for _, path in files]
    facts = [f for path in truths for f in _facts(path, settings.not_annotated)]
    meaning: Meaning = recognise(facts) if settings.labels == "auto" else settings.labels
    if all(CHALLENGE_TRUTH.fullmatch(path.name) for path in truths):
        meaning = "instances"
    kind: Kind = "classes" if meaning == "classes" else "instances"
    top = max(max(f.values, default=1) for f in facts)
    pairs = list(_pairs(files, meaning, settings))
    classes = settings.classes or max(top, max(int(p.max(initial=0)) for _, _, p in pairs)) + 1
    return score_pairs(pairs, kind, classes if kind == "classes" else 2, names), meaning


def pair_files(predicted: Path, truth: Path) -> list[tuple[Path, Path]]:
    """(predicted, truth) files; every truth must have its prediction."""
    for path in (predicted, truth):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
    if predicted.is_file() and truth.is_file():
        return [(predicted, truth)]
    if predicted.is_file() or truth.is_file():
        raise UserError(f"{predicted} and {truth}: give two files or two folders.")
    truth_folder = truth / "SEG" if (truth / "SEG").is_dir() else truth
    found = _by_key(predicted)
    pairs = []
    for key, path in _by_key(truth_folder).items():
        if key not in found:
            raise UserError(
                f"{path}: {predicted} has no prediction for it (no file named {key!r}, {key}_labels "
                "or the like). Predict every image first."
            )
        pairs.append((found[key], path))
    if not pairs:
        raise UserError(f"{truth_folder}: no TIFF or PNG label image in it.")
    return pairs


def write_table(table: FrameTable, path: Path) -> None:
    """The table as CSV (a row per frame and a last row "all") or JSON, by the path's ending."""
    check_table_path(path)
    rows = [*zip(table.frames, table.values.tolist(), strict=True), ("all", table.pooled.tolist())]
    if path.suffix.lower() == ".json":
        write_json(path, {frame: dict(zip(table.names, v, strict=True)) for frame, v in rows})
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *table.names])
        writer.writerows([frame, *values] for frame, values in rows)


def check_table_path(path: Path) -> None:
    """Raises UserError for an ending that is no table's."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"{path}: scores are written as .csv or .json.")


def _facts(path: Path, not_annotated: Sequence[int]) -> Iterator[LabelFacts]:
    for i, page in enumerate(read_stack(path, palette=True).pixels):
        yield label_facts(label_plane(page, f"{path}[{i}]"), not_annotated)


def _pairs(files: Sequence[tuple[Path, Path]], meaning: Meaning, settings: DataSettings) -> Iterator[Pair]:
    for predicted, truth in files:
        found, true = read_stack(predicted, palette=True), read_stack(truth, palette=True)
        if _shape(found) != _shape(true):
            raise UserError(
                f"{predicted} is {_shape(found)} and {truth} {_shape(true)}; they must be the same."
            )
        for page, (p, t) in enumerate(zip(found.pixels, true.pixels, strict=True)):
            name = f"{truth.stem}[{page}]" if len(true.pixels) > 1 else truth.stem
            if CHALLENGE_TRUTH.fullmatch(truth.name):
                labels = read_truth(truth)
            else:
                labels = read_labels(t, meaning, settings.not_annotated, f"{truth}[{page}]")
            yield name, labels, _predicted(label_plane(p, f"{predicted}[{page}]"), meaning)


def _shape(stack: Stack) -> str:
    pages, _, height, width = stack.pixels.shape
    return f"{pages} pages of {height}×{width} pixels"


def _predicted(plane: np.ndarray, meaning: Meaning) -> np.ndarray:
    """Predicted labels as they are; a 0/255 mask against a mask truth becomes components."""
    if meaning == "mask" and len(np.unique(plane[plane != 0])) <= 1:
        return read_labels(plane[None], "mask", (), "prediction")
    return plane.astype(np.int32)


def _key(path: Path) -> str:
    """What pairs two names: without _labels and the like; the frame number of challenge files."""
    challenge = re.fullmatch(r"(?:mask|man_seg)(\d{3,4})", path.stem)
    return challenge[1] if challenge else ENDING.sub("", plain_stem(path))


def _by_key(folder: Path) -> dict[str, Path]:
    """The label files of a folder by what pairs them; a PNG beside a TIFF of its name is its picture."""
    files = image_files(folder)
    tiffs = {plain_stem(p) for p in files if p.suffix.lower() in TIFF_ENDINGS}
    named: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() == ".png" and plain_stem(path) in tiffs:
            continue
        first = named.setdefault(_key(path), path)
        if first != path:
            raise UserError(
                f"{first} and {path.name}: two files for the name {_key(path)!r}. Move one away, or "
                "score the two files themselves."
            )
    return named
