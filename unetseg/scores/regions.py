"""Signal-to-noise and contrast-to-noise ratios of named regions of an image, which need no clean image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError

BACKGROUND = "background"
Rectangles = Mapping[str, tuple[int, ...]]
"""[y0, y1, x0, x1] in pixels by name, the ends not included."""


def region_scores(image: NDArray[Any], regions: Rectangles) -> dict[str, float]:
    """The scores snr-NAME and cnr-NAME of every region but "background"; image (c, y, x) or (y, x).

    With mean μ and standard deviation σ of the region r and of the background b:
    snr = 20·log10(μ_r / σ_b) in dB, cnr = |μ_r − μ_b| / √((σ_r² + σ_b²) / 2), as Devalla 2019.
    NaN where the noise is 0 or μ_r is not above 0. Empty for no regions.
    Raises UserError for regions without a background, and for one that is not inside the image.

    >>> image = np.array([[0, 2, 10, 12]])
    >>> region_scores(image, {"background": (0, 1, 0, 2), "cell": (0, 1, 2, 4)})
    {'snr-cell': 20.827853703164504, 'cnr-cell': 10.0}
    """
    if not regions:
        return {}
    if BACKGROUND not in regions:
        raise UserError(f'regions {", ".join(regions)}: one must be named "{BACKGROUND}", for its noise.')
    found = {name: _cut(image, name, ends).astype(np.float64) for name, ends in regions.items()}
    noise, level = found[BACKGROUND].std(), found[BACKGROUND].mean()
    scores = {}
    for name, pixels in found.items():
        if name != BACKGROUND:
            mean, both = pixels.mean(), np.sqrt((pixels.var() + noise**2) / 2)
            known = noise > 0 and mean > 0
            scores[f"snr-{name}"] = float(20 * np.log10(mean / noise)) if known else float("nan")
            scores[f"cnr-{name}"] = float(abs(mean - level) / both) if both > 0 else float("nan")
    return scores


def _cut(image: NDArray[Any], name: str, ends: tuple[int, ...]) -> NDArray[Any]:
    y0, y1, x0, x1 = ends
    height, width = image.shape[-2:]
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise UserError(
            f"region {name} = {list(ends)}: not a rectangle [y0, y1, x0, x1] inside the image, which is "
            f"{height}×{width} pixels."
        )
    return image[..., y0:y1, x0:x1]
