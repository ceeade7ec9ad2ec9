"""A lab's own data: ROOT/images and ROOT/labels (or ROOT/masks), paired by name.

TIFF (also ImageJ and OME) or PNG; single images or stacks of pages; grey, RGB or several
channels. A label file has its image's name, perhaps with an ending such as _mask or _labels.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.io import Stack, by_name, image_files, plain_stem, read_stack
from unetseg.sample import Entry, Kind, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.labels import (
    LabelFacts,
    Meaning,
    count_of_classes,
    describe,
    label_facts,
    label_plane,
    read_labels,
    recognise,
)
from unetseg.tasks.listing import Listing

LABEL_FOLDERS = ("labels", "masks")
COLLISION = "Keep one, or rename the other with its partner."
ADDED = re.compile(r"[-_. ](labels?|(cp_)?masks?|gt|seg|segmentation|annotations?)$", re.IGNORECASE)


def listing(root: Path, settings: DataSettings) -> Listing:
    """Every labelled image or page: group = file name without ending, index = page."""
    _stack.cache_clear()  # files may have changed since
    pairs = paired_files(root)
    facts: list[LabelFacts] = []
    pages: list[tuple[Path, Path, int]] = []
    for image, label in pairs:
        stack = _labels_of(image, label)
        planes = [label_plane(p, f"{label}[{i}]") for i, p in enumerate(stack.pixels)]
        facts += [label_facts(p, settings.not_annotated) for p in planes]
        pages += [(image, label, i) for i in range(len(planes))]
    chosen = settings.labels != "auto"
    meaning: Meaning = recognise(facts) if settings.labels == "auto" else settings.labels
    if not any(f.values for f in facts):
        raise UserError(f"{root}: every label image is empty (0 everywhere). Nothing can be learnt.")
    entries = [_entry(image, label, i, meaning, settings) for image, label, i in pages]
    kind: Kind = "classes" if meaning == "classes" else "instances"
    classes = count_of_classes(meaning, facts, settings.classes, str(root))
    return Listing(tuple(entries), classes, kind, (describe(meaning, facts, chosen),))


def paired_files(root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files of the same name; an image or label without partner is an error."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the folder that holds images/ and labels/.")
    label_folder = _label_folder(root)
    images = by_name(image_files(root / "images"), plain_stem, COLLISION)
    labels = by_name(image_files(label_folder), lambda path: _partner(path, images), COLLISION)
    if not images:
        raise UserError(f"{root / 'images'}: no TIFF or PNG images in it (folders inside are not searched).")
    lone = sorted(images.keys() ^ labels.keys())
    if lone:
        path = images.get(lone[0]) or labels[lone[0]]
        other = label_folder.name if lone[0] in images else "images"
        more = f" {len(lone) - 1} more files have none either." if len(lone) > 1 else ""
        raise UserError(
            f"{path}: it has no partner of the same name in {other}/. Add it, or move the file away.{more}"
        )
    return [(images[stem], labels[stem]) for stem in sorted(images)]


def _label_folder(root: Path) -> Path:
    there = [root / f for f in LABEL_FOLDERS if (root / f).is_dir()]
    if len(there) > 1:
        raise UserError(f"{root}: labels/ and masks/ are both there. Keep the one to learn from.")
    if not (root / "images").is_dir() or not there:
        raise UserError(
            f"{root}: no images/ beside labels/ (or masks/). Put the images into {root / 'images'} "
            f"and the label images, of the same names, into {root / 'labels'}."
        )
    return there[0]


def _partner(label: Path, images: dict[str, Path]) -> str:
    """The name of the image that a label file belongs to: its own, perhaps without _labels."""
    stem = plain_stem(label)
    return stem if stem in images else ADDED.sub("", stem)


def _entry(image: Path, label: Path, page: int, meaning: Meaning, settings: DataSettings) -> Entry:
    stem = plain_stem(image)
    many = len(_stack(label).pixels) > 1
    name = f"{stem}[{page}]" if many else stem
    read = partial(_read, name, image, label, page, meaning, tuple(settings.not_annotated))
    return Entry(name, stem, page, read)


def _read(
    name: str, image: Path, label: Path, page: int, meaning: Meaning, not_annotated: tuple[int, ...]
) -> Sample:
    stack = _stack(image)
    labels = read_labels(_stack(label).pixels[page], meaning, not_annotated, f"{label}[{page}]")
    kind: Kind = "classes" if meaning == "classes" else "instances"
    return Sample(name, np.asarray(stack.pixels[page]), labels, stack.spacing_um, kind)


def _labels_of(image: Path, label: Path) -> Stack:
    pages, planes = len(_stack(image).pixels), len(_stack(label).pixels)
    if pages != planes:
        raise UserError(f"{image} has {pages} pages and {label} {planes}; they must be as many.")
    return _stack(label)


@lru_cache(maxsize=4)
def _stack(path: Path) -> Stack:
    """The pages of a stack follow each other: its file is read once for all of them."""
    return read_stack(path, palette=path.parent.name in LABEL_FOLDERS)
