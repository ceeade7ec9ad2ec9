"""Cellpose 3 (Stringer et al. 2021): its own residual U-Net and trainer, from scratch.

    python -m venv ENV && ENV/bin/pip install torch==2.13.0 cellpose==3.1.1.2
    taskset -c 1 env OMP_NUM_THREADS=1 \
        ENV/bin/python -m benchmarks.peers.cellpose FOLDS/hela OUT/hela/cellpose --minutes 10

As `python -m cellpose --train --pretrained_model None` does: SGD, learning rate 0.2, weight decay 1e-5,
crops of 224 pixels, objects resized to 30 pixels in diameter. Prediction with the defaults: the diameter of
the training objects, flow threshold 0.4, cell probability threshold 0. The flows of the labels are computed
once, before the budget begins.

Scaled to the budget: batches of 2 instead of 8 (a step of 8 takes ten seconds on one thread, so that 54 fit
into ten minutes); an epoch is one batch, so that the trainer's own schedule (10 epochs of warm-up, 50 or 100
epochs of decay at the end) covers the steps that fit, which is found by timing. Cellpose is mostly used with
its pretrained weights; they are not part of this comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose.dynamics import labels_to_flows
from cellpose.models import CellposeModel
from cellpose.train import train_seg

from benchmarks.peers.common import Job, Predict, processor_s, run_method

BATCH, TIMED, MARGIN = 2, 4, 0.96


def train(job: Job, model: CellposeModel, flows: list[Any], steps: int) -> Path:
    """The trainer with the command's defaults; returns the file of the weights."""
    return train_seg(
        model.net,
        train_data=job.images(),
        train_labels=flows,
        channels=[0, 0],
        batch_size=BATCH,
        learning_rate=0.2,
        weight_decay=1e-5,
        SGD=True,
        n_epochs=steps,
        nimg_per_epoch=BATCH,
        save_path=str(job.out),
        save_every=10**6,
    )[0]


def step_seconds(job: Job, flows: list[Any]) -> float:
    """Seconds of a step, from a short training that is thrown away."""
    seconds = []
    for steps in (1, 1 + TIMED):
        started = processor_s()
        train(job, CellposeModel(gpu=False, pretrained_model=False), flows, steps)
        seconds.append(processor_s() - started)
    return (seconds[1] - seconds[0]) / TIMED


def fit(job: Job) -> Predict:
    """Flows of the labels, the number of steps that fit, then the training."""
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    flows = labels_to_flows([y.astype(np.int32) for y in job.labels()], device=torch.device("cpu"))
    each = step_seconds(job, flows)
    job.prepared()
    steps = max(20, int(MARGIN * job.left() / each))
    torch.manual_seed(job.seed)
    weights = train(job, CellposeModel(gpu=False, pretrained_model=False), flows, steps)
    model = CellposeModel(gpu=False, pretrained_model=str(weights))
    job.settings |= {"steps": steps, "batch": BATCH, "diameter_px": float(model.diam_labels)}
    return lambda image: model.eval(image, channels=[0, 0])[0]


if __name__ == "__main__":
    run_method("cellpose", ["cellpose", "torch"], fit)
