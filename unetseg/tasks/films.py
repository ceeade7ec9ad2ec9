"""The built-in data set: synthetic films of touching cells, generated when needed, nothing to download."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.listing import Listing
from unetseg.tasks.synthetic import cell_movie

FILMS = {"01": 1, "02": 2}
"""Two films, group name → seed: train on one, score on the other."""
FRAMES = 16
SPACING_UM = (0.65, 0.65)


def listing(root: Path, data: DataSettings) -> Listing:
    """Every frame of both films; `root` is not used."""
    entries = [
        Entry(f"{group}/t{t:03d}", group, t, partial(_read, group, t))
        for group in FILMS
        for t in range(FRAMES)
    ]
    return Listing(tuple(entries), notes=(f"synthetic films {', '.join(FILMS)}, {FRAMES} frames each",))


def _read(group: str, t: int) -> Sample:
    images, labels = film(FILMS[group])
    return Sample(f"{group}/t{t:03d}", images[t][None], labels[t], SPACING_UM)


@cache
def film(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Images and labels (t, y, x) of the film of this seed, made once."""
    return cell_movie(seed=seed, frames=FRAMES)
