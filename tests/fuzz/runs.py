"""Run folders of which a file is damaged or gone, and experiment files."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from .commands import expect_result_or_refusal
from .harness import Kind
from .models import damaged, make_run
from .mutations import damage_bytes, damage_values

EXPERIMENT = "stranger.toml"
SETTINGS = ("train.", "net.", "data.", "labels.", "device")
TEXTS = ("", "[]", "null", "3", '"x"', "{}", "[1, 2", "\0\0", "NaN", "[[[[]]]]", "{}\n[]\n3\n")


def make_experiment(folder: Path) -> Path:
    """The run's experiment as a file of the user's own."""
    work = make_run(folder) / "work"
    shutil.copy(work / "run" / "experiment.toml", work / EXPERIMENT)
    return work.parent


def damage_run(run: Path, rng: np.random.Generator) -> str:
    """One file of the folder: its bytes, its values, or all of it."""
    files = sorted(p for p in run.rglob("*") if p.is_file())
    plain = [p for p in files if p.suffix in PLAIN]
    chosen = plain if rng.random() < 0.7 else files
    path = chosen[rng.integers(len(chosen))]
    if path.suffix in PLAIN and rng.random() < 0.5:
        return f"{path.name}: {damage_plain(path, rng)}"
    if rng.random() < 0.5 and path.stat().st_size:
        return f"{path.name}: {damage_bytes(path, rng)}"
    sort = int(rng.integers(len(TEXTS) + 3))
    if sort < len(TEXTS):
        path.write_text(TEXTS[sort])
        return f"{path.name}: {TEXTS[sort]!r}"
    path.unlink()
    if sort == len(TEXTS):
        path.mkdir()
    return f"{path.name}: {'a folder' if path.is_dir() else 'gone'}"


def damage_plain(path: Path, rng: np.random.Generator) -> str:
    """Values of a TOML, JSON or JSON-lines file."""
    read, write = PLAIN[path.suffix]
    value = read(path.read_text(encoding="utf-8"))
    words = damage_values(value, rng)
    path.write_text(write(value), encoding="utf-8", errors="replace")
    return words


def use_experiment(case: Path) -> None:
    """One step of a training; a setting may be named in the error instead of the file."""
    shutil.rmtree(case / "work" / "new", ignore_errors=True)  # of the sound file
    argv = ["train", EXPERIMENT, "--steps", "1", "--run", "new"]
    expect_result_or_refusal(argv, case, EXPERIMENT, *SETTINGS)


def use_run(*command: str) -> Callable[[Path], None]:
    """A command on the run's folder; a setting may be named in the error instead."""

    def use(case: Path) -> None:
        expect_result_or_refusal(list(command), case, "run", *SETTINGS)

    return use


def _toml(table: Any) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items() if inner is not None}
        return [plain(inner) for inner in value if inner is not None] if isinstance(value, list) else value

    return tomli_w.dumps(plain(table))


PLAIN: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    ".toml": (tomllib.loads, _toml),
    ".json": (json.loads, json.dumps),
    ".jsonl": (
        lambda text: [json.loads(line) for line in text.splitlines()],
        lambda lines: "\n".join(map(json.dumps, lines)),
    ),
}
COMMANDS = (["report", "run"], ["predict", "run", "dish.tif"], ["train", "--resume", "run"])
KINDS = {
    f"run {argv[0]}": Kind(make_run, damaged("run", damage_run), use_run(*argv)) for argv in COMMANDS
} | {
    f"experiment {name}": Kind(make_experiment, damaged(EXPERIMENT, damage), use_experiment)
    for name, damage in {"bytes": damage_bytes, "values": damage_plain}.items()
}
