"""Few annotated images, from nothing and from a model: the same steps, the same test part.

python experiments/finetune/finetune.py OUT [COUNT…]   trains into OUT (default: 3, 6 and 12 images)
python experiments/finetune/finetune.py OUT --table    writes OUT/results.md and OUT/results.png

The images are the 39 of the Data Science Bowl 2018 that the shipped model `nuclei` was never trained on; they
are found below $UNETSEG_DATA. 12 are to train on. One is validated on, which decides nothing: there is one
validation, after the last step, and label settings stay as they are. The other 26 are scored, resized by the
true size of their nuclei. The model was trained on other images of the same types.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from unetseg import api
from unetseg.config import read_experiment
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.model import PredictSettings
from unetseg.run import Run
from unetseg.settings import Experiment

SHIPPED = Path(__file__).parents[1] / "nuclei" / "shipped.toml"
TRAIN = ("012", "004", "009", "065", "045", "053", "015", "007", "098", "087", "058", "023")
"""In this order; the first six are of six types, see ../nuclei/ship.py."""
UNUSED = ("139",)
STEPS = 100
STARTS = {"from nothing": "", "from nuclei": "nuclei"}
RATES = {"": 2e-3, "nuclei": 5e-4}


def experiment(count: int, start: str) -> Experiment:
    """The shipped model's experiment on `count` images."""
    shipped = read_experiment(SHIPPED)
    test = tuple(name for name in shipped.data.test if name not in (*TRAIN, *UNUSED))
    data = replace(shipped.data, train=TRAIN[:count], validate=UNUSED, test=test)
    train = replace(
        shipped.train, steps=STEPS, batch=4, crop=(128,), validate_every=STEPS, learning_rate=RATES[start]
    )
    return replace(
        shipped, name=f"finetune-{count}", device="cpu", data=data, train=replace(train, start_from=start)
    )


def folder(out: Path, count: int, title: str) -> Path:
    """The run folder of one cell of the table."""
    return out / f"{title.replace(' ', '-')}-{count}"


def scores(path: Path) -> tuple[float, float]:
    """F1 at IoU 0.5 and SEG, pooled over the test part."""
    found = Run(path).read_json("scores.json")["scores"]
    return found["f1"], found["seg"]


def of_the_model_alone() -> tuple[float, float]:
    """F1 and SEG of `nuclei` with no further training, on the same test part at the same scale."""
    model, data = api.load_model("nuclei", "cpu"), experiment(0, "nuclei").data
    chosen = [e.read() for e in list_data(data).entries if e.name in data.test]
    predicted = [model.labels(model.probabilities(s.image, s.name, PredictSettings())) for s in chosen]
    found = api.score([np.asarray(s.labels) for s in chosen], predicted, ["f1", "seg"])
    return found["f1"], found["seg"]


def write_table(out: Path) -> None:
    """A row for each number of images, and the F1 as a plot."""
    counts = (3, 6, 12)
    lines = ["| annotated images | F1 from nothing | F1 from nuclei | SEG from nothing | SEG from nuclei |"]
    lines.append("|---|---|---|---|---|")
    found = {title: [scores(folder(out, n, title)) for n in counts] for title in STARTS}
    nothing, model = found.values()
    alone = of_the_model_alone()
    lines.append(f"| 0 | – | {alone[0]:.3f} | – | {alone[1]:.3f} |")
    for n, (f1, seg), (f1_model, seg_model) in zip(counts, nothing, model, strict=True):
        lines.append(f"| {n} | {f1:.3f} | {f1_model:.3f} | {seg:.3f} | {seg_model:.3f} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for title, values in found.items():
        axes.plot(counts, [f1 for f1, _ in values], marker="o", label=title)
    axes.axhline(alone[0], color="grey", linestyle="--", label="nuclei as shipped")
    axes.set(xlabel="annotated images", ylabel="F1 at IoU 0.5, 26 test images", xticks=counts, ylim=(0, 1))
    axes.legend()
    figure.savefig(out / "results.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, *rest = Path(sys.argv[1]), *sys.argv[2:]
    if rest == ["--table"]:
        write_table(out)
    else:
        for count in map(int, rest or ("3", "6", "12")):
            for title, start in STARTS.items():
                api.train(experiment(count, start), folder(out, count, title))
                print(count, title, *scores(folder(out, count, title)), flush=True)
