"""Few annotated frames of a new film, from nothing and from a model of an earlier film: the same steps.

python experiments/finetune/finetune.py OUT [SEED…]

trains what is not in OUT yet (seed 1, or the seeds given), and writes OUT/results.md and OUT/results.png.
The HeLa films of the Cell Tracking Challenge are found below $UNETSEG_DATA.

The model to start from was trained on 66 frames of film 02. Of film 01, 3, 6 and 12 frames spread over the
film are trained on (silver truth), and its 9 frames with gold truth are scored, at least 5 frames from each
of those. They show the same cells at another time, so the scores are those of a user who annotates some
frames of a film to segment the rest. Nothing is chosen by the frame that is validated on: the weights of the
last step are scored, with fixed label settings.
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
from unetseg.config import choose_fold, read_experiment
from unetseg.evaluation.by_kind import score_pairs
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.start_from import LEARNING_RATE
from unetseg.run import Run
from unetseg.settings import Experiment
from unetseg.tasks.listing import select

HELA = Path(__file__).parents[1] / "dic-hela" / "cpu.toml"
FRAMES = (10, 45, 75, 26, 60, 82, 13, 15, 47, 61, 73, 79)
"""Of film 01, in the order in which they are annotated."""
TEST = ("01[0:68]",)
COUNTS = (3, 6, 12)
STEPS, PARENT_STEPS = 250, 500
STARTS = ("nothing", "a model")


def parent_experiment() -> Experiment:
    """The training on film 02 of the model to start from."""
    return _small(choose_fold(read_experiment(HELA), "02"), steps=PARENT_STEPS)


def experiment(out: Path, count: int, start: str, seed: int) -> Experiment:
    """The training on `count` frames of film 01."""
    base = replace(read_experiment(HELA), name=f"finetune-{count}", seed=seed)
    frames = tuple(f"01[{n}:{n + 1}]" for n in FRAMES[:count])
    base = replace(base, data=replace(base.data, train=frames, validate=("01[70:71]",), test=()))
    chosen = _small(base, steps=STEPS)
    if start == "nothing":
        return chosen
    train = replace(chosen.train, start_from=str(out / "parent"), learning_rate=LEARNING_RATE)
    return replace(chosen, train=train)


def _small(base: Experiment, *, steps: int) -> Experiment:
    """A network of 0.5 million parameters, images of 128×128 pixels, on the processor."""
    return replace(
        base,
        device="cpu",
        data=replace(base.data, downsample=4),
        net=base.net | {"width": 8},
        train=replace(base.train, steps=steps, validate_every=steps, validate_images=1, crop=(96,)),
        labels=replace(base.labels, choose=False, test_time_augmentation=1),
        nets={},
        folds={},
    )


def folder(out: Path, count: int, start: str, seed: int) -> Path:
    """The run folder of a training on `count` frames."""
    return out / f"{start.replace(' ', '-')}-{count}-seed-{seed}"


def run_all(out: Path, seeds: list[int]) -> None:
    """Train every run that is not complete."""
    wanted = [(out / "parent", parent_experiment())]
    for seed in seeds:
        for count in COUNTS:
            wanted += [(folder(out, count, s, seed), experiment(out, count, s, seed)) for s in STARTS]
    for path, chosen in wanted:
        if not Run(path).read_json("scores.json"):
            api.train(chosen, path)
        print(path.name, *scores(path), flush=True)


@cache
def scores(path: Path) -> tuple[float, float]:
    """F1 at IoU 0.5 and SEG of a run's model, pooled over the frames of film 01 with gold truth."""
    model, data = api.load_model(path, "cpu"), replace(read_experiment(HELA).data, truth="gold")
    samples = [entry.read() for entry in select(list_data(data), TEST, "test")]
    pairs = [(s.name, np.asarray(s.labels), api.predict(model, s.image).labels) for s in samples]
    totals = score_pairs(pairs, "instances", 2).totals
    return totals["f1"], totals["seg"]


def means(out: Path, count: int, start: str, seeds: list[int]) -> tuple[float, float]:
    """The mean scores over the seeds."""
    found = [scores(folder(out, count, start, seed)) for seed in seeds]
    return mean(f1 for f1, _ in found), mean(seg for _, seg in found)


def write_results(out: Path, seeds: list[int]) -> None:
    """A row for each number of frames, and the SEG as a plot."""
    unchanged = scores(out / "parent")
    rows = {n: {s: means(out, n, s, seeds) for s in STARTS} for n in COUNTS}
    lines = ["| annotated frames | SEG from nothing | SEG from a model | F1 from nothing | F1 from a model |"]
    lines += ["|---|---|---|---|---|", f"| 0 | – | {unchanged[1]:.3f} | – | {unchanged[0]:.3f} |"]
    for n, row in rows.items():
        (f1, seg), (f1_model, seg_model) = (row[s] for s in STARTS)
        lines.append(f"| {n} | {seg:.3f} | {seg_model:.3f} | {f1:.3f} | {f1_model:.3f} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for start in STARTS:
        points = [(n, scores(folder(out, n, start, seed))[1]) for n in COUNTS for seed in seeds]
        (line,) = axes.plot(COUNTS, [rows[n][start][1] for n in COUNTS], label=f"from {start}")
        axes.scatter(*zip(*points, strict=True), color=line.get_color())
    axes.axhline(unchanged[1], color="grey", linestyle="--", label="the model, not trained further")
    axes.set(xlabel="annotated frames", ylabel="SEG, 9 test frames", xticks=COUNTS, ylim=(0, 1))
    axes.legend(loc="lower right")
    figure.savefig(out / "results.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target, chosen_seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1]
    run_all(target, chosen_seeds)
    write_results(target, chosen_seeds)
