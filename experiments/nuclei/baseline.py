"""The plain method that the shipped model is compared with: Otsu's threshold and a distance watershed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed


def otsu_watershed(image: NDArray[Any], min_distance: int = 5) -> NDArray[np.int32]:
    """Labels (y, x) of a grey image (y, x); min_distance: of two nuclei's centres, in pixels."""
    smooth = gaussian(image.astype(float), 1)
    mask = smooth > threshold_otsu(smooth)
    distance = gaussian(ndimage.distance_transform_edt(mask), 1)
    peaks = peak_local_max(distance, min_distance=min_distance, labels=ndimage.label(mask)[0])
    seeds = np.zeros(image.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: NDArray[np.int32] = watershed(-distance, seeds, mask=mask)
    return labels
