"""Label files for comparison: ids of any size, pages or volumes, an empty result for a missing one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.whole import Stack
from unetseg.tasks.label_formats import holds_objects, read_labels
from unetseg.tasks.label_planes import MOST_ID, label_plane
from unetseg.tasks.label_statistics import LabelStatistics, label_statistics


def read_label_file(path: Path, *, volumes: bool = False, like: Stack | None = None) -> Stack:
    """The pages (or with `volumes` the one volume) of a label file; ids beyond 2³¹ − 1 are renumbered.

    like: other labels of the same image, which outlines take their size from.
    """
    stack = read_labels(path, like, volumes=volumes).stack
    if stack.pixels.dtype.kind in "ui" and stack.pixels.max(initial=0) > MOST_ID:
        return replace(stack, pixels=np.stack([_renumbered(page) for page in stack.pixels]))
    return stack


def read_label_pair(truth: Path, predicted: Path | None, *, volumes: bool) -> tuple[Stack, Stack]:
    """Both files; a missing prediction is empty, and outlines have the size of the other file."""
    if predicted is None:
        true = read_label_file(truth, volumes=volumes)
        return true, empty_like(true)
    if holds_objects(truth):
        found = read_label_file(predicted, volumes=volumes)
        return read_label_file(truth, volumes=volumes, like=found), found
    true = read_label_file(truth, volumes=volumes)
    return true, read_label_file(predicted, volumes=volumes, like=true)


def read_frame_labels(path: Path) -> NDArray[np.int64]:
    """Ids of a challenge's file, markers or objects: (y, x), or (z, y, x) of a volume."""
    planes = [label_plane(page, str(path)) for page in read_label_file(path).pixels]
    return planes[0] if len(planes) == 1 else np.stack(planes)


def empty_like(stack: Stack) -> Stack:
    """A result without objects, of the size of a truth."""
    return replace(stack, pixels=np.zeros_like(stack.pixels[:, :1], np.uint8))


def one_plane(found: Stack, z: int) -> Stack:
    """The plane z of a result volume, to compare with an annotated slice of the truth."""
    if z >= len(found.pixels):
        raise UserError(f"{found.path}: has {len(found.pixels)} planes, but the truth annotates plane {z}.")
    return replace(found, pixels=found.pixels[z : z + 1])


def check_no_image(pixels: NDArray[Any], name: str) -> LabelStatistics:
    """The statistics of label pixels (c, *yx).

    Raises UserError for grey values, so that an image given instead of its labels is noticed.
    """
    found = label_statistics(pixels, (), name)
    if found.grey:
        raise UserError(
            f"{name}: {len(found.values)} values in {found.components} pieces: an image, not labels. "
            "Give the label image that was predicted from it."
        )
    return found


def size_text(stack: Stack) -> str:
    """Pages and pixels, or voxels, of a file in words."""
    pages, _, *sizes = stack.pixels.shape
    if len(sizes) == 3:
        return f"a volume of {'×'.join(map(str, sizes))} voxels (z, y, x)"
    return f"{pages} pages of {'×'.join(map(str, sizes))} pixels"


def _renumbered(pixels: NDArray[Any]) -> NDArray[np.int32]:
    """The values that occur, replaced by 0, 1, 2, … in their order; 0 stays 0."""
    values, places = np.unique(pixels, return_inverse=True)
    first = 0 if values[0] == 0 else 1
    return (places.reshape(pixels.shape) + first).astype(np.int32)
