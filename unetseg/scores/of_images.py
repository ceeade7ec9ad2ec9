"""The scores of restored images against clean ones: PSNR, SSIM and SNR, each a mean over the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unetseg.errors import UserError
from unetseg.scores.entry import Frame, Rows, Score, mean_of_rows

WINDOW = 7
"""Side in pixels of the windows of SSIM; skimage's default."""
Image = NDArray[np.float64]


def psnr(clean: Image, restored: Image) -> float:
    """10·log10(range² / mean squared error) in dB, by the range of the clean image; images (c, *yx).

    Source: skimage.metrics. Infinite for equal images, NaN for a clean image of one grey value.
    """
    extent = float(np.ptp(clean))
    if np.array_equal(clean, restored):
        return float("inf")
    return float(peak_signal_noise_ratio(clean, restored, data_range=extent)) if extent else float("nan")


def ssim(clean: Image, restored: Image) -> float:
    """The mean structural similarity, with the range of the clean image; images (c, *yx).

    Source: Wang et al. 2004, by skimage.metrics with its defaults.
    """
    extent = float(np.ptp(clean))
    if not extent:
        return float("nan")
    if min(clean.shape[1:]) < WINDOW:
        raise UserError(f"SSIM needs images of at least {WINDOW} pixels a side. Leave it out with --scores.")
    return float(structural_similarity(clean, restored, data_range=extent, channel_axis=0))


def snr(clean: Image, restored: Image) -> float:
    """10·log10(Σ clean² / Σ (clean − restored)²) in dB; images (c, *yx)."""
    error = float(((clean - restored) ** 2).sum())
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.divide((clean**2).sum(), error))) if error else float("inf")


def _rows(measure: Callable[[Image, Image], float]) -> Callable[[Frame], Rows]:
    def rows(frame: Frame) -> Rows:
        clean, restored = (_with_channels(a) for a in (frame.truth, frame.predicted))
        return np.array([[measure(clean, restored)]])

    return rows


def _with_channels(image: NDArray[Any]) -> Image:
    """(c, y, x) float64 of an image (y, x) or (c, y, x)."""
    return (image[None] if image.ndim == 2 else image).astype(np.float64)


IMAGE_SCORES: dict[str, Score] = {
    "psnr": Score(
        kind="restoration",
        title="PSNR (dB)",
        meaning="peak signal-to-noise ratio, by the clean image's range of grey values; mean over images",
        total=mean_of_rows,
        rows=_rows(psnr),
        standard=True,
    ),
    "ssim": Score(
        kind="restoration",
        title="SSIM",
        meaning="structural similarity to the clean image (Wang 2004), windows of 7 pixels; mean over images",
        total=mean_of_rows,
        rows=_rows(ssim),
        standard=True,
    ),
    "snr": Score(
        kind="restoration",
        title="SNR (dB)",
        meaning="energy of the clean image by that of the difference from it; mean over images",
        total=mean_of_rows,
        rows=_rows(snr),
        standard=True,
    ),
}
