"""The Probabilistic U-Net on nuclei with four made-up annotators, beside a U-Net, by energy distance.

python experiments/uncertainty/annotators.py OUT

writes the made-up data and the runs into OUT, and OUT/results.md and OUT/annotators.png. The images of the
Data Science Bowl 2018 are found below $UNETSEG_DATA. Nobody drew these annotations: they are the truth of the
data set, changed by a rule for each annotator. 30 images are trained on; 20 others, which the file
experiments/nuclei/shipped.toml holds out, are scored; nothing is chosen by either. Images are the middle
128×128 pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.morphology import closing, dilation, disk, erosion

from unetseg import api
from unetseg.config import read_experiment
from unetseg.figures import grey
from unetseg.images.whole import write_stack
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.model_variants import hypothesis
from unetseg.pipeline.training import train_run
from unetseg.run import Run
from unetseg.scores.energy_distance import generalised_energy_distance
from unetseg.settings import (
    AugmentSettings,
    DataSettings,
    Experiment,
    LabelSettings,
    TargetSettings,
    TrainSettings,
)

NUCLEI = Path(__file__).parents[1] / "nuclei" / "shipped.toml"
SIDE, TRAINED, SCORED, SAMPLES, STEPS = 128, 30, 20, 16, 250
NETS: dict[str, dict[str, Any]] = {
    "unet": {"name": "unet", "width": 8, "depth": 3, "padding": "same", "dropout": 0.0},
    "probabilistic-unet": {"name": "probabilistic-unet", "width": 8, "depth": 3, "beta": 10.0},
}
Mask = NDArray[np.bool_]
ANNOTATORS: dict[str, Callable[[Mask], Mask]] = {
    "tight": lambda nuclei: erosion(nuclei, disk(3)),
    "true": lambda nuclei: nuclei,
    "wide": lambda nuclei: dilation(nuclei, disk(3)),
    "joining": lambda nuclei: closing(dilation(nuclei, disk(2)), disk(7)),
}
"""Made up: what each of them draws of the true nuclei."""


def annotated(names: Sequence[str]) -> dict[str, tuple[NDArray[Any], dict[str, Mask]]]:
    """The middle of each image (c, y, x), and its masks by annotator."""
    found = {}
    for entry in list_data(DataSettings(root=read_experiment(NUCLEI).data.root, labels="instances")).entries:
        if entry.name in names:
            sample = entry.read()
            y, x = ((n - SIDE) // 2 for n in sample.image.shape[1:])
            part = (slice(y, y + SIDE), slice(x, x + SIDE))
            nuclei = np.asarray(sample.labels)[part] > 0
            masks = {who: draw(nuclei) for who, draw in ANNOTATORS.items()}
            found[entry.name] = sample.image[(slice(None), *part)], masks
    return found


def write_data(folder: Path, names: Sequence[str]) -> None:
    """A lab folder with an image for each annotator."""
    for name, (image, masks) in annotated(names).items():
        for who, mask in masks.items():
            stem = f"{name}_made-up-{who}.tif"
            write_stack(folder / "images" / stem, image[0], spacing_um=None, axes="YX")
            write_stack(folder / "labels" / stem, mask.astype(np.uint8) * 255, spacing_um=None, axes="YX")


def trained(out: Path, net: str) -> Model:
    """The model of the last step."""
    run = Run(out / net)
    if not run.best.is_file():
        data = DataSettings(root=str(out / "data"), labels="mask", validate=("*_made-up-true",), train=("*",))
        experiment = Experiment(
            name=net, seed=1, device="cpu", data=data, net=NETS[net],
            target=TargetSettings(w0=0.0, balance=False), augment=AugmentSettings(elastic=0.0),
            train=TrainSettings(steps=STEPS, crop=(64,), batch=4, validate_every=STEPS, validate_images=1),
            labels=LabelSettings(test_time_augmentation=1),
        )  # fmt: skip
        for _ in train_run(Run.create(run.path, experiment), resume=False, stopped=lambda: False):
            pass
    return api.load_model(run.path, "cpu")


def masks_of(models: Sequence[Model], image: NDArray[Any]) -> list[Mask]:
    """The foreground by each model."""
    return [m.probabilities(image, "image", PredictSettings())[1] > 0.5 for m in models]


def main(out: Path) -> None:
    """Train what is missing, score, and draw."""
    held = read_experiment(NUCLEI).data.test
    every = [
        e.name
        for e in list_data(DataSettings(root=read_experiment(NUCLEI).data.root, labels="instances")).entries
    ]
    if not (out / "data").is_dir():
        write_data(out / "data", [name for name in every if name not in held][:TRAINED])
    plain, several = trained(out, "unet"), trained(out, "probabilistic-unet")
    models = {"unet": [plain], "probabilistic-unet": [hypothesis(several, n) for n in range(1, SAMPLES + 1)]}
    test = annotated(held[:SCORED])
    lines = [
        "| network | results for an image | energy distance from the 4 made-up annotators |",
        "|---|---|---|",
    ]
    for name, ones in models.items():
        found = [
            generalised_energy_distance([*m.values()], masks_of(ones, image)) for image, m in test.values()
        ]
        lines.append(f"| {name} | {len(ones)} | {mean(found):.3f} |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(out / "annotators.png", list(test.values())[:3], models["probabilistic-unet"][:4])


def draw(path: Path, rows: Sequence[tuple[NDArray[Any], dict[str, Mask]]], models: Sequence[Model]) -> None:
    """A row for each image: the image, the made-up annotators, the hypotheses."""
    figure = Figure(figsize=(13, 1.6 * len(rows)), layout="constrained")
    for axes, (image, masks) in zip(figure.subplots(len(rows), 9), rows, strict=True):
        titles = ["image", *(f"made up: {who}" for who in masks), *(f"hypothesis {n}" for n in range(1, 5))]
        pictures = [grey(image), *masks.values(), *masks_of(models, image)]
        for one, title, picture in zip(axes, titles, pictures, strict=True):
            one.imshow(picture, cmap="gray")
            one.set_title(title, fontsize=8)
            one.axis("off")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
