"""COCO JSON: the objects of one image, or of all images of a folder, as polygons or run lengths.

The format: cocodataset.org, data format, object detection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, reading
from unetseg.files import plain_stem
from unetseg.tasks.label_formats.painting import Canvas, ObjectMask, cropped, outlined
from unetseg.tasks.pairing import without_word


def coco_names(path: Path) -> list[str]:
    """The names of the images that a COCO file lists; empty for JSON of another kind."""
    data = _dataset(path)
    return [_name(image) for image in data["images"]] if data else []


def lists_image(path: Path, image: Path) -> bool:
    """Whether a COCO file lists an image, by its name with any ending."""
    return bool(places_of(image.name, coco_names(path)))


def places_of(image: str, names: Sequence[str]) -> list[int]:
    """Where `names` list an image: by its whole name, else its stem, else without a word such as _labels."""
    for key in (str, lambda name: plain_stem(Path(name)), lambda name: without_word(Path(name))):
        found = [at for at, name in enumerate(names) if key(name) == key(image)]
        if found:
            return found
    return []


def coco_objects(path: Path, canvas: Canvas) -> tuple[list[ObjectMask], int]:
    """The objects of an image, and how many annotations are boxes or crowds without an outline.

    An object keeps the id that export-labels wrote (`label_id`); others are numbered in their order. The
    pages of a stack are as many images of the same name, in order.
    """
    data = _dataset(path)
    if data is None:
        raise UserError(f"{path}: JSON, but not COCO, which has lists of images and annotations.")
    pages = [data["images"][at] for at in places_of(canvas.name, coco_names(path))]
    _check_pages(path, pages, canvas)
    number = {image["id"]: page for page, image in enumerate(pages)}
    annotations = [a for a in data["annotations"] if a["image_id"] in number]
    following, found, without_outline = max((a.get("label_id", 0) for a in annotations), default=0), [], 0
    for annotation in annotations:
        following += not annotation.get("label_id")
        page = number[annotation["image_id"]]
        piece = _object(annotation, page, annotation.get("label_id") or following, canvas)
        found += [piece] if piece else []
        without_outline += piece is None
    return found, without_outline


def _object(annotation: Any, page: int, number: int, canvas: Canvas) -> ObjectMask | None:
    shape = annotation.get("segmentation")
    if not shape or annotation.get("iscrowd"):
        return None
    if isinstance(shape, dict):
        return cropped(run_lengths_mask(shape["counts"], *canvas.shape[1:]), page, number)
    rings = [np.array(polygon, float).reshape(-1, 2) for polygon in shape if len(polygon) > 5]
    masks = [m for ring in rings if (m := outlined([ring], page, number, canvas))]
    return _united(masks, page, number, canvas)


def run_lengths_mask(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """The mask (y, x) of run lengths down the columns, background first, as numbers or as COCO's text.

    >>> run_lengths_mask([1, 2, 1], 2, 2).astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    runs = _decoded(counts) if isinstance(counts, str) else counts
    lengths = np.array(runs, np.int64)
    if (lengths < 0).any() or lengths.sum() > height * width:
        raise ValueError("run lengths that do not fit the image")
    values = np.arange(len(lengths)) % 2 == 1
    flat = np.zeros(height * width, bool)
    flat[: lengths.sum()] = np.repeat(values, lengths)
    return flat.reshape(width, height).T


def _decoded(text: str) -> list[int]:
    """COCO's text of run lengths: 5 bits a letter, the low ones first; from the third on, differences."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            signed = value - (1 << shift) if bits & 16 else value
            runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _united(masks: Sequence[ObjectMask], page: int, number: int, canvas: Canvas) -> ObjectMask | None:
    """All polygons of an object as one mask."""
    if len(masks) < 2:
        return masks[0] if masks else None
    whole = np.zeros(canvas.shape[1:], bool)
    for piece in masks:
        (top, left), (height, width) = piece.origin, piece.mask.shape
        whole[top : top + height, left : left + width] |= piece.mask
    return cropped(whole, page, number)


def _check_pages(path: Path, pages: Sequence[Any], canvas: Canvas) -> None:
    if len(pages) != canvas.shape[0]:
        raise UserError(
            f"{path}: lists {len(pages)} images for {canvas.name}, which has {canvas.shape[0]} pages."
        )
    for image in pages:
        size = image["height"], image["width"]
        if size != canvas.shape[1:]:
            one, other = ("×".join(map(str, s)) for s in (size, canvas.shape[1:]))
            raise UserError(
                f"{path}: {canvas.name} is listed with {one} pixels (y, x), but has {other}. Give the images "
                "that were annotated."
            )


def _name(image: Any) -> str:
    return PureWindowsPath(image["file_name"]).name


def _dataset(path: Path) -> Any:
    """The parsed file; None for JSON of another kind."""
    stat = path.stat()
    return _parsed(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _parsed(path: Path, changed: int, size: int) -> Any:
    with reading(path, "JSON"):
        data = json.loads(path.read_text(encoding="utf-8"))
    known = isinstance(data, dict) and all(isinstance(data.get(k), list) for k in ("images", "annotations"))
    return data if known else None
