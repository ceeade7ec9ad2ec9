"""The whole pipeline on a synthetic film of touching cells, trained on one film, scored on another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unetseg.images.whole import label_dtype, write_stack
from unetseg.settings import DataSettings, Experiment, LabelSettings, TrainSettings
from unetseg.tasks.films import FILMS, SPACING_UM, film

STEPS, MINUTES = 300, 1.7


def demo_experiment(steps: int | None, device: str) -> Experiment:
    """Train on film 01, choose the weights by its last frames, score on film 02.

    Without `steps`, a slow processor does fewer than STEPS: those that fit into MINUTES.
    """
    return Experiment(
        name="demo",
        seed=1,
        device=device,
        data=DataSettings(task="synthetic", train=("01",), test=("02",)),
        train=TrainSettings(
            steps=steps or STEPS,
            minutes=0.0 if steps else MINUTES,
            batch=4,
            crop=(192,),
            precision="auto",
            validate_every=100,
            select_by="panoptic-quality",
        ),
        labels=LabelSettings(min_area=60, max_hole_area=60, test_time_augmentation=4, choose=True),
    )


def write_film(out: Path) -> None:
    """Write the film that is scored as stacks, as a lab would have them: images/02.tif and labels/02.tif."""
    for group in FILMS:
        images, labels = film(FILMS[group])
        write_stack(out / "images" / f"{group}.tif", np.asarray(images), spacing_um=SPACING_UM)
        write_stack(out / "labels" / f"{group}.tif", label_dtype(labels), spacing_um=SPACING_UM)
