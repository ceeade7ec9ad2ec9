"""Settings of a restoration that are derived if not given."""

from __future__ import annotations

from typing import Any

from unetseg.losses import BLIND_SPOT
from unetseg.pipeline.checks import RESTORATION_AUGMENT
from unetseg.settings import AugmentSettings

Found = dict[str, tuple[Any, str]]
CROP, BATCH = 128, 8


def restoration_settings(*, has_clean: bool) -> Found:
    """Values and reasons by the dotted names of settings. has_clean: whether there are clean images."""
    loss = ("l1", "there are clean images") if has_clean else (BLIND_SPOT, "there are no clean images")
    default, why = AugmentSettings(), "it would change the noise or the grey values"
    changing = {key: plain for key, plain in RESTORATION_AUGMENT.items() if getattr(default, key) != plain}
    return {
        "target.kind": ("restoration", "the task is"),
        "train.loss": loss,
        "train.batch": (BATCH, "restoration learns from small crops"),
        "train.select_by": ("psnr", "the images are restored"),
        "labels.test_time_augmentation": (4, "the mean of 4 flips has less noise"),
        "augment.noise": (0.0, "the images have noise"),
        **{f"augment.{key}": (plain, why) for key, plain in changing.items()},
    }
