"""Tries mutants of a file in a process of its own, with a limit on memory and on time.

What may come of a mutant is a result or a UserError; every other outcome is a fault.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from unetseg.errors import UserError

ROOT = Path(__file__).parents[2]
MEMORY = 1536 * 2**20
"""Bytes of address space that a mutant may ask for beyond those of a sound file."""
RESIDENT = 400 * 2**20
"""Bytes by which a mutant may raise the peak of memory in use."""
SECONDS = 30
"""A mutant that takes longer hangs (processor time where it is used in a process of its own)."""
PATIENCE = 300
"""One that waits longer, too; other work may slow the machine down."""
ALLOWED = ("result", "refused")


@dataclass(frozen=True)
class Kind:
    """A kind of file to damage.

    make: writes a sound one into an empty folder and returns its path; damage: changes it in place
    and says how; use: does what a user would do with it.
    """

    make: Callable[[Path], Path]
    damage: Callable[[Path, np.random.Generator], str]
    use: Callable[[Path], object]


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant: "result", "refused", or the name of a fault with its detail."""

    seed: int
    damage: str
    what: str
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether this may not happen."""
        return self.what not in ALLOWED


def try_mutants(kind: str, seeds: range) -> Iterator[Outcome]:
    """The outcome of each mutant; a process that dies is replaced, and its mutant is a fault."""
    first = seeds.start
    while first < seeds.stop:
        for outcome in _from_process(kind, first, seeds.stop):
            yield outcome
            first = outcome.seed + 1


def _from_process(kind: str, first: int, stop: int) -> Iterator[Outcome]:
    """Outcomes from a new process, and one for its death if it dies."""
    command = [sys.executable, "-m", "tests.fuzz", "--worker", kind, str(first), str(stop)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        seed = first
        for line in process.stdout or ():
            yield Outcome(**json.loads(line))
            seed += 1
        if process.wait() and seed < stop:
            errors.seek(0)
            text = errors.read()
            what = "hang" if "Timeout" in text else "death"
            yield Outcome(seed, "", what, f"exit code {process.returncode}: {text[-600:]}")


def work(kind: Kind, name: str, seeds: range) -> None:
    """Try mutants in this process; prints an outcome a line."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        sound = kind.make(_empty(Path(folder, "sound")))
        kind.use(sound)  # a sound file is read without an error; and the imports are done
        _limit_memory()
        for seed in seeds:
            copy = Path(folder, "mutant")
            shutil.copytree(sound.parent, copy)
            outcome = _try(kind, copy / sound.name, seed, name)
            print(json.dumps(asdict(outcome)), flush=True)  # noqa: T201
            shutil.rmtree(copy)


def _try(kind: Kind, path: Path, seed: int, name: str) -> Outcome:
    damage = kind.damage(path, np.random.default_rng([zlib.crc32(name.encode()), seed]))
    before = _peak()
    faulthandler.dump_traceback_later(PATIENCE + 10, exit=True)
    what, detail = "result", ""
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            kind.use(path)
    except UserError as error:
        what, detail = "refused", str(error)[:300]
    except Exception as error:
        what, detail = type(error).__name__, str(error)[:300]
    faulthandler.cancel_dump_traceback_later()
    if _peak() - before > RESIDENT or "Unable to allocate" in detail or what == "MemoryError":
        what, detail = "memory", f"{(_peak() - before) / 2**20:.0f} MiB; {detail}"
    return Outcome(seed, damage, what, detail)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
