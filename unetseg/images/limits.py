"""What a file claims to hold, checked against its size and the free memory before anything is allocated."""

from __future__ import annotations

from pathlib import Path

import psutil

from unetseg.errors import UserError

RATIO = 2**16
"""Bytes of pixels that a byte of a file can hold: deflate reaches 1,032, an empty 512² tile about 32,000."""
UNPACKED = 200
"""Bytes that a byte of an archive may unpack to; sets of images stay below 20."""
PLANES = 10**6
"""The most planes that an image may have; each has a name and a place in results."""


def check_claim(path: Path, claimed: int, size: int) -> None:
    """Raise UserError if a file of `size` bytes cannot hold pixels of `claimed` bytes."""
    if claimed > RATIO * size:
        raise UserError(
            f"{path}: claims to hold {in_words(claimed)} of pixels, but the file has {in_words(size)}. "
            "It is damaged: copy or save it again."
        )


def check_unpacked(what: str, claimed: int, size: int, *, ratio: int = UNPACKED) -> None:
    """Raise UserError, which begins with `what`, if an archive of `size` bytes claims to hold too many."""
    if claimed > ratio * size:
        raise UserError(f"{what}: its {in_words(size)} claim to unpack to {in_words(claimed)}.")


def check_memory(path: Path, needed: int, remedy: str = "") -> None:
    """Raise UserError if `needed` bytes are more than the free memory."""
    free = psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"{path}: needs {in_words(needed)} of memory; only {in_words(free)} are free. {remedy}".strip()
        )


def check_planes(path: Path, count: int) -> None:
    """Raise UserError for more planes than an image can have."""
    if not 0 < count <= PLANES:
        raise UserError(f"{path}: claims {count} planes; allowed are 1 to {PLANES:,}.")


def in_words(count: int) -> str:
    """An amount of bytes, in a suitable unit.

    >>> in_words(5_400_000_000), in_words(312)
    ('5.4 GB', '312 bytes')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"
