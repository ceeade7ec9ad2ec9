"""How long it takes until something is seen: the help, and the first training step of the command.

python -m benchmarks.start
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row, faster, table

HELP_LIMIT_S, STEP_LIMIT_S = 0.5, 10.0


def rows(*, quick: bool = False) -> list[Row]:
    """`unetseg --help` and the first step of a demo of one step, scoring and report included."""
    help_s = min(_seconds("--help") for _ in range(3))
    found = [faster("unetseg --help", help_s, "limit of 0.5 s", HELP_LIMIT_S)]
    if not quick:
        with tempfile.TemporaryDirectory() as folder:
            found.append(
                faster("film made, first training step", _until_first_step(Path(folder) / "demo"),
                       "limit of 10 s", STEP_LIMIT_S)
            )  # fmt: skip
    return found


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "unetseg", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def _until_first_step(out: Path) -> float:
    """From the start of `unetseg demo` to the first line of its log; then it is stopped."""
    started, log = time.perf_counter(), out / "run" / "log.jsonl"
    command = [sys.executable, "-m", "unetseg", "demo", "--out", str(out), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (log.is_file() and log.read_text()):
            time.sleep(0.01)
        taken = time.perf_counter() - started
        process.kill()
    return taken


if __name__ == "__main__":
    print(table(rows()))
