"""Grey values to network input: one rule, stored in the trained model and used whenever it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from unetseg.errors import UserError

ROUNDING = 1e-9
"""A standard deviation below this fraction of the mean is rounding error, not contrast."""
PERCENTILES = (1.0, 99.8)
OTHER_RANGE = 8.0
"""Bright grey values that differ from those of the training by more than this factor are another range."""
Method = Literal["per-image", "training-set", "percentile", "none"]
AS_THEY_ARE = ("training-set", "none")
"""Methods that treat every image alike, so that the network sees differences of brightness."""


@dataclass(frozen=True)
class Normalisation:
    """(image − offset)/scale per channel.

    method "per-image": offset and scale are the image's own mean and standard deviation;
    "percentile": its 1st percentile and the distance to its 99.8th (if these are equal, to its
    maximum); "training-set": mean and standard deviation of all training pixels, stored in `offset`
    and `scale`; "none": 0 and 1. bright: with the last two methods, the lowest and the highest of the
    training images' 99.8th percentiles, for `grey_value_note`; empty if not known. repeat_grey: grey
    images are given three channels, because the training images were a mixture of grey and
    RGB.
    """

    method: Method
    channels: Annotated[int, Interval(ge=1, le=4096)]
    offset: tuple[float, ...] = ()
    scale: tuple[Annotated[float, Ge(0)], ...] = ()
    repeat_grey: bool = False
    bright: tuple[float, ...] = ()

    def accepts(self, channels: int) -> bool:
        """Whether images with so many channels can be normalised."""
        return channels == self.channels or (self.repeat_grey and channels == 1)

    def __call__(self, image: NDArray[Any], name: str) -> NDArray[np.float32]:
        """Image (c, *yx) of any real dtype to float32; `name` is for the error about channels."""
        if not self.accepts(len(image)):
            raise UserError(
                f"{name}: {len(image)} channels, but {self.channels} are expected. Give images "
                "with the same channels as in training; in `unetseg predict`, --channel N selects one and "
                "--grey converts RGB."
            )
        if len(image) < self.channels:
            image = np.repeat(image, self.channels, axis=0)
        offset, scale = self._offset_and_scale(image)
        return ((image - offset) / scale).astype(np.float32)

    def fitted(self, image: NDArray[Any]) -> Normalisation:
        """The rule with this image's (c, *yx) own offset and scale stored."""
        offset, scale = (tuple(v.ravel().tolist()) for v in self._offset_and_scale(image))
        return replace(self, method="training-set", offset=offset, scale=scale)

    def undo(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Grey values (c, *yx) of normalised ones; only for a rule that is `fitted`."""
        offset, scale = self._offset_and_scale(values)
        return (values * scale + offset).astype(np.float32)

    def _offset_and_scale(self, image: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both (c, 1, …, 1), for an image (c, *yx)."""
        pixels = image.reshape(len(image), -1)
        match self.method:
            case "per-image":
                offset, scale = pixels.mean(1, dtype=np.float64), pixels.std(1, dtype=np.float64)
            case "percentile":
                low, high = np.percentile(pixels, PERCENTILES, axis=1)
                offset, scale = low, np.where(high > low, high - low, pixels.max(1) - low)
            case "training-set":
                offset, scale = np.array(self.offset), np.array(self.scale)
            case "none":
                offset, scale = np.zeros(len(image)), np.ones(len(image))
        ones = (-1,) + (1,) * (image.ndim - 1)
        scale = np.where(scale > ROUNDING * np.abs(offset), scale, 1.0)  # a constant image becomes 0
        return offset.reshape(ones), scale.reshape(ones)


def fit_normalisation(method: Method, images: Sequence[NDArray[Any]]) -> Normalisation:
    """The rule for `images` (each (c, *yx)); only "training-set" depends on their grey values."""
    counts = {len(image) for image in images}
    if len(counts) > 1:
        raise UserError(
            f"the training images have {' and '.join(map(str, sorted(counts)))} channels. Give images "
            "that all have the same channels."
        )
    channels = counts.pop()
    if method not in AS_THEY_ARE:
        return Normalisation(method, channels)
    bright = [_bright(image) for image in images]
    ends = min(bright), max(bright)
    if method == "none":
        return Normalisation(method, channels, bright=ends)
    moments = [_moments(image) for image in images]
    count = sum(n for _, _, n in moments)
    mean = np.sum([total for total, _, _ in moments], axis=0) / count
    squares = np.sum([square for _, square, _ in moments], axis=0) / count
    deviation = np.sqrt(np.maximum(squares - mean**2, 0))
    return Normalisation(method, channels, tuple(map(float, mean)), tuple(map(float, deviation)), bright=ends)


def grey_value_note(rule: Normalisation, pixels: NDArray[Any]) -> str | None:
    """The note for an image (c, *yx) whose grey values have another range than the training images.

    Only the methods AS_THEY_ARE give one: the others take the range from each image.
    """
    if not rule.bright or min(rule.bright) <= 0:
        return None
    bright, (low, high) = _bright(pixels), rule.bright
    if low / OTHER_RANGE < bright < high * OTHER_RANGE:
        return None
    return (
        f"bright pixels are about {bright:.3g}, but were {low:.3g} to {high:.3g} in the training images, and "
        "this model does not adapt to that. Save the image with the grey values of the training images, or "
        'train with data.normalise = "per-image".'
    )


def _bright(pixels: NDArray[Any]) -> float:
    return float(np.percentile(pixels, PERCENTILES[1]))


def _moments(image: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    pixels = image.reshape(len(image), -1).astype(np.float64)
    return pixels.sum(1), (pixels**2).sum(1), pixels.shape[1]
