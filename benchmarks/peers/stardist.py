"""StarDist 2D (Schmidt et al. 2018), trained from scratch as in its example notebooks.

    python -m venv ENV && ENV/bin/pip install stardist==0.9.2 tensorflow-cpu==2.21.0
    taskset -c 1 env OMP_NUM_THREADS=1 \
        ENV/bin/python -m benchmarks.peers.stardist FOLDS/hela OUT/hela/stardist --minutes 10

As documented: 32 rays, U-Net of depth 3 with 32 filters, patches of 256, batches of 4, learning rate 3e-4,
the notebook's augmentation and normalisation (1 to 99.8 %), 15 % of the images at random for validation, the
weights of the lowest validation loss, thresholds optimised on validation. The grid is the notebook's (2, 2),
or (4, 4) where the median object is larger than the field of view, of which the notebook warns.

Scaled to the budget: epochs of 20 steps instead of 100, as many as fit; the learning rate is halved after a
tenth of the epochs without progress (40 of 400). A tenth of the time is kept for the thresholds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from csbdeep.utils import normalize
from stardist import calculate_extents, fill_label_holes
from stardist.models import Config2D, StarDist2D

from benchmarks.peers.common import Array, Job, Predict, held_out, processor_s, run_method

STEPS, FOR_THRESHOLDS = 20, 0.1


class Clock(tf.keras.callbacks.Callback):
    """Ends training when time is up, and scales the patience of the learning rate to the epochs that fit."""

    def __init__(self, job: Job, schedule: Any) -> None:
        super().__init__()
        self.job, self.schedule, self.steps = job, schedule, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember the time."""
        self.began = processor_s()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop at the end of a step."""
        self.steps += 1
        if self.job.left() < FOR_THRESHOLDS * 60 * self.job.minutes:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """A tenth of the epochs, from the time of the second; the first one compiles."""
        if epoch == 1:
            left = self.job.left() - FOR_THRESHOLDS * 60 * self.job.minutes
            epochs = 2 + left / (processor_s() - self.began)
            self.schedule.patience = max(2, round(epochs / 10))
            self.job.settings["patience"] = self.schedule.patience


def augment(image: Array, labels: Array) -> tuple[Array, Array]:
    """Flips, quarter turns, brightness and noise, as in the notebook."""
    turns, flip = np.random.randint(4), np.random.rand() < 0.5
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if flip:
        image, labels = image[::-1], labels[::-1]
    image = image * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    return image + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, image.shape), labels


def build(job: Job, extent: float) -> StarDist2D:
    """The net, its grid as fine as the field of view allows."""
    for grid in (2, 4):
        config = Config2D(
            n_rays=32, grid=(grid, grid), n_channel_in=1, train_tensorboard=False, train_steps_per_epoch=STEPS
        )
        model = StarDist2D(config, name=f"grid{grid}", basedir=str(job.out))
        if min(model._axes_tile_overlap("YX")) >= extent:
            break
    job.settings |= {"grid": grid, "median_object_px": extent}
    return model


def fit(job: Job) -> Predict:
    """Train, then choose thresholds."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(job.seed)
    images = [normalize(x, 1, 99.8, axis=(0, 1)) for x in job.images()]
    labels = [fill_label_holes(y.astype(np.int32)) for y in job.labels()]
    back = held_out(len(images), job.seed, 0.15)
    kept = [i for i in range(len(images)) if i not in back]
    model = build(job, float(max(calculate_extents(labels, np.median))))
    model.prepare_for_training()
    schedule = next(c for c in model.callbacks if isinstance(c, tf.keras.callbacks.ReduceLROnPlateau))
    clock = Clock(job, schedule)
    model.callbacks.append(clock)
    validation = [images[i] for i in back], [labels[i] for i in back]
    parts = [images[i] for i in kept], [labels[i] for i in kept]
    history = model.train(*parts, validation_data=validation, augmenter=augment, epochs=1000)
    losses = [round(float(loss), 4) for loss in history.history["val_loss"]]
    found = model.optimize_thresholds(*validation)
    job.settings |= {"steps": clock.steps, "validation_losses": losses, **found}
    return lambda image: model.predict_instances(normalize(image, 1, 99.8, axis=(0, 1)))[0]


if __name__ == "__main__":
    run_method("stardist", ["stardist", "tensorflow-cpu", "keras"], fit)
