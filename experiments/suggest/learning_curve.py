"""Does it pay to annotate what `unetseg suggest` suggests? A learning curve beside random choice, on nuclei.

python experiments/suggest/learning_curve.py OUT [SEED…]

trains what is not in OUT yet (seeds 1, 2 and 3, or those given), and writes OUT/results.md and .png.
The images of the Data Science Bowl 2018 are found below $UNETSEG_DATA.

A training starts with 3 images drawn by the seed from 110. Twice six more are added: at random, the
most uncertain ones by the model so far, or those of `unetseg suggest`, which multiplies the uncertainty by
the distance to what is annotated already. Each time a network is trained from nothing with the same seed and
steps. Scored are the 39 images that experiments/nuclei/shipped.toml holds out, which are of every type; they
are neither trained on nor suggested. The weights of the last step are scored, with fixed label settings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from matplotlib.figure import Figure

from unetseg import api
from unetseg.config import read_experiment
from unetseg.evaluation.by_kind import score_pairs
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.model import Model
from unetseg.pipeline.suggest import appearance, choose, look_at
from unetseg.pipeline.training import train_run
from unetseg.run import Run
from unetseg.sample import Sample
from unetseg.settings import AugmentSettings, Experiment, LabelSettings, TargetSettings

NUCLEI = Path(__file__).parents[1] / "nuclei" / "shipped.toml"
COUNTS = (3, 9, 15)
ADDED = 6
ORDERS = ("random", "uncertain", "uncertain-and-new")
STEPS = 300
VALIDATE = ("011",)
"""Is needed, but chooses nothing."""
SCORE = "panoptic-quality"


def experiment(names: tuple[str, ...], seed: int) -> Experiment:
    """The training on the named images, of a network of 0.12 million parameters at half the resolution."""
    base = read_experiment(NUCLEI)
    data = replace(base.data, object_diameter=0, downsample=2, train=names, validate=VALIDATE, test=())
    train = replace(
        base.train,
        steps=STEPS,
        crop=(64,),
        batch=4,
        learning_rate=0.004,
        validate_every=STEPS,
        validate_images=1,
    )
    net = {"name": "unet", "width": 8, "depth": 3, "padding": "same", "norm": "batch", "dropout": 0.0}
    labels = LabelSettings(min_area=30, test_time_augmentation=1)
    target = TargetSettings(w0=5.0, sigma=3.0)
    return replace(
        base,
        name="suggest",
        seed=seed,
        device="cpu",
        data=data,
        train=train,
        net=net,
        labels=labels,
        target=target,
        augment=AugmentSettings(elastic=4.0),
    )


@cache
def samples() -> dict[str, Sample]:
    """Every image with its truth, by name."""
    data = replace(read_experiment(NUCLEI).data, object_diameter=0)
    return {entry.name: entry.read() for entry in list_data(data).entries}


def pool() -> list[str]:
    """The images that may be annotated."""
    held = {*read_experiment(NUCLEI).data.test, *VALIDATE}
    return [name for name in sorted(samples()) if name not in held]


def trained(folder: Path, names: tuple[str, ...], seed: int) -> Model:
    """The model trained on the named images."""
    if not Run(folder).best.is_file():
        run = Run.create(folder, experiment(names, seed))
        for _ in train_run(run, resume=False, stopped=lambda: False):
            pass
    return api.load_model(folder, "cpu")


def score(model: Model) -> float:
    """Panoptic quality, pooled over the test images."""
    test = [samples()[name] for name in read_experiment(NUCLEI).data.test]
    pairs = [(s.name, np.asarray(s.labels), api.predict(model, s.image, engine="torch").labels) for s in test]
    return score_pairs(pairs, "instances", 2, [SCORE]).totals[SCORE]


def chosen(model: Model, known: tuple[str, ...], order: str, rng: np.random.Generator) -> tuple[str, ...]:
    """The images that are annotated next."""
    left = [name for name in pool() if name not in known]
    if order == "random":
        return tuple(rng.choice(left, ADDED, replace=False).tolist())
    looks = [look_at(model, name, samples()[name].image) for name in left]
    seen = [appearance(model, name, samples()[name].image) for name in known]
    return tuple(s.look.name for s in choose(looks, seen, ADDED, order))  # type: ignore[arg-type]


def curve(out: Path, order: str, seed: int) -> list[float]:
    """The scores with 3, 9 and 15 images; kept in OUT, with the images."""
    rng = np.random.default_rng(seed)
    known = tuple(rng.choice(pool(), COUNTS[0], replace=False).tolist())
    scores: list[float] = []
    for count in COUNTS:
        first = count == COUNTS[0]
        folder = out / f"seed-{seed}" / ("start" if first else f"{order}-{count}")
        model = trained(folder, known, seed)
        kept = folder / "score.json"
        if not kept.is_file():
            kept.write_text(json.dumps({"images": known, SCORE: score(model)}))
        scores.append(json.loads(kept.read_text())[SCORE])
        print(f"seed {seed}, {order}, {count} images: {SCORE} {scores[-1]:.3f}", flush=True)
        if count < COUNTS[-1]:
            known = (*known, *chosen(model, known, order, rng))
    return scores


def write_results(out: Path, curves: dict[str, list[list[float]]]) -> None:
    """A row for each number of images, mean ± standard deviation over the seeds, and a plot."""
    lines = [f"| annotated images | {' | '.join(ORDERS)} |", "|---" * (len(ORDERS) + 1) + "|"]
    for i, count in enumerate(COUNTS):
        columns = [[scores[i] for scores in curves[order]] for order in ORDERS]
        cells = [f"{mean(c):.3f} ± {stdev(c):.3f}" if len(c) > 1 else f"{c[0]:.3f}" for c in columns]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for order in ORDERS:
        (line,) = axes.plot(COUNTS, np.mean(curves[order], 0), label=order)
        for scores in curves[order]:
            axes.plot(COUNTS, scores, ".", color=line.get_color(), alpha=0.5)
    axes.set(xlabel="annotated images", ylabel=f"{SCORE}, 39 test images", xticks=COUNTS)
    axes.legend(loc="lower right")
    figure.savefig(out / "results.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target, seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1, 2, 3]
    by_seed = [{order: curve(target, order, seed) for order in ORDERS} for seed in seeds]
    write_results(target, {order: [curves[order] for curves in by_seed] for order in ORDERS})
