"""The scores of one image restored by several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unetseg.scores import score
from unetseg.scores.regions import Rectangles, region_scores

NOISY = "noisy input"
Methods = dict[str, dict[str, float]]
"""The scores of each method by name."""


def method_scores(
    clean: NDArray[np.generic], found: Mapping[str, NDArray[np.generic]], regions: Rectangles
) -> Methods:
    """The scores of one image (c, y, x) by each method against the clean one, and those of its regions."""
    return {
        name: score([clean], [image], kind="restoration") | region_scores(image, regions)
        for name, image in found.items()
    }


def mean_scores(rows: Sequence[Methods]) -> Methods:
    """The means over images."""
    return {
        method: {name: float(np.mean([row[method][name] for row in rows])) for name in names}
        for method, names in rows[0].items()
    }
