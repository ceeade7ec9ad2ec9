"""A lab's own data: ROOT/images and ROOT/labels (or ROOT/masks), paired by name.

TIFF (also ImageJ and OME) or PNG; single images or stacks of pages; grey, RGB or several
channels. A label file has its image's name, perhaps with an ending such as _mask or _labels.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.io import Stack, image_files, read_stack
from unetseg.sample import Entry, Kind, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.labels import (
    LabelFacts,
    Meaning,
    describe,
    label_facts,
    label_plane,
    read_labels,
    recognise,
)
from unetseg.tasks.listing import Listing

LABEL_FOLDERS = ("labels", "masks")
ADDED = re.compile(r"[-_. ](labels?|masks?|gt|seg|segmentation|annotations?)$", re.IGNORECASE)


def listing(root: Path, settings: DataSettings) -> Listing:
    """Every labelled image or page: group = file name without ending, index = page."""
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
    top = max(max(f.values, default=0) for f in facts)
    classes = settings.classes or (top + 1 if meaning == "classes" else 2)
    kind: Kind = "classes" if meaning == "classes" else "instances"
    return Listing(tuple(entries), classes, kind, (describe(meaning, facts, chosen),))


def paired_files(root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files of the same name; an image or label without partner is an error."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the folder that holds images/ and labels/.")
    label_folder = next((root / f for f in LABEL_FOLDERS if (root / f).is_dir()), None)
    if not (root / "images").is_dir() or label_folder is None:
        raise UserError(
            f"{root}: no images/ beside labels/ (or masks/). Put the images into {root / 'images'} "
            f"and the label images, of the same names, into {root / 'labels'}."
        )
    images = {p.stem.removesuffix(".ome"): p for p in image_files(root / "images")}
    labels = {_plain_stem(p, images): p for p in image_files(label_folder)}
    if not images:
        raise UserError(f"{root / 'images'}: no TIFF or PNG images in it.")
    for stem in sorted(images.keys() ^ labels.keys()):
        lone = images.get(stem, labels.get(stem))
        other = label_folder.name if stem in images else "images"
        raise UserError(
            f"{lone}: it has no partner of the same name in {other}/. Add it, or move the file away."
        )
    return [(images[stem], labels[stem]) for stem in sorted(images)]


def _plain_stem(path: Path, images: dict[str, Path]) -> str:
    stem = path.stem.removesuffix(".ome")
    return stem if stem in images else ADDED.sub("", stem)


def _entry(image: Path, label: Path, page: int, meaning: Meaning, settings: DataSettings) -> Entry:
    stem = image.stem.removesuffix(".ome")
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


@cache
def _stack(path: Path) -> Stack:
    """Each file is read once."""
    return read_stack(path, palette=path.parent.name in LABEL_FOLDERS)
