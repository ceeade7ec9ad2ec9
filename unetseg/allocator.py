"""The address space that the process needs, and how it keeps freed memory; for the command and workers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

from unetseg.errors import UserError

WITH_TORCH, WITHOUT_TORCH = 1152 * 2**20, 384 * 2**20
"""Bytes for loading the libraries, with a little to work in; measured on two cores."""
GLIBC = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**30),
    "MALLOC_ARENA_MAX": (-8, 1),
}
"""Environment variable → parameter and value of mallopt(3): never return memory to the system; take blocks of
up to 1 GiB from the heap; one arena for all threads."""


def check_address_space(needed: int) -> None:
    """Raise UserError if `ulimit -v` allows less than the `needed` bytes of the libraries.

    Below that, libraries abort from C++ or hang, and no error can be caught.
    """
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise UserError(
            f"not enough memory: ulimit -v allows {allowed // 2**20} MiB of address space, but "
            f"{needed // 2**20} MiB are needed. Raise it: ulimit -v {2 * needed // 2**10}."
        )


def keep_freed_memory() -> None:
    """Make the process reuse freed memory instead of returning it, as glibc does with large blocks.

    The system zeroes the pages of a fresh block when they are first touched: a quarter of the time of a
    prediction on a CPU (docs/speed.md). The user's own environment variables take precedence; without
    glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "mallopt", None)
    if mallopt is None:
        return
    for name, (parameter, value) in GLIBC.items():
        if name not in os.environ:
            mallopt(parameter, value)


def peak_resident(now: int) -> int:
    """Peak resident bytes as the system counts them.

    On Linux those of this program: getrusage would include the peak of its parent process.
    """
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        return next((1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:")), now)
    return now  # Windows, where psutil gives the peak itself
