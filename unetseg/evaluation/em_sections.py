"""Scores of probability maps against the true cells of EM sections, from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.paired_predictions import FilePair
from unetseg.images.whole import Stack, read_stack
from unetseg.scores import FrameTable, frame_table


def is_probability_map(path: Path) -> bool:
    """Whether a file holds fractions, which labels never do."""
    pixels: NDArray[Any] = read_stack(path, palette=True).pixels
    return pixels.dtype.kind == "f" and not np.array_equal(pixels, np.round(pixels))


def score_sections(files: Sequence[FilePair], names: Sequence[str] = ()) -> FrameTable:
    """The scores `names`, or the standard ones, of probability maps, from (truth, map) files.

    A map gives the probability of being in a cell: floats in 0…1, or 8 or 16 bits for 0…1; of two
    channels (`predict --probabilities`) it is the second. The truth is > 0 in cells.
    """
    called, cells, maps = [], [], []
    for truth, predicted in files:
        true = _cells(read_stack(truth, palette=True))
        ours = _probabilities(read_stack(predicted)) if predicted else np.zeros(true.shape, np.float32)
        if ours.shape != true.shape:
            raise UserError(
                f"{predicted} is {ours.shape} and {truth} {true.shape}: the sizes must agree. Probabilities "
                "keep the size at which they are predicted: leave out --scale and --rescale for scoring."
            )
        called += [f"{truth.stem}[{z}]" if len(true) > 1 else truth.stem for z in range(len(true))]
        cells += list(true)
        maps += list(ours)
    return frame_table(cells, maps, names or None, kind="probabilities", frames=called)


def _cells(stack: Stack) -> NDArray[np.bool_]:
    """Whether each voxel is in a cell: (z, y, x)."""
    pixels: NDArray[Any] = stack.pixels[:, 0]
    return pixels > 0


def _probabilities(stack: Stack) -> NDArray[Any]:
    """(z, y, x) float32 in 0…1 of the pages of a file."""
    pixels: NDArray[Any] = stack.pixels
    if pixels.shape[1] > 2:
        raise UserError(
            f"{stack.path}: {pixels.shape[1]} channels; a probability map has one, or two classes."
        )
    plane = pixels[:, -1]
    top = np.iinfo(plane.dtype).max if plane.dtype.kind == "u" else 1
    values: NDArray[Any] = plane.astype(np.float32) / np.float32(top)
    if not (values.min() >= 0 and values.max() <= 1):
        raise UserError(
            f"{stack.path}: values from {values.min():g} to {values.max():g}; probabilities are 0…1. "
            "Restored images are scored with --scores psnr."
        )
    return values
