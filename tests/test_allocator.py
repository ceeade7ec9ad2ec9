"""Freed memory is kept, seen from outside: a large block that is taken again costs no fresh pages."""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write

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


def under_limit(command: str, mebibytes: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """`unetseg COMMAND` with so much address space, and one thread: each takes some for its stack."""
    given = [sys.executable, "-m", "unetseg", *command.split()]
    shell = f"ulimit -v {mebibytes * 1024}; exec {shlex.join(given)}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", "-c", shell], env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.parametrize(
    ("command", "mebibytes"),
    [
        ("nets", 200),
        ("report run", 600),
        ("predict run a.tif", 600),
        ("train --data d", 900),
        ("score a b", 300),
    ],
)
def test_a_small_memory_limit_is_one_error(command: str, mebibytes: int, tmp_path: Path) -> None:
    ended = under_limit(command, mebibytes, tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: not enough memory: ulimit -v allows {mebibytes} MiB")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.parametrize(
    "command", ["score a.tif a.tif", "measure a.tif --out t.csv", "export-labels a.tif --out a.zip", "models"]
)
def test_commands_without_a_network_run_in_less(command: str, tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.tile(np.repeat([0, 1, 0, 2], 8).astype(np.uint16), (32, 1)))
    ended = under_limit(command, 500, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
