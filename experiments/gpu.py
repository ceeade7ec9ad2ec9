"""Every open question about a GPU in one call, on a bare machine: Python, torch and NumPy suffice.

    python experiments/gpu.py wheels WHEELS [--python 3.12]      with network: what else is needed
    python experiments/gpu.py run --wheels WHEELS --data DATA    on the machine with the GPU

`run` installs the wheels into a folder of their own and has `--minutes` (9.5) in all. The parts come in
the order of their worth: the GPU tests; the rows of `benchmarks.gpu`; the paper's network on DIC-C2DH-HeLa,
trained on sequence 01 and scored on 02 in the minutes that are left, to which its schedule is fitted. All
is printed as it comes. DATA holds the folder DIC-C2DH-HeLa. Every part is a process of its own: one
that fails leaves the others alone, one that is done is not run again, one that was cut off is resumed, and
rows that are there are not measured again. Give the same command once more for what the time did not reach,
with more `--minutes` for a longer training. `--parts` chooses parts. What is not installed (MONAI,
albumentations, elasticdeform) is left out, with the reason.
Small files with the scores, logs and times collect in experiments/results-gpu/DEVICE.

    python experiments/gpu.py run --check --data DATA            tiny sizes, any machine, to see that it runs
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
CARRIED_NOT = ("torch", "numpy")
EXTRA = ["pytest==9.2.0", "hypothesis==6.170.15", "edt==3.1.2", "albumentations==2.0.8"]
ALONE = ["monai==1.6.1", "dynamic-network-architectures==0.4.4"]  # without what they ask for: torch
SAVING_S = 45
INTERRUPTED = 130
MINUTES_LEFT = "MINUTES LEFT"
"""In a part's command: the minutes that it has when it starts."""


@dataclass(frozen=True)
class Part:
    """A piece of the work: what it is called, its command, and the small files it leaves.

    share: of the minutes that are left, at most.
    """

    name: str
    command: list[str]
    results: list[Path]
    share: float = 1.0


def wheels(folder: Path, python: str | None) -> None:
    """Download what the package needs beside torch and NumPy, as wheels."""
    pip = [sys.executable, "-m", "pip", "download", "--dest", str(folder), "--only-binary=:all:"]
    if python:
        pip += ["--python-version", python, "--platform", "manylinux_2_28_x86_64"]
        pip += ["--platform", "manylinux2014_x86_64"]
    wanted = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    wanted = [line for line in wanted if line and re.split("[=<>]", line)[0] not in CARRIED_NOT]
    subprocess.run([*pip, *wanted, *EXTRA], check=True)
    subprocess.run([*pip, "--no-deps", *ALONE], check=True)
    for name in CARRIED_NOT:
        for wheel in folder.glob(f"{name}-*.whl"):
            wheel.unlink()
    print(f"{len(list(folder.glob('*.whl')))} wheels in {folder}")


def parts(data: Path, work: Path, check: bool) -> list[Part]:
    """Tests, rows and a training; with `check` the smallest of each."""
    quick = ["--quick"] if check else []
    python, rows, run = [sys.executable, "-m"], work / "rows.jsonl", work / "dic-hela-01"
    tests = [*python, "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-rs", str(ROOT / "tests")]
    experiment = ROOT / "experiments" / "dic-hela" / ("smoke.toml" if check else "gpu.toml")
    root = str(data / "DIC-C2DH-HeLa")
    train = [*python, "unetseg", "train", str(experiment), "--fold", "01", "--root", root, "--run", str(run)]
    train += ["--minutes", MINUTES_LEFT, *(["--steps", "60"] if check else [])]
    if (run / "last.pt").is_file():
        train = [*python, "unetseg", "train", "--resume", str(run)]
    return [
        Part("tests", tests, [], share=0.25),
        Part("rows", [*python, "benchmarks.gpu", str(rows), *quick], [rows], share=0.7),
        Part("hela", train, [run / name for name in ("scores.json", "environment.json", "log.jsonl")]),
    ]


def installed(folder: Path | None, work: Path) -> dict[str, str]:
    """The environment of the parts: the repository and the wheels, unpacked once, are importable."""
    site = work / "site"
    if folder is not None and not (site / ".complete").is_file():
        names = [str(wheel) for wheel in sorted(folder.glob("*.whl"))]
        pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
        subprocess.run([*pip, "--target", str(site), "--upgrade", *names], check=True)
        (site / ".complete").touch()
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(ROOT), str(site), before]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def run_part(part: Part, environment: dict[str, str], work: Path, limit_s: float) -> str:
    """How it ended: "done", "cut off" or "failed (exit code)"; what it prints also goes to WORK/NAME.txt."""
    started = time.time()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    left = f"{max(limit_s - SAVING_S, SAVING_S) / 60:.2f}"
    command = [left if word == MINUTES_LEFT else word for word in part.command]
    with (work / f"{part.name}.txt").open("a") as log:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        printing = threading.Thread(target=copy_lines, args=(process.stdout, log), daemon=True)
        printing.start()
        code = wait(process, limit_s)
        printing.join(SAVING_S)  # a child of the part may hold its output open
        log.write(f"\n{part.name}: exit code {code} after {time.time() - started:.0f} s\n")
    return {0: "done", INTERRUPTED: "cut off"}.get(code, f"failed ({code})")


def copy_lines(lines: Iterable[str], log: TextIO) -> None:
    """Print the lines as they come, and keep them."""
    for line in lines:
        print(line, end="", flush=True)
        log.write(line)
        log.flush()


def wait(process: subprocess.Popen[str], limit_s: float) -> int:
    """The exit code; what runs longer is interrupted, upon which a training saves, and counts as cut off."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        code = process.wait(SAVING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return INTERRUPTED if code else 0


def collect(part: Part, work: Path, out: Path) -> None:
    """Copy the part's small files and its printed words; large ones stay in WORK."""
    out.mkdir(parents=True, exist_ok=True)
    for path in [work / f"{part.name}.txt", *part.results]:
        if path.is_file():
            own = (
                path.name if part.name in path.name or path.stem == part.name else f"{part.name}-{path.name}"
            )
            shutil.copyfile(path, out / own)


def device_name(check: bool) -> str:
    """The GPU's name as a folder's name; an error where there is none, unless only checked."""
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name = re.sub(r"[^A-Za-z0-9]+", "-", found.stdout.strip()).strip("-")
    if not name and not check:
        sys.exit("there is no CUDA device here; --check runs tiny sizes on the CPU")
    return name or "cpu-check"


def run(asked: argparse.Namespace) -> int:
    """Run the parts that are not done; 0 when all are."""
    out = asked.out / device_name(asked.check)
    work = asked.work or out / "work"
    work.mkdir(parents=True, exist_ok=True)
    deadline = time.time() + 60 * asked.minutes
    environment = installed(asked.wheels, work)
    state_file = out / "state.json"
    state = json.loads(state_file.read_text()) if state_file.is_file() else {}
    for part in parts(asked.data.resolve(), work.resolve(), asked.check):
        if state.get(part.name) == "done" or (asked.parts and part.name not in asked.parts):
            continue
        print(f"{part.name} …", flush=True)
        state[part.name] = run_part(part, environment, work, max(part.share * (deadline - time.time()), 1))
        print(f"{part.name}: {state[part.name]}", flush=True)
        collect(part, work, out)
        state_file.write_text(json.dumps(state, indent=1) + "\n")
    return 0 if all(value == "done" for value in state.values()) else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    carry = verbs.add_parser("wheels")
    carry.add_argument("folder", type=Path)
    carry.add_argument("--python", help="the version on the other machine, such as 3.12")
    go = verbs.add_parser("run")
    go.add_argument("--data", type=Path, required=True)
    go.add_argument("--wheels", type=Path)
    go.add_argument("--out", type=Path, default=ROOT / "experiments" / "results-gpu")
    go.add_argument("--work", type=Path, help="for runs and other large files (default: OUT/DEVICE/work)")
    go.add_argument("--minutes", type=float, default=9.5)
    go.add_argument("--parts", nargs="*")
    go.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.verb == "wheels":
        wheels(asked.folder, asked.python)
    else:
        sys.exit(run(asked))


if __name__ == "__main__":
    main()
