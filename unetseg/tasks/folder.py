"""A lab's own data: ROOT/images and ROOT/labels (or ROOT/masks), paired by name.

TIFF (also ImageJ and OME) or PNG; single images or stacks of pages; grey, RGB or several
channels. A label file has its image's name, perhaps with an ending such as _mask or _labels.
NIfTI files, and with data.volumes TIFF stacks, are volumes; the folders of the Medical Segmentation
Decathlon, imagesTr/ and labelsTr/, are known too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.files import by_name, plain_stem
from unetseg.images.nifti import read_images
from unetseg.images.whole import Stack, image_files, is_volume_file
from unetseg.sample import Entry, LabelKind, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.labels import (
    LabelStatistics,
    Meaning,
    check_not_negative,
    count_of_classes,
    describe,
    label_plane,
    label_statistics,
    read_labels,
    recognise,
)
from unetseg.tasks.listing import Listing, volume_entries

IMAGE_FOLDERS = ("images", "imagesTr")
LABEL_FOLDERS = ("labels", "masks", "labelsTr")
COLLISION = "Keep one, or rename the other with its partner."
ADDED = re.compile(r"[-_. ](labels?|(cp_)?masks?|gt|seg|segmentation|annotations?)$", re.IGNORECASE)


@dataclass(frozen=True)
class FileSummary:
    """What is kept of an image file and its labels.

    facts: of every page; slices: of a volume; size: of the image along *yx, None where its labels differ.
    """

    facts: tuple[LabelStatistics, ...]
    slices: int
    size: tuple[int, ...] | None


def listing(root: Path, settings: DataSettings) -> Listing:
    """Every labelled image, page or slice: group = file name without ending, index = page or slice."""
    _stack.cache_clear()  # files may have changed since
    pairs = paired_files(root)
    volumes = settings.volumes or any(is_volume_file(image) for image, _ in pairs)
    looked = [_looked(image, label, volumes, tuple(settings.not_annotated)) for image, label in pairs]
    facts = [f for look in looked for f in look.facts]
    chosen = settings.labels != "auto"
    meaning: Meaning = recognise(facts) if settings.labels == "auto" else settings.labels
    if not any(f.values for f in facts):
        raise UserError(f"{root}: every label image is empty (0 everywhere). Nothing can be learnt.")
    kind: LabelKind = "classes" if meaning == "classes" else "instances"
    classes = count_of_classes(meaning, facts, settings.classes, str(root))
    notes = (describe(meaning, facts, chosen),)
    if volumes:
        files = {plain_stem(image): (image, label) for image, label in pairs}
        block = partial(_block, files, meaning, tuple(settings.not_annotated))
        counted = [volume_entries(g, look.slices, block) for g, look in zip(files, looked, strict=True)]
        return Listing(tuple(e for entries in counted for e in entries), classes, kind, notes, block)
    entries = [
        _entry(image, label, page, look, meaning, settings)
        for (image, label), look in zip(pairs, looked, strict=True)
        for page in range(len(look.facts))
    ]
    return Listing(tuple(entries), classes, kind, notes)


def paired_files(root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files of the same name; an image or label without partner is an error."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the folder that holds images/ and labels/.")
    label_folder = _label_folder(root)
    image_folder = next((root / f for f in IMAGE_FOLDERS if (root / f).is_dir()), root / "images")
    images = by_name(image_files(image_folder), plain_stem, COLLISION)
    labels = by_name(image_files(label_folder), lambda path: _partner(path, images), COLLISION)
    if not images:
        raise UserError(f"{image_folder}: no TIFF or PNG images in it (folders inside are not searched).")
    lone = sorted(images.keys() ^ labels.keys())
    if lone:
        path = images.get(lone[0]) or labels[lone[0]]
        other = label_folder.name if lone[0] in images else image_folder.name
        more = f" {len(lone) - 1} more files have none either." if len(lone) > 1 else ""
        raise UserError(
            f"{path}: it has no partner of the same name in {other}/. Add it, or move the file away.{more}"
        )
    return [(images[stem], labels[stem]) for stem in sorted(images)]


def _label_folder(root: Path) -> Path:
    there = [root / f for f in LABEL_FOLDERS if (root / f).is_dir()]
    if len(there) > 1:
        both = " and ".join(f"{folder.name}/" for folder in there)
        raise UserError(f"{root}: {both} are both there. Keep the one to learn from.")
    if not any((root / f).is_dir() for f in IMAGE_FOLDERS) or not there:
        raise UserError(
            f"{root}: no images/ beside labels/ (or masks/). Put the images into {root / 'images'} "
            f"and the label images, of the same names, into {root / 'labels'}."
        )
    return there[0]


def _partner(label: Path, images: dict[str, Path]) -> str:
    """The name of the image that a label file belongs to: its own, perhaps without _labels."""
    stem = plain_stem(label)
    return stem if stem in images else ADDED.sub("", stem)


def _entry(
    image: Path, label: Path, page: int, look: FileSummary, meaning: Meaning, settings: DataSettings
) -> Entry:
    stem = plain_stem(image)
    name = f"{stem}[{page}]" if len(look.facts) > 1 else stem
    read = partial(_read, name, image, label, page, meaning, tuple(settings.not_annotated))
    return Entry(name, stem, page, read, look.size)


def _read(
    name: str, image: Path, label: Path, page: int, meaning: Meaning, not_annotated: tuple[int, ...]
) -> Sample:
    stack = _stack(image, False)
    labels = read_labels(_stack(label, False).pixels[page], meaning, not_annotated, f"{label}[{page}]")
    kind: LabelKind = "classes" if meaning == "classes" else "instances"
    return Sample(name, np.asarray(stack.pixels[page]), labels, stack.spacing_um, kind)


def _block(
    files: dict[str, tuple[Path, Path]],
    meaning: Meaning,
    not_annotated: tuple[int, ...],
    group: str,
    start: int,
    stop: int,
) -> Sample:
    """The slices start…stop − 1 of a volume; whole volumes bear their group's name alone."""
    image, label = files[group]
    stack, truth = _stack(image, True), _stack(label, True).pixels[0]
    whole = (start, stop) == (0, truth.shape[1])
    name = group if whole else f"{group}[{start}-{stop - 1}]"
    labels = read_labels(truth[:, start:stop], meaning, not_annotated, f"{label}[{start}:{stop}]")
    kind: LabelKind = "classes" if meaning == "classes" else "instances"
    return Sample(name, np.asarray(stack.pixels[0][:, start:stop]), labels, stack.spacing_um, kind)


def _looked(image: Path, label: Path, volumes: bool, not_annotated: tuple[int, ...]) -> FileSummary:
    stamps = tuple((s.st_mtime_ns, s.st_size) for s in (image.stat(), label.stat()))
    return _look(image, label, volumes, not_annotated, stamps)


@lru_cache(maxsize=2**16)
def _look(
    image: Path,
    label: Path,
    volumes: bool,
    not_annotated: tuple[int, ...],
    stamps: tuple[tuple[int, int], ...],
) -> FileSummary:
    """Looked at once: a training lists its folder several times, to derive settings, to read, to test.

    stamps: the files' times and lengths. Images are read whole too, so that a bad one is told at once.
    """
    pages, planes = (_stack(path, volumes).pixels for path in (image, label))
    if len(pages) != len(planes):
        raise UserError(f"{image} has {len(pages)} pages and {label} {len(planes)}; they must be as many.")
    sizes = pages.shape[2:], planes.shape[2:]
    if volumes and sizes[0] != sizes[1]:
        raise UserError(f"{image} is {sizes[0]} and {label} {sizes[1]} (z, y, x); they must be the same.")
    facts = []
    for i, pixels in enumerate(planes):
        facts.append(label_statistics(label_plane(pixels, f"{label}[{i}]"), not_annotated))
        check_not_negative(min(facts[-1].values, default=0), f"{label}[{i}]")
    return FileSummary(tuple(facts), planes.shape[2], sizes[0] if sizes[0] == sizes[1] else None)


@lru_cache(maxsize=4)
def _stack(path: Path, volumes: bool) -> Stack:
    """The pages of a stack follow each other: its file is read once for all of them."""
    return read_images(path, volumes=volumes, palette=path.parent.name in LABEL_FOLDERS)
