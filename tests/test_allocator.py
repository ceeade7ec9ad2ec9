"""Freed memory is kept, seen from outside: a large block that is taken again costs no fresh pages."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from unetseg.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> int:
    """Pages that were fresh in 5 rounds of 128 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="only glibc gives large blocks back at once",
)
def test_blocks_are_taken_again_unless_the_environment_says_otherwise() -> None:
    assert faults("keep") < 100 < faults("leave")
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="1048576", MALLOC_TRIM_THRESHOLD_="1048576") > 100


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.parametrize("mebibytes", [200, 600])
@pytest.mark.parametrize("command", ["nets", "report run", "predict run a.tif", "train --data d"])
def test_a_small_memory_limit_is_one_error(command: str, mebibytes: int) -> None:
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (mebibytes * 2**20,) * 2)

    ended = subprocess.run(
        [sys.executable, "-m", "unetseg", *command.split()],
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: not enough memory: the limit (ulimit -v) is {mebibytes} MiB")
    assert ended.stderr.count("\n") == 1
