"""A synthetic phase contrast film of touching cells, for demos and tests: nothing to download.

Cells are star-shaped contours that crawl, stick together, press against each other and divide.
The picture is computed from their thickness as a phase contrast microscope forms it, so
halos and the bright lines between touching cells come from the optics and are not painted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.errors import UserError

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Size = tuple[int, int]
Rng = np.random.Generator

RADIUS_PX = 24.0  # median radius of an unsquashed cell
MARGIN_PX = 40  # drawn around the frame and cut off, so that cells at the edge are cut naturally
VIEW = (slice(MARGIN_PX, -MARGIN_PX),) * 2  # the frame in its canvas
SMALLEST_PX = 60  # cells with a smaller visible area are left out of labels and image
DIVISIONS = 2  # the first cells of a film divide; their daughters are the last, in pairs
NEVER = 1_000_000  # a frame number that no film reaches
ANGLES = 256  # samples of a contour
MODES = np.arange(2, 13)  # Fourier modes of a contour; 0 is its size and 1 its position
# uniform ranges: offset and semi-axes of the nucleus in cell radii, two nucleoli in semi-axes
NUCLEUS = np.array([[-0.16, 0.16], [0.34, 0.5], [-0.5, 0.5], [-0.5, 0.5]])
BRIDGE_PX = 1.3  # softness with which neighbouring membranes merge
HALO_PX = 7.0  # width of the phase ring's kernel
TEXTURE_PX = 256  # period of the cytoplasm texture


@dataclass(frozen=True)
class Traits:
    """Properties that each of n cells keeps through the film; daughters come after all other cells."""

    born: NDArray[np.int64]  # (n,) first frame; -NEVER if there from the start
    ends: NDArray[np.int64]  # (n,) first frame without the cell; NEVER if it stays
    radius: Array  # (n,) pixels
    thickness: Array  # (n,) about 1
    nucleus: Array  # (n, 4, 2) y, x in the cell's own frame; rows as in NUCLEUS
    patch: Array  # (n, 2) where in the texture the cell's cytoplasm is taken, pixels


@dataclass(frozen=True)
class Pose:
    """Position and shape of the n cells in one frame; only those `alive` are drawn."""

    alive: Mask  # (n,)
    centre: Array  # (n, 2) y, x in frame pixels
    angle: Array  # (n,) radians
    contour: Array  # (n, ANGLES) radius in pixels at angles from -pi to pi
    rounding: Array  # (n,) 0 flat, 1 rounded up to divide


def cell_movie(
    *, seed: int = 0, frames: int = 12, shape: tuple[int, int] = (256, 256), cells: int = 20
) -> tuple[NDArray[np.uint8], Labels]:
    """A film of crawling, touching, dividing cells, with its true labels.

    Returns images (t, y, x) uint8, and labels (t, y, x) int32: 0 background, k > 0 the same cell in
    every frame. Where a cell divides, its id ends and two new ids begin. Every object is one
    4-connected component of at least 60 pixels. Cells have radii of about 24 pixels. The same
    arguments give the same film. Raises UserError for a size that cannot be drawn.

    >>> images, labels = cell_movie(seed=1, frames=2, shape=(96, 128), cells=4)
    >>> images.shape, images.dtype.name, labels.dtype.name
    ((2, 96, 128), 'uint8', 'int32')
    """
    _check(frames, shape, cells)
    rng = np.random.default_rng(seed)
    size = (shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX)
    light, dish, texture = _light(rng, shape), _dish(rng, size), _texture(rng)
    traits = _traits(rng, cells, frames)
    images, labels = np.empty((frames, *shape), np.uint8), np.empty((frames, *shape), np.int32)
    for t, pose in enumerate(_poses(rng, traits, frames, shape)):
        canvas = _without_slivers(_territories(pose, size))
        rounded = np.append(pose.rounding, 0)[canvas - 1]
        bright = _phase_contrast(dish + _thickness(canvas, pose, traits, texture), rounded)
        images[t], labels[t] = _exposed(bright[VIEW] * light, rng), canvas[VIEW]
    return images, labels


def _check(frames: int, shape: Size, cells: int) -> None:
    most = int(shape[0] * shape[1] / (np.pi * RADIUS_PX**2))
    if frames < 1 or not DIVISIONS <= cells <= most:
        sought = f"1 or more frames and {DIVISIONS} to {most} cells for shape {shape}"
        raise UserError(f"frames={frames}, cells={cells}: give {sought}, or a larger shape.")


def _traits(rng: Rng, cells: int, frames: int) -> Traits:
    n = cells + 2 * DIVISIONS
    divides = np.maximum(1, frames * np.arange(1, DIVISIONS + 1) // (DIVISIONS + 1))
    ends, born = np.full(n, NEVER), np.full(n, -NEVER)
    ends[:DIVISIONS], born[cells:] = divides, np.repeat(divides, 2)
    radius = RADIUS_PX * np.exp(rng.normal(0, 0.2, n).clip(-0.4, 0.4))
    radius[cells:] = 0.78 * np.repeat(radius[:DIVISIONS], 2)
    nucleus = rng.uniform(NUCLEUS[:, :1], NUCLEUS[:, 1:], (n, 4, 2))
    thickness, patch = rng.uniform(0.75, 1.25, n), rng.uniform(0, TEXTURE_PX, (n, 2))
    return Traits(born, ends, radius, thickness, nucleus, patch)


def _poses(rng: Rng, traits: Traits, frames: int, shape: Size) -> Iterator[Pose]:
    n = len(traits.radius)
    alive = traits.born < 0
    centre = _settled(_colonies(rng, n, shape), traits.radius, alive, shape, steps=60)
    angle = rng.uniform(-np.pi, np.pi, n)
    modes, velocity = rng.normal(size=(n, 2 * len(MODES))), rng.normal(0, 0.7, (n, 2))
    for t in range(frames):
        centre = _with_daughters(centre, angle, traits, t)
        alive = (traits.born <= t) & (t < traits.ends)
        to_division = np.minimum(traits.ends - 1 - t, np.abs(t - traits.born) + 0.5)
        rounding = np.clip(1 - to_division / 2.5, 0, 1)
        contour = _contours(traits.radius * (1 - 0.15 * rounding), modes, angle, rounding)
        yield Pose(alive, centre, angle, contour, rounding)
        velocity = 0.85 * velocity + rng.normal(0, 0.4, (n, 2))
        centre = _settled(centre + velocity, traits.radius, alive, shape, steps=6)
        angle = angle + rng.normal(0, 0.04, n)
        modes = 0.97 * modes + np.sqrt(1 - 0.97**2) * rng.normal(size=modes.shape)


def _colonies(rng: Rng, n: int, shape: Size) -> Array:
    """Start positions (n, 2): colonies of about six; the first cells, which divide, well inside."""
    steps = np.arange(-(-n // 6))[:, None] * [0.7549, 0.5698]  # R2 sequence: fills a square evenly
    seeds = (rng.uniform(0, 1, 2) + steps) % 1 * shape
    centre = seeds[np.arange(n) % len(seeds)] + rng.normal(0, 1.5 * RADIUS_PX, (n, 2))
    centre[:DIVISIONS] = rng.uniform(0.25, 0.75, (DIVISIONS, 2)) * shape
    return centre


def _settled(centre: Array, radius: Array, alive: Mask, shape: Size, *, steps: int) -> Array:
    """Centres (n, 2) after cells that overlap pushed apart and cells nearly touching drew close."""
    rest = 0.86 * (radius[:, None] + radius)
    pairs = alive[:, None] & alive & ~np.eye(len(radius), dtype=bool)
    for _ in range(steps):
        gap = centre[:, None] - centre
        distance = np.hypot(gap[..., 0], gap[..., 1]) + 1e-6
        force = np.where(distance < rest, 0.25, 0.04) * (rest - distance)
        force *= pairs & (distance < 1.4 * rest)
        centre = centre + np.sum(gap * (force / distance)[..., None], axis=1)
        centre = 0.7 * centre + 0.3 * np.clip(centre, 0, shape)
    return centre


def _with_daughters(centre: Array, angle: Array, traits: Traits, t: int) -> Array:
    """Centres, with the daughters born in frame t put on either side of where their mother was."""
    placed = centre.copy()
    for mother in np.flatnonzero(traits.ends == t):
        axis = np.array([np.sin(angle[mother]), np.cos(angle[mother])])
        aside, first = 0.6 * traits.radius[mother] * axis, 2 * (mother - DIVISIONS)
        placed[first], placed[first + 1] = centre[mother] + aside, centre[mother] - aside
    return placed


def _contours(radius: Array, modes: Array, angle: Array, rounding: Array) -> Array:
    """Radius in pixels (n, ANGLES) of each cell in direction -pi to pi; never negative."""
    theta = np.linspace(-np.pi, np.pi, ANGLES, endpoint=False)
    phase = MODES * (theta - angle[:, None])[..., None]
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=2)
    swing = np.einsum("nk,nak->na", modes * np.tile(0.47 * MODES**-1.65, 2), waves)
    swing = 0.55 * np.tanh(swing / 0.55)
    return np.asarray(radius[:, None] * np.exp(swing * (1 - 0.9 * rounding[:, None])))


def _territories(pose: Pose, size: Size) -> Labels:
    """Label canvas: each pixel goes to the cell whose contour it is deepest inside of.

    The union of cells is where the soft minimum of the distances is negative, so that gaps of
    a pixel or two between neighbours close, as membranes that adhere do.
    """
    nearest, owner, union = np.full(size, np.inf), np.zeros(size, np.int32), np.zeros(size)
    for cell in np.flatnonzero(pose.alive):
        window, distance = _distance(pose.centre[cell] + MARGIN_PX, pose.contour[cell], size)
        union[window] += np.exp(-distance.clip(-40, 40) / BRIDGE_PX)
        closer = distance < nearest[window]
        owner[window][closer] = cell + 1
        nearest[window] = np.minimum(nearest[window], distance)
    return np.where(union > 1, owner, 0).astype(np.int32)


def _distance(centre: Array, contour: Array, size: Size) -> tuple[tuple[slice, slice], Array]:
    """A window around a cell and in it the radial distance to its contour, negative inside."""
    reach = contour.max() + 6 * BRIDGE_PX
    low = np.clip(np.floor(centre - reach), 0, size).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, size).astype(int)
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    theta = np.arctan2(y - centre[0], x - centre[1])
    at = ((theta + np.pi) * (ANGLES / (2 * np.pi))).astype(int) % ANGLES
    distance = np.hypot(y - centre[0], x - centre[1]) - contour[at]
    return (slice(low[0], high[0]), slice(low[1], high[1])), distance


def _without_slivers(canvas: Labels) -> Labels:
    """The canvas with only the largest visible piece of each cell, if it has SMALLEST_PX or more."""
    kept = canvas.copy()
    view = kept[VIEW]
    for cell in np.unique(view[view > 0]):
        pieces, count = ndimage.label(view == cell)
        areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if areas.max() < SMALLEST_PX:
            kept[kept == cell] = 0
        else:
            view[(pieces > 0) & (pieces != areas.argmax() + 1)] = 0
    return kept


def _light(rng: Rng, shape: Size) -> Array:
    """Illumination of the frame, about 1: tilted, and darker in the corners."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    tilt = rng.uniform(-0.12, 0.12, 2)
    return np.asarray(1.05 + tilt[0] * y + tilt[1] * x - 0.1 * (y**2 + x**2))


def _dish(rng: Rng, size: Size) -> Array:
    """Thickness of everything but cells: an uneven coating, debris, and debris out of focus."""
    coating = 0.035 * _band(rng, size, 1.2, 4.0) + 0.05 * _band(rng, size, 6.0, 20.0)
    return coating + 0.9 * _spots(rng, size, 2e-4, 1.2) + 0.3 * _spots(rng, size, 1e-4, 4.5)


def _texture(rng: Rng) -> Array:
    """Cytoplasm (2, TEXTURE_PX, TEXTURE_PX) to cut patches from: grain, and granules."""
    size = (TEXTURE_PX, TEXTURE_PX)
    return np.stack([_band(rng, size, 0.9, 3.0), _spots(rng, size, 0.012, 0.95)])


def _band(rng: Rng, size: Size, fine: float, coarse: float) -> Array:
    """Periodic noise with detail between two sizes in pixels; mean 0, standard deviation 1."""
    white = rng.normal(size=size)
    band = _blurred(white, fine) - _blurred(white, coarse)
    return np.asarray((band - band.mean()) / band.std())


def _spots(rng: Rng, size: Size, density: float, sigma: float) -> Array:
    """Periodic scatter of round spots of height 1 or -1: vesicles, debris, debris out of focus."""
    sown = (rng.uniform(size=size) < density) * rng.choice([-1.0, 1, 1], size)
    return _blurred(sown, sigma) * 2 * np.pi * sigma**2


def _blurred(image: Array, sigma: float) -> Array:
    """Gaussian blur; it wraps around, which the margin keeps out of the frame."""
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="wrap"))


def _thickness(canvas: Labels, pose: Pose, traits: Traits, texture: Array) -> Array:
    """Optical thickness of the cells over the canvas, about 1 in a cell and 0 outside."""
    inside = np.nonzero(canvas)
    cell = canvas[inside] - 1
    y, x = np.array(inside) - MARGIN_PX - pose.centre[cell].T
    sin, cos = np.sin(pose.angle[cell]), np.cos(pose.angle[cell])
    own = np.column_stack([cos * y - sin * x, cos * x + sin * y])
    at = (own + traits.patch[cell]).T
    grain, granules = (ndimage.map_coordinates(c, at, order=1, mode="grid-wrap") for c in texture)
    nucleus = traits.nucleus[cell]
    spot = (own / traits.radius[cell, None] - nucleus[:, 0]) / nucleus[:, 1]
    depth = np.linalg.norm(spot, axis=1)
    cytoplasm = 1 / (1 + np.exp((1 - depth) / 0.08))
    body = 0.75 + 0.3 * np.exp(-depth) + _nucleus(spot, nucleus[:, 2:])
    body += cytoplasm * (0.15 * grain + 1.3 * granules * np.exp(-((depth / 2) ** 2)))
    # a seam, where cells become thin, is a pixel beside a larger id: one pixel wide between two cells
    edge = ndimage.distance_transform_edt(ndimage.maximum_filter(canvas, 3) <= canvas)[inside]
    thickness = np.zeros(canvas.shape)
    thickness[inside] = body * traits.thickness[cell] * np.clip(edge / 1.4, 0, 1)
    return thickness


def _nucleus(spot: Array, nucleoli: Array) -> Array:
    """Thickness the nucleus adds at `spot` (m, 2): clearer inside, dense envelope and nucleoli."""
    depth = np.linalg.norm(spot, axis=1)
    clear = -0.35 / (1 + np.exp((depth - 1) / 0.08))
    envelope = 0.25 * np.exp(-(((depth - 1) / 0.12) ** 2))
    distance = np.linalg.norm(spot[:, None] - nucleoli, axis=2)
    return np.asarray(clear + envelope + 0.75 * np.exp(-((distance / 0.24) ** 2)).sum(axis=1))


def _phase_contrast(thickness: Array, rounded: Array) -> Array:
    """Brightness (background 1) through a phase ring, with a little shear as by oblique light.

    The ring shows thickness less its blurred surround, dark on bright, which gives the halo: Yin,
    Kanade, Chen, Medical Image Analysis 16 (2012) 1047, here with Gaussians for the Airy pattern.
    Cells `rounded` (0 to 1) up to divide are too thick for that and shine.
    """
    sharp = _blurred(thickness, 0.8)
    phase = sharp - _blurred(thickness, HALO_PX)
    shear = sharp - np.roll(sharp, (1, 1), (0, 1))
    return 1 - 0.5 * phase + 0.4 * shear + 0.7 * _blurred(rounded, 3.0) ** 2


def _exposed(bright: Array, rng: Rng) -> NDArray[np.uint8]:
    """Grey values of a camera with shot noise (2500 electrons a pixel) and read noise."""
    lamp = rng.normal(1, 0.008)
    electrons = rng.poisson(2500 * lamp * bright.clip(0.05)) + rng.normal(0, 20, bright.shape)
    return np.clip(np.rint(electrons * 0.044), 0, 255).astype(np.uint8)
