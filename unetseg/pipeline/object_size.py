"""Models trained at one object size: the size of an image's objects, and the image at the right scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.rescale import nearest_resized
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.resample import object_diameter, resized
from unetseg.sample import Sample
from unetseg.segment import object_maps
from unetseg.tiles import middle_region

SCALES = (0.125, 0.25, 0.5, 1.0, 2.0)
SURE, SMALLEST_PX = 0.75, 10
"""A first pass is trusted above this certainty and this diameter in pixels of the network's input."""
LOOKED_AT_PX, LEAST_PX = 512, 32
ALLOWED_SCALES = (1 / 50, 50)
"""Factors by which an image may be resized."""


@dataclass(frozen=True)
class FirstPass:
    """What a first pass over the middle of an image found.

    diameter: of the objects in pixels of the image; None if no object was found. certainty: the mean of
    |2p − 1| over the foreground at the scale of that diameter, 0…1; None without a first pass.
    """

    diameter: float | None
    certainty: float | None = None

    @property
    def unsure(self) -> bool:
        """Whether objects were found, but at no scale with certainty: the image may not suit the model."""
        return self.diameter is not None and self.certainty is not None and self.certainty < SURE


@dataclass(frozen=True)
class ImageScale:
    """How an image is resized for the network.

    factors: (y, x), None for no resizing; unsure: see `FirstPass`.
    """

    factors: tuple[float, float] | None
    unsure: bool = False

    @classmethod
    def of(cls, scale: float, *, unsure: bool = False) -> ImageScale:
        """The same factor along y and x."""
        return cls(None if scale == 1 else (scale, scale), unsure)


@dataclass(frozen=True)
class AtObjectSize:
    """Labels (*yx) of an image at its own size, its probabilities (k, *yx), and the scale of the prediction.

    diameter: of its objects in pixels, given or estimated; None if no object was found.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]
    diameter: float | None
    scale: float


def predict_at_object_size(
    model: Model, image: NDArray[Any], name: str, tiling: PredictSettings, diameter: float | None = None
) -> AtObjectSize:
    """Predict image (c, y, x) resized so that its objects have the diameter of the model's training.

    diameter: of the objects in pixels of the image; None: estimated. A model that was not trained at one
    object size predicts the image as it is. Label settings are in pixels of the resized image.
    """
    scale = 1.0
    if diameter is not None:
        scale = scale_for(model, diameter)
    elif model.recipe.object_diameter > 0:
        diameter = first_pass(model, image, name, tiling).diameter
        scale = 1.0 if diameter is None else scale_for(model, diameter)
    at_scale = _scaled(image, name, scale)
    maps = model.probabilities(at_scale, name, tiling)
    found, shape = model.labels(maps), image.shape[1:]
    if found.shape == shape:
        return AtObjectSize(found, maps, diameter, scale)
    labels = nearest_resized(found, shape)
    large = np.stack([_to_size(m, shape) for m in maps])
    return AtObjectSize(labels, large, diameter, scale)


def scale_of_image(
    model: Model, image: LazyImage, tiling: PredictSettings, diameter: float | None
) -> ImageScale:
    """The scale at which an image of any size is predicted: see `predict_at_object_size`.

    The size of the objects is estimated in the middle of the middle plane.
    """
    found = FirstPass(diameter)
    if diameter is None and model.recipe.object_diameter > 0:
        y, x = middle_region(image.shape[1:], round(LOOKED_AT_PX / SCALES[0]))
        middle = image.read_region(len(image.planes) // 2, range(image.shape[0]), y, x)
        found = first_pass(model, middle, str(image.path), tiling)
    scale = 1.0 if found.diameter is None else scale_for(model, found.diameter)
    return ImageScale.of(scale, unsure=found.unsure)


def scale_for(model: Model, diameter: float) -> float:
    """The factor that brings objects of this diameter in pixels to the diameter of the model's training.

    Raises UserError for a model that was not trained at one diameter, and for a factor out of range.
    """
    trained = model.recipe.object_diameter
    if trained == 0:
        raise UserError(
            "--diameter: this model was not trained at one object size (data.object_diameter), so the "
            "diameter cannot be used. Leave it out."
        )
    low, high = ALLOWED_SCALES
    if not trained / high <= diameter <= trained / low:
        raise UserError(
            f"a diameter of {diameter:g} pixels: allowed are {trained / high:g} to {trained / low:g}, as "
            f"this model was trained on objects of {trained:g} pixels."
        )
    return trained / diameter


def first_pass(model: Model, image: NDArray[Any], name: str, tiling: PredictSettings) -> FirstPass:
    """The median diameter in pixels of the objects in image (c, y, x), and how certain the model is of them.

    The middle of the image is predicted at increasing scales. The first one whose foreground is certain and
    whose objects are large enough to be separated decides; if there is none, the most certain one.
    """
    tried: list[tuple[float, float]] = []
    for scale in SCALES:
        if scale < 1 and scale * min(image.shape[1:]) < LEAST_PX:
            continue
        maps = model.probabilities(_scaled(_middle(image, scale), name, scale), name, tiling)
        diameter, certainty = object_diameter(model.labels(maps)), _certainty(model, maps)
        if diameter is None:
            continue
        if certainty >= SURE and diameter >= SMALLEST_PX:
            return FirstPass(diameter / scale, certainty)
        tried.append((certainty, diameter / scale))
    if not tried:
        return FirstPass(None)
    certainty, diameter = max(tried)
    return FirstPass(diameter, certainty)


def _certainty(model: Model, maps: NDArray[np.float32]) -> float:
    """The mean of |2p − 1| over the foreground, 0…1."""
    foreground, _ = object_maps(maps)
    inside = foreground[foreground > model.recipe.labels.threshold]
    return float(np.abs(2 * inside - 1).mean()) if inside.size else 0.0


def _scaled(image: NDArray[Any], name: str, scale: float) -> NDArray[Any]:
    return image if scale == 1 else resized(Sample(name, image, None), scale).image


def _middle(image: NDArray[Any], scale: float) -> NDArray[Any]:
    """The middle part that has LOOKED_AT_PX pixels per side at this scale."""
    return image[:, *middle_region(image.shape[1:], round(LOOKED_AT_PX / scale))]


def _to_size(probability: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map (y, x) at another size, by linear interpolation."""
    larger: NDArray[np.float32] = resize(probability, shape, order=1, anti_aliasing=False)
    return larger.astype(np.float32)
