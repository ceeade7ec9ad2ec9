"""A command of unetseg in a forked process, in a folder beside files that must stay as they are."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from unetseg.errors import UserError

from .harness import PATIENCE, SECONDS

RESIDENT = 800 * 2**20
"""Bytes that a command on a small file may take beside those of its imports."""
PRECIOUS = b"years of work"


@dataclass(frozen=True)
class Ended:
    """Exit code, or the negative signal; what was printed; peak of memory in use in bytes."""

    code: int
    text: str
    memory: int
    hung: bool


def set_up(case: Path) -> Path:
    """A folder for commands in `case`, beside one of precious files that a hostile path may aim at."""
    for ending in ("tif", "nii.gz", "png", "zarr", "pt"):
        file = case / "precious" / f"thesis.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(PRECIOUS)
    (case / "work").mkdir()
    return case / "work"


def expect_result_or_refusal(argv: list[str], case: Path, *names: str) -> None:
    """Run the command in the case's folder; raises an error unless it ends as it should.

    That is with a result, or with one clear error in which one of `names` stands. Raises UserError where the
    command refuses the file.
    """
    ended = run_command(argv, case / "work")
    if (case / "ran").exists():
        raise RuntimeError("code ran")
    changed = [p.name for p in (case / "precious").iterdir() if p.read_bytes() != PRECIOUS]
    if changed or {p.name for p in case.iterdir()} - {"work", "precious", "output"}:
        raise RuntimeError(f"wrote outside its folder: {changed}")
    if ended.memory > RESIDENT + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
        raise MemoryError(f"{ended.memory / 2**20:.0f} MiB")
    if ended.hung:
        raise TimeoutError(ended.text[-300:])
    if ended.code == 2 and "Traceback (most recent call last)" not in ended.text:
        if not any(name in ended.text for name in names):
            raise ValueError(f"unnamed: {ended.text}")
        raise UserError(ended.text)
    if ended.code != 0:
        raise ChildProcessError(f"exit code {ended.code}: {ended.text[-300:]}")


def run_command(argv: list[str], folder: Path, seconds: int = SECONDS) -> Ended:
    """The command in a forked child, in `folder`, with a limit of processor time."""
    output = folder.parent / "output"
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        _in_child(argv, folder, output)
    status, usage = _wait(child, time.monotonic() + PATIENCE)
    text, code = output.read_text(encoding="utf-8", errors="replace"), os.waitstatus_to_exitcode(status)
    return Ended(code, text, usage.ru_maxrss * 1024, hung=code in (-signal.SIGKILL, -signal.SIGXCPU))


def _in_child(argv: list[str], folder: Path, output: Path) -> None:
    code = 1
    try:
        os.chdir(folder)
        descriptor = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stderr = sys.__stderr__
        sys.argv = ["unetseg", *argv]
        code = _exit_code()
    except BaseException:  # the fault that is looked for
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code() -> int:
    from unetseg.cli import main

    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def _wait(child: int, end: float) -> tuple[int, resource.struct_rusage]:
    """The child's status and what it took; it is ended at `end`."""
    while time.monotonic() < end:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.wait4(child, 0)[1:]
