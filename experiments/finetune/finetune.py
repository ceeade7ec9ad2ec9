"""Few annotated frames, from nothing and from a model: the same steps, the same test part.

python experiments/finetune/finetune.py OUT [SEED…]

trains into OUT what is not there yet (seed 1, or the seeds given), then writes OUT/results.md and OUT/results.png.
The data of the Cell Tracking Challenge are found below $UNETSEG_DATA.

Trained on are 3, 6 and 12 frames at the end of the HeLa film 01 (silver truth); scored are its frames with gold
truth, all at least 5 frames earlier. The models to start from were trained on the HeLa film 02, the same cells
on another day's film, and on the U373 film 01, other cells by another kind of microscopy. Nothing is chosen by
the frame that is validated on: the weights after the last step are scored, with fixed label settings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from matplotlib.figure import Figure

from unetseg import api
from unetseg.config import choose_fold, read_experiment
from unetseg.pipeline.start_from import LEARNING_RATE
from unetseg.run import Run
from unetseg.settings import Experiment, TrainSettings

EXPERIMENTS = Path(__file__).parents[1]
HELA = EXPERIMENTS / "dic-hela" / "cpu.toml"
PARENTS = {"HeLa film 02": (HELA, "02"), "U373": (EXPERIMENTS / "phc-u373" / "cpu.toml", "01")}
STARTS = ("nothing", *PARENTS)
FRAMES = (72, 78, 83, 75, 80, 77, 73, 74, 76, 79, 81, 82)
COUNTS = (3, 6, 12)
STEPS, PARENT_STEPS = 600, 1000


def parent_experiment(title: str) -> Experiment:
    """The training of a model to start from."""
    file, fold = PARENTS[title]
    experiment = choose_fold(read_experiment(file), fold)
    return _small(experiment, replace(experiment.train, steps=PARENT_STEPS, validate_every=PARENT_STEPS))


def experiment(out: Path, count: int, start: str, seed: int) -> Experiment:
    """The training on `count` frames, from nothing or from a model."""
    base = read_experiment(HELA)
    data = replace(
        base.data,
        train=tuple(f"01[{n}:{n + 1}]" for n in FRAMES[:count]),
        validate=("01[70:71]",),
        test=("01[0:68]",),
    )
    train = replace(base.train, steps=STEPS, validate_every=STEPS)
    if start in PARENTS:
        train = replace(train, start_from=str(folder(out, start)), learning_rate=LEARNING_RATE)
    return _small(replace(base, seed=seed, name=f"finetune-{count}", data=data, folds={}), train)


def folder(out: Path, start: str, count: int = 0, seed: int = 0) -> Path:
    """The run folder of a model to start from, or of a training on `count` frames."""
    name = start.replace(" ", "-")
    return out / (f"{name}-{count}-seed-{seed}" if count else f"parent-{name}")


def _small(experiment: Experiment, train: TrainSettings) -> Experiment:
    labels = replace(experiment.labels, choose=False)
    return replace(experiment, device="cpu", labels=labels, train=replace(train, crop=(192,)))


def run_all(out: Path, seeds: list[int]) -> None:
    """Train every run that has no scores yet."""
    wanted = [(folder(out, title), parent_experiment(title)) for title in PARENTS]
    for seed in seeds:
        for count in COUNTS:
            wanted += [(folder(out, s, count, seed), experiment(out, count, s, seed)) for s in STARTS]
    for path, chosen in wanted:
        if not Run(path).read_json("scores.json"):
            api.train(chosen, path)
            print(path.name, *scores(path), flush=True)


def scores(path: Path) -> tuple[float, float]:
    """F1 at IoU 0.5 and SEG of a run, pooled over the test part."""
    found = Run(path).read_json("scores.json")["scores"]
    return found["f1"], found["seg"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1])
