"""Everything random about one training crop, drawn at once so that it can be replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetseg.augment.elastic import spline_matrix
from unetseg.settings import AugmentSettings

Places = Sequence[NDArray[np.intp]]
"""For each class of an image the flat indices of its pixels, none empty."""


@dataclass(frozen=True)
class Draw:
    """One crop and its changes, for an image of d axes yx.

    centre: (d,) pixel coordinates of the crop's centre in the image; matrix: (d, d), maps a
    displacement from the crop's centre to one in the image (flips, rotation, zoom); control:
    (d, p, …, p) displacements of the control points in pixels of the crop, or None; brightness
    (added) and contrast (factor) in grey-value standard deviations; gamma: exponent; noise, blur:
    standard deviations in grey values and pixels; noise_seed: of the noise itself; invert: whether grey
    values are inverted, before all other changes of them; shadow: a part of the crop that is occluded.
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
    invert: bool
    shadow: Shadow | None = None


@dataclass(frozen=True)
class Shadow:
    """A rectangle of a crop, as slices of its axes yx, that keeps this share of its contrast."""

    where: tuple[slice, ...]
    kept: float


def draw(
    augment: AugmentSettings,
    shape: Sequence[int],
    crop: Sequence[int],
    rng: np.random.Generator,
    places: Places = (),
) -> Draw:
    """The draw of one crop of size `crop` from an image of `shape` (both yx or zyx).

    The crop lies uniformly inside the image (centred where the image is smaller), moved by up to
    `shift`. With `places` its centre, after the elastic displacement, is a pixel of a class drawn with
    equal probability (in an even crop the last pixel before the middle). The same number of random
    values is drawn whatever the settings, so switching one change off does not alter the others.
    """
    dims = len(shape)
    chances = rng.random(dims)
    where = _place(places, shape, crop, chances) if places else _anywhere(shape, crop, chances)
    centre = where + rng.uniform(-1, 1, dims) * augment.shift
    matrix = _matrix(augment, dims, rng)
    control = rng.normal(size=(dims, *[augment.control_points] * dims)) * _elastic(augment, crop)
    if places:
        control -= _at_centre(control)
    grey = rng.uniform(-1, 1, 3)
    noise, blur = rng.uniform(0, 1, 2)
    noise_seed, invert = int(rng.integers(2**31)), bool(rng.random() < augment.invert)
    return Draw(
        centre=centre,
        matrix=matrix,
        control=control if augment.elastic > 0 else None,
        brightness=float(grey[0] * augment.brightness),
        contrast=math.exp(grey[1] * augment.contrast),
        gamma=math.exp(grey[2] * augment.gamma),
        noise=float(noise * augment.noise),
        blur=float(blur * augment.blur),
        noise_seed=noise_seed,
        invert=invert,
        shadow=_shadow(augment, crop, noise_seed),
    )


def _shadow(augment: AugmentSettings, crop: Sequence[int], seed: int) -> Shadow | None:
    """The shadow of a crop from the seed of its noise, so that other draws do not depend on it."""
    if augment.occlusion == 0:
        return None
    rng = np.random.default_rng([seed, 1])
    if rng.random() >= augment.occlusion:
        return None
    where = []
    for side in crop:
        longest = max(side // 2, 1)
        length = int(rng.integers(-(-longest // 4), longest + 1))
        start = int(rng.integers(0, side - length + 1))
        where.append(slice(start, start + length))
    return Shadow(tuple(where), float(rng.uniform()))


def _elastic(augment: AugmentSettings, crop: Sequence[int]) -> NDArray[np.float64]:
    """Standard deviation of the displacement along each axis, to be multiplied with (d, p, …, p).

    Along z it is reduced in proportion to the crop's number of slices, so that a thin crop is strained no
    more along z than along y and x.
    """
    spread = np.full(len(crop), augment.elastic)
    if len(crop) == 3:
        spread[0] *= min(1, crop[0] / max(crop[1:]))
    return spread.reshape(-1, *[1] * len(crop))


def class_places(classes: NDArray[np.uint8], weight: NDArray[np.float32]) -> Places:
    """Flat indices of a class map's pixels (*yx) of weight above 0, one array for each class that occurs."""
    return [np.flatnonzero((classes == c) & (weight > 0)) for c in np.unique(classes[weight > 0])]


def _anywhere(shape: Sequence[int], crop: Sequence[int], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    slack = np.maximum(np.subtract(shape, crop), 0)
    corner = np.floor(chances * (slack + 1)) - np.maximum(np.subtract(crop, shape), 0) / 2
    return corner + (np.asarray(crop) - 1) / 2


def _place(
    places: Places, shape: Sequence[int], crop: Sequence[int], chances: NDArray[np.float64]
) -> NDArray[np.float64]:
    of_class = places[int(chances[0] * len(places))]
    pixel = np.unravel_index(of_class[int(chances[1] * len(of_class))], shape)
    return np.asarray(pixel) + np.where(np.asarray(crop) % 2, 0.0, 0.5)


def _at_centre(control: NDArray[np.float64]) -> NDArray[np.float64]:
    """The displacement of the crop's centre by control points (d, p, …, p), as (d, 1, …, 1)."""
    weights = spline_matrix(control.shape[1], 3)[1]
    value = control
    for _ in control.shape[1:]:
        value = value @ weights
    return value.reshape(-1, *[1] * (control.ndim - 1))


def _matrix(augment: AugmentSettings, dims: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Zoom · rotation of the last two axes · flips."""
    coins = rng.random(dims)
    flips = np.where(augment.flip & (coins < 0.5), -1.0, 1.0)
    angle = math.radians(rng.uniform(-1, 1) * augment.rotate)
    zoom = math.exp(rng.uniform(-1, 1) * augment.scale)
    rotation = np.eye(dims)
    rotation[-2:, -2:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return rotation @ np.diag(flips) / zoom
