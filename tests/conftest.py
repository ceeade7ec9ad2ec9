"""What several tests share: the folder of the real data sets, the command line, and its files."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import settings

from unetseg.cli import main

# The same examples on every run: a red test is a change's doing. New ones: --hypothesis-profile=default.
settings.register_profile("unetseg", derandomize=True, deadline=None)
settings.load_profile("unetseg")
# A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: one thread in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Unetseg = Callable[..., Result]
"""The arguments of the command to what it printed and its exit code."""


@pytest.fixture
def unetseg(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Unetseg:
    """The command, in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["unetseg", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        return Result(code, *capsys.readouterr())

    return run


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


@pytest.fixture
def data_root() -> Path:
    """The folder of the real data sets: $UNETSEG_DATA, or shared/data beside the checkout."""
    root = Path(os.environ.get("UNETSEG_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}: set UNETSEG_DATA to their folder")
    return root
