"""nnU-Net 2 (Isensee et al. 2021): its planner's 2-D net, instances from an interior and a border class.

    python -m venv ENV && ENV/bin/pip install torch==2.13.0 nnunetv2==2.8.1
    taskset -c 1 env OMP_NUM_THREADS=1 \
        ENV/bin/python -m benchmarks.peers.nnunet FOLDS/hela OUT/hela/nnunet --minutes 10

nnU-Net is made for classes. Every object becomes an interior and a border (4 % of the median diameter, at
least 1 pixel, inside the outline); connected interiors are the instances, those below a tenth of the
median area are dropped, and each border pixel goes to the nearest. Fingerprint, plan, preprocessing,
augmentation, loss, optimiser, polynomial decay of the learning rate, and mirroring at prediction are
nnU-Net's own. The first three are done once, before the budget begins.

Scaled to the budget: the planner is told of 0.35 GB of GPU memory instead of 8, its own setting for small
devices (a step of the default plan takes most of a minute on one thread); the learning rate decays over the
budget instead of 1000 epochs; the fold is "all", without validation. The last weights predict, as by default.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage.segmentation import find_boundaries, watershed

from benchmarks.peers.common import Array, Job, Predict, run_method

GPU_GB = 0.35
DATASET = "Dataset001_Fold"
SPACING = {"spacing": (999, 1, 1)}  # that of its reader of 2-D images


def median_area(labels: list[Array]) -> float:
    """The median area of all objects, in pixels."""
    areas = [np.unique(y[y > 0], return_counts=True)[1] for y in labels]
    return float(np.median(np.concatenate(areas)))


def to_classes(labels: Array, border: int) -> Array:
    """Labels (y, x) as background 0, interior 1 and border 2, whose width is `border` pixels."""
    edge = find_boundaries(labels, mode="inner")
    near = ndimage.distance_transform_edt(~edge) < border
    return np.where(labels == 0, 0, np.where(near, 2, 1)).astype(np.uint8)


def to_labels(classes: Array, min_area: float) -> Array:
    """Instances (y, x) of classes: interiors of at least `min_area` pixels, grown into the border."""
    seeds = ndimage.label(classes == 1)[0]
    areas = np.bincount(seeds.ravel())
    seeds[areas[seeds] < min_area] = 0
    return watershed(ndimage.distance_transform_edt(seeds == 0), seeds, mask=classes > 0)


def write_dataset(job: Job, raw: Path, border: int) -> dict[str, Any]:
    """The training part in nnU-Net's layout; returns its description."""
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    for name, image, labels in zip(job.names(), job.images(), job.labels(), strict=True):
        tifffile.imwrite(raw / "imagesTr" / f"{name}_0000.tif", image)
        tifffile.imwrite(raw / "labelsTr" / f"{name}.tif", to_classes(labels, border))
    described = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "interior": 1, "border": 2},
        "numTraining": len(job.names()),
        "file_ending": ".tif",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    (raw / "dataset.json").write_text(json.dumps(described))
    return described


def plan(job: Job) -> dict[str, Any]:
    """Fingerprint, plan and preprocessing, in this process."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
        preprocess_dataset,
    )

    extract_fingerprint_dataset(1, num_processes=1, show_progress_bar=False)
    plan_experiment_dataset(1, gpu_memory_target_in_gb=GPU_GB)
    preprocess_dataset(1, configurations=("2d",), num_processes=(1,), show_progress_bar=False)
    return json.loads((job.out / "preprocessed" / DATASET / "nnUNetPlans.json").read_text())


def train(job: Job, trainer: Any) -> None:
    """Steps until the time is up, the learning rate by nnU-Net's polynomial of the time that is left."""
    trainer.on_train_start()
    trainer.network.train()
    whole, steps = job.left(), 0
    while (left := job.left()) > 0:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (left / whole) ** 0.9
        loss = trainer.train_step(next(trainer.dataloader_train))["loss"]
        steps += 1
        if steps % 20 == 1:
            print(f"step {steps}, {left:.0f} s left, loss {loss:.3f}", flush=True)
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    job.settings["steps"] = steps


def predictor(trainer: Any, described: dict[str, Any]) -> Any:
    """nnU-Net's predictor with its defaults: half-overlapping tiles, Gaussian weights, mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    found = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    weights = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    found.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [weights],
        described,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    return found


def fit(job: Job) -> Predict:
    """Write the data set, plan, train; predict by classes."""
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}
    for part in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str((job.out / part).resolve())
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)
    area = median_area(job.labels())
    border = max(1, round(0.04 * area**0.5))
    described = write_dataset(job, job.out / "raw" / DATASET, border)
    plans = plan(job) | {"continue_training": False}
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # augment in this process
    job.prepared()
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    trainer = nnUNetTrainer(plans, "2d", "all", described, device=torch.device("cpu"))
    train(job, trainer)
    chosen = plans["configurations"]["2d"]
    sizes = {key: [int(n) for n in np.atleast_1d(chosen[key])] for key in ("patch_size", "batch_size")}
    job.settings |= {"border_px": border, "gpu_gb": GPU_GB, **sizes}
    tiles = predictor(trainer, described)

    def predict(image: Array) -> Array:
        pixels = image[None, None].astype(np.float32)
        return to_labels(tiles.predict_single_npy_array(pixels, SPACING), area / 10)

    return predict


if __name__ == "__main__":
    run_method("nnunet", ["nnunetv2", "torch"], fit)
