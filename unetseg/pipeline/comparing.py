"""Scores of label files on disk against truth files: single images, stacks, folders, challenge results."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.io import image_files, read_stack, replacing
from unetseg.pipeline.scoring import Pair, score_pairs
from unetseg.sample import Kind
from unetseg.scores import FrameTable
from unetseg.settings import DataSettings
from unetseg.tasks.labels import Meaning, label_facts, label_plane, read_labels, recognise

ENDING = re.compile(r"[-_. ](labels?|masks?|classes|gt|seg|probabilities)$", re.IGNORECASE)


def score_files(
    predicted: Path, truth: Path, settings: DataSettings, names: Sequence[str]
) -> tuple[FrameTable, str]:
    """The scores of `predicted` against `truth`, and what the truth was taken for.

    Both are files, or both folders whose files pair by name; STEM_labels.tif goes with STEM.tif,
    and a challenge's 01_RES/mask000.tif with 01_GT/SEG/man_seg000.tif.
    """
    files = pair_files(predicted, truth)
    planes = [
        label_plane(p, f"{b}[{i}]")
        for _, b in files
        for i, p in enumerate(read_stack(b, palette=True).pixels)
    ]
    facts = [label_facts(p, settings.not_annotated) for p in planes]
    meaning: Meaning = recognise(facts) if settings.labels == "auto" else settings.labels
    if _is_challenge(truth):
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
    truth_folder = truth / "SEG" if _is_challenge(truth) else truth
    found = {_key(p): p for p in image_files(predicted)}
    pairs = []
    for path in image_files(truth_folder):
        if _key(path) not in found:
            raise UserError(f"{path}: {predicted} has no prediction for it. Predict every image first.")
        pairs.append((found[_key(path)], path))
    if not pairs:
        raise UserError(f"{truth_folder}: no TIFF or PNG label image in it.")
    return pairs


def write_table(table: FrameTable, path: Path) -> None:
    """The table as CSV (a row per frame and a last row "all") or JSON, by the path's ending."""
    rows = [*zip(table.frames, table.values.tolist(), strict=True), ("all", table.pooled.tolist())]
    if path.suffix not in (".csv", ".json"):
        raise UserError(f"{path}: scores are written as .csv or .json.")
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            writer = csv.writer(file)
            writer.writerow(["frame", *table.names])
            writer.writerows([frame, *values] for frame, values in rows)
        else:
            json.dump({f: dict(zip(table.names, v, strict=True)) for f, v in rows}, file, indent=2)


def _pairs(files: Sequence[tuple[Path, Path]], meaning: Meaning, settings: DataSettings) -> Iterator[Pair]:
    for predicted, truth in files:
        found, true = read_stack(predicted, palette=True), read_stack(truth, palette=True)
        if len(found.pixels) != len(true.pixels):
            raise UserError(
                f"{predicted} has {len(found.pixels)} pages and {truth} {len(true.pixels)}; "
                "they must be as many."
            )
        for page, (p, t) in enumerate(zip(found.pixels, true.pixels, strict=True)):
            name = f"{truth.stem}[{page}]" if len(true.pixels) > 1 else truth.stem
            labels = read_labels(t, meaning, settings.not_annotated, f"{truth}[{page}]")
            yield name, labels, _predicted(label_plane(p, f"{predicted}[{page}]"), meaning)


def _predicted(plane: np.ndarray, meaning: Meaning) -> np.ndarray:
    """Predicted labels as they are; a 0/255 mask against a mask truth becomes components."""
    if meaning == "mask" and len(np.unique(plane[plane != 0])) <= 1:
        return read_labels(plane[None], "mask", (), "prediction")
    return plane.astype(np.int32)


def _is_challenge(folder: Path) -> bool:
    return (folder / "SEG").is_dir()


def _key(path: Path) -> str:
    """What pairs two names: without _labels and the like; the frame number of challenge files."""
    challenge = re.fullmatch(r"(?:mask|man_seg)(\d{3,4})", path.stem)
    return challenge[1] if challenge else ENDING.sub("", path.stem.removesuffix(".ome"))
