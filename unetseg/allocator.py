"""How the process holds memory; a matter of the program, so the command line and the workers decide it."""

from __future__ import annotations

import ctypes
import os

GLIBC = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**30),
    "MALLOC_ARENA_MAX": (-8, 1),
}
"""Names in the environment, and for mallopt(3) the parameter and the value: never give back; blocks of up
to 1 GiB out of what is held; one pool for all threads."""


def keep_freed_memory() -> None:
    """Have freed memory used again instead of given back, which is glibc's way with large blocks.

    The pages of a fresh block are filled with zeros one by one when they are first touched: a quarter
    of the time of a prediction on a CPU (docs/speed.md). What the user has set in the environment
    stays; without glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "mallopt", None)
    if mallopt is None:
        return
    for name, (parameter, value) in GLIBC.items():
        if name not in os.environ:
            mallopt(parameter, value)
