"""Files of a data set that differ from the others in pixel size or in their grey values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from unetseg.errors import some_of
from unetseg.tasks.file_summary import FileSummary

SAME_SIZE = 0.1
"""Pixel sizes that differ by less than this share count as equal."""
FAINT, FAR = 1 / 16, 16.0
"""Highest grey values that differ by more than this factor belong to different bit depths."""


def difference_notes(files: Sequence[FileSummary], normalise: str) -> list[str]:
    """A note for each property in which some files differ from most, and names them."""
    notes = [_pixel_sizes(files)]
    if normalise in ("training-set", "none"):  # the other rules look at each image alone
        notes.append(_grey_values(files, normalise))
    return [n for n in notes if n]


def _pixel_sizes(files: Sequence[FileSummary]) -> str:
    sizes = {f.image.name: None if f.spacing_um is None else f.spacing_um[-1] for f in files}
    known = [s for s in sizes.values() if s is not None]
    if not known:
        return ""
    usual = Counter(round(float(np.log(s) / np.log1p(SAME_SIZE))) for s in known).most_common(1)[0][0]
    typical = next(s for s in known if round(float(np.log(s) / np.log1p(SAME_SIZE))) == usual)
    other = [f"{n} {s:.3g}" for n, s in sizes.items() if s and abs(s / typical - 1) > SAME_SIZE]
    if not other:
        return ""
    return (
        f"pixel sizes differ: {typical:.3g} µm in most images, other in {some_of(other)}. The network sees "
        "pixels, not µm: bring the images (and their labels) to one pixel size."
    )


def _grey_values(files: Sequence[FileSummary], normalise: str) -> str:
    tops = {f.image.name: f.grey_range[1] for f in files}
    typical = float(np.median(list(tops.values())))
    other = [f"{n} up to {t:g}" for n, t in tops.items() if _far(t, typical)]
    types = Counter(f.dtype for f in files)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        other = other or [f"{f.image.name} {f.dtype}" for f in files if f.dtype != usual]
    if not other:
        return ""
    return (
        f"grey values differ: up to {typical:g} in most images, but {some_of(other)}. With data.normalise = "
        f'"{normalise}" these look different to the network; "per-image" or "percentile" avoids that.'
    )


def _far(value: float, typical: float) -> bool:
    return typical > 0 and not FAINT < value / typical < FAR
