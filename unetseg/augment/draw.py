"""Everything random about one training crop, drawn at once so that it can be replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetseg.settings import AugmentSettings


@dataclass(frozen=True)
class Draw:
    """One crop and its changes, for an image of d axes yx.

    centre: (d,) pixel coordinates of the crop's centre in the image; matrix: (d, d), maps a
    displacement from the crop's centre to one in the image (flips, rotation, zoom); control:
    (d, p, …, p) displacements of the control points in pixels of the crop, or None; brightness
    (added) and contrast (factor) in grey-value standard deviations; gamma: exponent; noise, blur:
    standard deviations in grey values and pixels; noise_seed: of the noise itself.
    """

    centre: NDArray[np.float64]
    matrix: NDArray[np.float64]
    control: NDArray[np.float64] | None
    brightness: float
    contrast: float
    gamma: float
    noise: float
    blur: float
    noise_seed: int


def draw(
    settings: AugmentSettings, shape: Sequence[int], crop: Sequence[int], rng: np.random.Generator
) -> Draw:
    """The draw of one crop of size `crop` from an image of `shape` (both yx or zyx).

    The crop lies uniformly inside the image (centred where the image is smaller), moved by up to
    `shift`. The same number of random values is taken whatever the settings, so switching one
    change off leaves the others as they were.
    """
    dims = len(shape)
    slack = np.maximum(np.subtract(shape, crop), 0)
    corner = np.floor(rng.random(dims) * (slack + 1)) - np.maximum(np.subtract(crop, shape), 0) / 2
    shift = rng.uniform(-1, 1, dims) * settings.shift
    centre = corner + shift + (np.asarray(crop) - 1) / 2
    matrix = _matrix(settings, dims, rng)
    control = rng.normal(size=(dims, *[settings.control_points] * dims)) * _elastic(settings, crop)
    grey = rng.uniform(-1, 1, 3)
    noise, blur = rng.uniform(0, 1, 2)
    return Draw(
        centre=centre,
        matrix=matrix,
        control=control if settings.elastic > 0 else None,
        brightness=float(grey[0] * settings.brightness),
        contrast=math.exp(grey[1] * settings.contrast),
        gamma=math.exp(grey[2] * settings.gamma),
        noise=float(noise * settings.noise),
        blur=float(blur * settings.blur),
        noise_seed=int(rng.integers(2**31)),
    )


def _elastic(settings: AugmentSettings, crop: Sequence[int]) -> NDArray[np.float64]:
    """Standard deviation of the displacement along each axis, to be multiplied with (d, p, …, p).

    Along z by the crop's share of slices, so that a thin crop is strained no more than along y and x.
    """
    spread = np.full(len(crop), settings.elastic)
    if len(crop) == 3:
        spread[0] *= min(1, crop[0] / max(crop[1:]))
    return spread.reshape(-1, *[1] * len(crop))


def _matrix(settings: AugmentSettings, dims: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Zoom · rotation of the last two axes · flips."""
    coins = rng.random(dims)
    flips = np.where(settings.flip & (coins < 0.5), -1.0, 1.0)
    angle = math.radians(rng.uniform(-1, 1) * settings.rotate)
    zoom = math.exp(rng.uniform(-1, 1) * settings.scale)
    rotation = np.eye(dims)
    rotation[-2:, -2:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return rotation @ np.diag(flips) / zoom
