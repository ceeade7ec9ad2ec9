"""Kills commands at random times until they end, and compares what they leave with an undisturbed run.

    python tests/kills.py streaming --kills 40 --seed 0
    python tests/kills.py training --kills 40 --seed 0

A chain starts one command again and again; each start is ended by SIGKILL or SIGINT after a random part of
the time that the whole takes, until one start comes to its end. Chains follow until so many kills were made.
Prints a line a chain; the exit code is 1 if any chain ended in other bytes, or in an error.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch

ENDINGS = ("out.ome.zarr", "out.ome.tif", "out")
MOST_STARTS = 40


@dataclass(frozen=True)
class Case:
    """command: by whether it is started again, the arguments of unetseg; state: what must not differ."""

    command: Callable[[bool], list[str]]
    state: Callable[[], dict[str, bytes]]
    clean: Callable[[], None]


@dataclass(frozen=True)
class Chain:
    """How a chain went: kills by signal, starts that failed, and whether it ended in the same bytes."""

    kills: int
    failed: list[str]
    same: bool


def streaming_case(folder: Path, out: str) -> Case:
    """A model with random weights predicts a stack of two planes."""
    from test_streaming import RULES, balanced, pixels

    from unetseg.pipeline.model import save_model

    used = balanced(RULES[5], pixels())
    save_model(folder / "best.pt", used.recipe, used.net, {})
    stack = np.stack([pixels(), pixels()[::-1]])
    tifffile.imwrite(folder / "image.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    names = [str(folder / name) for name in ("best.pt", "image.tif", out)]
    command = ["predict", *names[:2], "--out", names[2], "--tile", "32", "--device", "cpu"]
    return Case(lambda again: command, lambda: tree(folder, out), lambda: remove(folder, out))


def training_case(folder: Path) -> Case:
    """A small net learns from six images; states are saved often."""
    import tomli_w
    from test_training import experiment, make_folder

    from unetseg.config import experiment_table

    wanted = experiment(make_folder(folder / "data"), steps=40, validate_every=4)
    (folder / "e.toml").write_text(tomli_w.dumps(experiment_table(wanted)), encoding="utf-8")
    run = folder / "run"

    def command(again: bool) -> list[str]:
        if again and (run / "last.pt").is_file():
            return ["train", "--resume", str(run)]
        remove(folder, "run")  # there is nothing to resume before the first checkpoint
        return ["train", str(folder / "e.toml"), "--run", str(run)]

    def state() -> dict[str, bytes]:
        last = torch.load(run / "last.pt", weights_only=True)
        return {"best.pt": (run / "best.pt").read_bytes(), "last.pt": "\n".join(plain(last)).encode()}

    return Case(command, state, lambda: remove(folder, "run"))


def run_chain(case: Case, seconds: float, rng: random.Random) -> Chain:
    """Start, kill and start again until the command comes to its end."""
    kills, failed, again = 0, list[str](), False
    for _ in range(MOST_STARTS):
        process = subprocess.Popen(
            [sys.executable, "-m", "unetseg", *case.command(again)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        again = True
        try:
            # longer after every kill: the machine may have become slower since the first run
            _, said = process.communicate(timeout=rng.uniform(0.1, 1.1) * seconds * (1 + kills / 8))
        except subprocess.TimeoutExpired:
            process.send_signal(rng.choice([signal.SIGKILL, signal.SIGINT]))
            kills += 1
            _, said = process.communicate()
        if process.returncode == 0:
            break
        if process.returncode not in (-signal.SIGKILL, -signal.SIGINT, 130) or "Traceback" in said:
            failed.append(said.strip().splitlines()[-1] if said.strip() else str(process.returncode))
            break
    return Chain(kills, failed, process.returncode == 0)


def campaign(cases: list[Case], kills: int, seed: int) -> list[Chain]:
    """Chains of the cases in turn until so many kills were made."""
    rng, chains = random.Random(seed), list[Chain]()  # noqa: S311 (kills need no secrecy)
    expected, seconds = [], []
    for case in cases:
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "unetseg", *case.command(False)], check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - begun)
        expected.append(case.state())
        case.clean()
    while sum(chain.kills for chain in chains) < kills:
        number = len(chains) % len(cases)
        chain = run_chain(cases[number], seconds[number], rng)
        chain = Chain(chain.kills, chain.failed, chain.same and cases[number].state() == expected[number])
        chains.append(chain)
        cases[number].clean()
        print(
            f"chain {len(chains)}: {chain.kills} kills, same bytes: {chain.same}", *chain.failed, flush=True
        )
    return chains


def plain(value: object) -> Iterator[str]:
    """Every value in a state, with those of its tensors; their order in the file may differ."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from (f"{key}/{line}" for line in plain(value[key]))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plain(item)
    else:
        yield str(value.tolist()) if isinstance(value, torch.Tensor) else repr(value)


def tree(folder: Path, out: str) -> dict[str, bytes]:
    """The result, and anything that lies beside it."""
    known = {"best.pt", "image.tif", *ENDINGS} - {out}
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    kept = (p for p in files if p.relative_to(folder).parts[0] not in known)
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def remove(folder: Path, name: str) -> None:
    """All that a command wrote."""
    for path in folder.glob(f"*{name}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_cases(what: str, folder: Path) -> list[Case]:
    """The cases of a campaign, each in a folder of its own."""
    names = ENDINGS if what == "streaming" else ("run",)
    cases = []
    for name in names:
        (folder / f"case-{name}").mkdir(parents=True)
        place = folder / f"case-{name}"
        cases.append(streaming_case(place, name) if what == "streaming" else training_case(place))
    return cases


def main() -> int:
    """Run a campaign and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["streaming", "training"])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chains = campaign(make_cases(given.what, Path(folder)), given.kills, given.seed)
    good = sum(chain.same and not chain.failed for chain in chains)
    print(f"{sum(c.kills for c in chains)} kills in {len(chains)} chains; {good} ended in the same bytes")
    return int(good < len(chains))


if __name__ == "__main__":
    sys.exit(main())
