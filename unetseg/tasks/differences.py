"""Files of a data set that differ from the others in pixel size or in their grey values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from unetseg.errors import some_of
from unetseg.normalise import AS_THEY_ARE
from unetseg.settings import DataSettings
from unetseg.tasks.file_summary import FileSummary

SAME_SIZE = 0.1
"""Pixel sizes that differ by less than this share count as equal."""
FAINT, FAR = 1 / 16, 16.0
"""Highest grey values that differ by more than this factor belong to different bit depths."""


def difference_notes(files: Sequence[FileSummary], data: DataSettings) -> list[str]:
    """A note for each property in which some files differ from most, and names them."""
    notes = [] if data.object_diameter else [_pixel_sizes(files)]
    if data.normalise in AS_THEY_ARE:
        notes.append(_grey_values(files, data.normalise))
    return [n for n in notes if n]


def _pixel_sizes(files: Sequence[FileSummary]) -> str:
    sizes = {f.image.name: f.spacing_um for f in files if f.spacing_um is not None}
    if not sizes:
        return ""
    alike = {a: sum(_same_size(a, b) for b in sizes.values()) for a in sizes.values()}
    typical = max(alike, key=lambda size: alike[size])
    other = [f"{n} {_micrometres(s)}" for n, s in sizes.items() if not _same_size(s, typical)]
    if not other:
        return ""
    where = "most images" if 2 * alike[typical] > len(sizes) else f"{alike[typical]} of {len(sizes)} images"
    return (
        f"pixel sizes differ: {_micrometres(typical)} µm in {where}, other in {some_of(other)}. The network "
        "sees pixels, not µm: bring the images (and their labels) to one pixel size."
    )


def _same_size(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(abs(a / b - 1) <= SAME_SIZE for a, b in zip(one[::-1], other[::-1], strict=False))


def _micrometres(size: tuple[float, ...]) -> str:
    """One number for square pixels, else those of all axes: 0.65, or 2×0.5×0.5."""
    return f"{size[0]:.3g}" if len(set(size)) == 1 else "×".join(f"{s:.3g}" for s in size)


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
