"""Grey values of a training image matched to those of another one (Milletari, V-Net, 3DV 2016, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from skimage.exposure import match_histograms

from unetseg.sample import Example

STREAM = 1
"""Separates these draws from the noise, which has the same seed."""


def matched_example(examples: Sequence[Example], index: int, probability: float, seed: int) -> Example:
    """The example with the histogram of another one, channel by channel, or as it is.

    seed: of the crop; it decides whether it is matched and to which of the others. Targets stay.
    """
    rng = np.random.default_rng([seed, STREAM])
    if rng.random() >= probability or len(examples) < 2:
        return examples[index]
    other = int(rng.integers(len(examples) - 1))
    reference = examples[other + (other >= index)].image
    image = match_histograms(examples[index].image, reference, channel_axis=0)
    return replace(examples[index], image=image.astype(np.float32))
