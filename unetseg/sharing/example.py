"""The example image of a package, for its test and its cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.calibration import calibrated
from unetseg.images.nifti import read_volume
from unetseg.images.whole import read_stack
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.object_size import first_pass, scale_for
from unetseg.resample import resized
from unetseg.sample import Sample, shrink_image
from unetseg.tiles import read_mirrored

SIDES = {2: (512, 512), 3: (32, 128, 128)}
"""An example's largest size per axis of yx."""


@dataclass(frozen=True)
class Example:
    """An image (c, *yx) float32 at the network's scale, its probabilities (k, *yx_out), labels (*yx_out)."""

    image: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: NDArray[Any]

    @property
    def shown(self) -> NDArray[np.float32]:
        """The part of the image (c, *yx_out) that has an output."""
        pairs = zip(self.image.shape[1:], self.labels.shape, strict=True)
        middle = [slice((n - m) // 2, (n - m) // 2 + m) for n, m in pairs]
        return self.image[(slice(None), *middle)]


def make_example(model: Model, path: Path, least: tuple[int, ...]) -> Example:
    """The middle of the first page of an image file, predicted as another program would: in one piece.

    It is resized and downsampled as in `predict`, since a package does neither; least: its smallest size
    (yx). Raises UserError for a file that cannot be read or has other channels.
    """
    pixels = read_volume(path).pixels[0] if model.net.dims == 3 else read_stack(path).pixels[0]
    image = _middle(_at_scale(model, pixels, path), model, least).astype(np.float32)
    normalised = model.recipe.normalisation(image, str(path))
    if len(image) < len(normalised):
        image = np.repeat(image, len(normalised), axis=0)
    with torch.no_grad():
        logits = model.net(torch.from_numpy(normalised)[None].to(model.device))
        maps = torch.softmax(logits.float(), dim=1)[0].cpu().numpy()
    probabilities = calibrated(maps, model.recipe.calibration)
    return Example(image, probabilities, model.labels(probabilities))


def _at_scale(model: Model, image: NDArray[Any], path: Path) -> NDArray[Any]:
    if model.recipe.object_diameter > 0 and model.net.dims == 2:
        diameter = first_pass(model, image, str(path), PredictSettings()).diameter
        if diameter is not None:
            image = resized(Sample(str(path), image, None), scale_for(model, diameter)).image
    return shrink_image(image, model.recipe.downsample)


def _middle(image: NDArray[Any], model: Model, least: tuple[int, ...]) -> NDArray[Any]:
    """The middle in a legal size between `least` and SIDES; a smaller image is mirrored."""
    shape, foot = image.shape[1:], model.net.footprint
    wanted = [
        max(low, min(n, most)) for n, low, most in zip(shape, least, SIDES[model.net.dims], strict=True)
    ]
    size = [max(n, low) for n, low in zip(foot.nearest_legal(wanted)[0], least, strict=True)]
    starts = [(n - s) // 2 for n, s in zip(shape, size, strict=True)]
    return read_mirrored(image, [(a, a + s) for a, s in zip(starts, size, strict=True)])
