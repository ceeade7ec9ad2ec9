"""Few annotated images of a new kind, from nothing and from a model: the same steps, the same test part.

python experiments/finetune/finetune.py OUT [SEED…]

trains what is not in OUT yet (seed 1, or the seeds given), and writes OUT/results.md and OUT/results.png.
The images are those of the Data Science Bowl 2018, below $UNETSEG_DATA.

The new kind is small nuclei on a raised background: 37 of the 150 images, those of 256×256 pixels whose
median grey value is 12 or more. The model to start from was trained on the other kinds alone. 3, 6 and 12
images of the new kind are trained on, the first by name. Scored are the 10 held out from the shipped
model as well, resized by the true size of their nuclei. Nothing is chosen by the image that is validated on:
the weights of the last step are scored, with fixed label settings.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from matplotlib.figure import Figure

from unetseg import api
from unetseg.config import read_experiment
from unetseg.pipeline.start_from import LEARNING_RATE
from unetseg.run import Run
from unetseg.settings import Experiment

NUCLEI = Path(__file__).parents[1] / "nuclei"
TRAIN = ("020", "033", "035", "037", "039", "041", "042", "064", "069", "072", "073", "078")
TEST = ("004", "007", "017", "022", "026", "052", "090", "092", "096", "142")
VALIDATE = ("062",)
OTHERS = ("081", "083", "094", "099", "105", "107", "109", "119", "124", "131", "137", "144", "149", "070")
"""The images of the new kind that are not used."""
NEW_KIND = {*TRAIN, *TEST, *VALIDATE, *OTHERS}
COUNTS = (3, 6, 12)
STEPS, PARENT_STEPS = 500, 1000
CROP, PARENT_CROP = 96, 128
STARTS = ("nothing", "a model")


def parent_experiment() -> Experiment:
    """The training of the model to start from, on the kinds of image that it is to know."""
    shipped = read_experiment(NUCLEI / "shipped.toml").data
    unseen = {*shipped.test, *shipped.validate, *NEW_KIND}
    known = tuple(name for n in range(150) if (name := f"{n:03}") not in unseen)
    return _experiment("finetune-parent", known, steps=PARENT_STEPS, crop=PARENT_CROP)


def experiment(out: Path, count: int, start: str, seed: int) -> Experiment:
    """The training on `count` images of the new kind."""
    chosen = _experiment(f"finetune-{count}", TRAIN[:count], steps=STEPS, crop=CROP, seed=seed)
    if start == "nothing":
        return chosen
    train = replace(chosen.train, start_from=str(out / "parent"), learning_rate=LEARNING_RATE)
    return replace(chosen, train=train)


def _experiment(name: str, images: tuple[str, ...], *, steps: int, crop: int, seed: int = 1) -> Experiment:
    base = read_experiment(NUCLEI / "short.toml")
    data = replace(base.data, object_diameter=24.0, train=images, validate=VALIDATE, test=TEST)
    train = replace(base.train, steps=steps, validate_every=steps, crop=(crop,))
    labels = replace(base.labels, choose=False, min_area=20)
    chosen = replace(base, name=name, seed=seed, device="cpu", data=data, train=train, labels=labels)
    return replace(chosen, net=base.net | {"width": 8}, nets={}, folds={})


def folder(out: Path, count: int, start: str, seed: int) -> Path:
    """The run folder of a training on `count` images."""
    return out / f"{start.replace(' ', '-')}-{count}-seed-{seed}"


def run_all(out: Path, seeds: list[int]) -> None:
    """Train every run that has no scores yet."""
    wanted = [(out / "parent", parent_experiment())]
    for seed in seeds:
        for count in COUNTS:
            wanted += [(folder(out, count, s, seed), experiment(out, count, s, seed)) for s in STARTS]
    for path, chosen in wanted:
        if not Run(path).read_json("scores.json"):
            api.train(chosen, path)
            print(path.name, *scores(path), flush=True)


def scores(path: Path) -> tuple[float, float]:
    """F1 at IoU 0.5 and SEG of a run, pooled over the test images."""
    found = Run(path).read_json("scores.json")["scores"]
    return found["f1"], found["seg"]


def means(out: Path, count: int, start: str, seeds: list[int]) -> tuple[float, float]:
    """The mean scores over the seeds."""
    found = [scores(folder(out, count, start, seed)) for seed in seeds]
    return mean(f1 for f1, _ in found), mean(seg for _, seg in found)


def write_results(out: Path, seeds: list[int]) -> None:
    """A row for each number of images, and the F1 as a plot."""
    unchanged = scores(out / "parent")
    rows = {n: {s: means(out, n, s, seeds) for s in STARTS} for n in COUNTS}
    lines = ["| annotated images | F1 from nothing | F1 from a model | SEG from nothing | SEG from a model |"]
    lines += ["|---|---|---|---|---|", f"| 0 | – | {unchanged[0]:.3f} | – | {unchanged[1]:.3f} |"]
    for n, row in rows.items():
        (f1, seg), (f1_model, seg_model) = (row[s] for s in STARTS)
        lines.append(f"| {n} | {f1:.3f} | {f1_model:.3f} | {seg:.3f} | {seg_model:.3f} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for start in STARTS:
        points = [(n, scores(folder(out, n, start, seed))[0]) for n in COUNTS for seed in seeds]
        (line,) = axes.plot(COUNTS, [rows[n][start][0] for n in COUNTS], label=f"from {start}")
        axes.scatter(*zip(*points, strict=True), color=line.get_color())
    axes.axhline(unchanged[0], color="grey", linestyle="--", label="the model, not trained further")
    axes.set(xlabel="annotated images", ylabel="F1 at IoU 0.5, 10 test images", xticks=COUNTS, ylim=(0, 1))
    axes.legend(loc="lower right")
    figure.savefig(out / "results.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target, chosen_seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1]
    run_all(target, chosen_seeds)
    write_results(target, chosen_seeds)
