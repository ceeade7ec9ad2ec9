"""Free space on the disk for what is about to be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from unetseg.errors import UserError
from unetseg.images.limits import in_words

LABEL_BYTES = 0.25
"""Compressed bytes per label pixel, at most: EM cells (the densest here) take 0.06, fewer objects 0.01."""
PYRAMID = 4 / 3
"""A pyramid's pixels per pixel of its first level: 1 + 1/4 + 1/16 + …"""


def label_bytes(pixels: int) -> int:
    """An upper estimate of the disk space of compressed labels with their pyramid."""
    return int(pixels * LABEL_BYTES * PYRAMID)


def check_space(path: Path, needed: int, remedy: str = "choose another disk with --out") -> None:
    """Raise UserError, which suggests `remedy`, unless the disk of `path` has `needed` bytes free."""
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{path}: up to {in_words(needed)} may be needed, but only {in_words(free)} are free on the disk "
            f"of {folder}. Free some space, or {remedy}."
        )
