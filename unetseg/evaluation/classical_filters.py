"""Classical filters that a restored image is compared with: non-local means and wavelet shrinkage."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from skimage.restoration import denoise_nl_means, denoise_wavelet

Filter = Callable[[NDArray[Any]], NDArray[np.float32]]
"""An image (c, y, x) to one of the same shape, in the same grey values."""
STRENGTH = 0.8
"""Non-local means: cut-off distance in standard deviations of the noise, as in skimage's example."""
PATCH, REACH, WAVELET = 5, 6, "sym4"
WAVELETS = "wavelet"
DB2_DETAIL = (-0.12940952, -0.22414387, 0.83651630, -0.48296291)
"""The high-pass filter of Daubechies' wavelet with 4 coefficients."""
MEDIAN_OF_NORMAL = 0.67448975
"""The median absolute value of a standard normal variable."""
INSTALL = 'pip install "unetseg-microscopy[restoration]"'


def non_local_means(image: NDArray[Any]) -> NDArray[np.float32]:
    """Non-local means (Buades 2005; skimage, fast), patches of 5 pixels, of each channel.

    The noise is estimated from the image.
    """
    return np.stack([_non_local_means(channel.astype(np.float32)) for channel in image])


def wavelet(image: NDArray[Any]) -> NDArray[np.float32]:
    """BayesShrink of wavelet coefficients (Chang 2000; skimage), of each channel.

    The noise is estimated from the image.
    """
    return np.stack([_wavelet(channel.astype(np.float32)) for channel in image])


def _non_local_means(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    sigma = noise_level(pixels)
    found = denoise_nl_means(
        pixels, PATCH, REACH, h=STRENGTH * sigma, sigma=sigma, fast_mode=True, channel_axis=None
    )
    return found.astype(np.float32)


def _wavelet(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    low, extent = float(pixels.min()), float(np.ptp(pixels)) or 1.0
    found = denoise_wavelet((pixels - low) / extent, wavelet=WAVELET, rescale_sigma=True)  # clipped to 0…1
    return (low + extent * found).astype(np.float32)


def noise_level(pixels: NDArray[np.float32]) -> float:
    """The standard deviation of Gaussian noise in an image (y, x), by its diagonal wavelet details.

    Donoho and Johnstone 1994, section 4.2; as skimage's `estimate_sigma`, which needs PyWavelets.
    """
    detail = correlate1d(correlate1d(pixels, DB2_DETAIL, axis=0), DB2_DETAIL, axis=1)
    return float(np.median(np.abs(detail)) / MEDIAN_OF_NORMAL)


def classical_filters() -> dict[str, Filter]:
    """The filters by name; those of wavelets only if PyWavelets is installed."""
    return {"non-local means": non_local_means} | ({WAVELETS: wavelet} if has_wavelets() else {})


def has_wavelets() -> bool:
    """Whether PyWavelets is installed."""
    return find_spec("pywt") is not None
