"""How label files are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Scoring:
    """How to score: the names of the scores (none: the standard ones), and what counts.

    border: leave out objects that lie completely within so many pixels of the image's edge.
    missing_as_empty: a truth without a prediction counts as one in which nothing was found.
    partly_annotated: only some objects are annotated, so no pixel is known to be background.
    regions, noisy: for restored images, rectangles by name as `data.regions`, and the noisy images, a file or
    folder, to compare with.
    """

    names: tuple[str, ...] = ()
    border: int = 0
    missing_as_empty: bool = False
    partly_annotated: bool = False
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    noisy: Path | None = None
