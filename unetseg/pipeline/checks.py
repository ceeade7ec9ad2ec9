"""Checks before the first step of a training, for what would fail later."""

from __future__ import annotations

from unetseg.distributed import processes
from unetseg.errors import UserError, did_you_mean
from unetseg.losses import IMAGE_LOSSES, LOSSES
from unetseg.nets import Hypotheses, Net, nearest_sizes
from unetseg.pipeline.dataset import Dataset, crop_of
from unetseg.scores import scores_of
from unetseg.settings import Experiment

RESTORATION_AUGMENT = {
    "elastic": 0,
    "rotate": 0,
    "scale": 0,
    "shift": 0,
    "brightness": 0,
    "contrast": 0,
    "gamma": 0,
    "invert": 0,
    "blur": 0,
    "occlusion": 0,
    "match_histogram": 0,
    "albumentations": "",
}
"""Augmentations that restoration does not take, and their value without effect."""
RESTORATION_LABELS = {"choose": False, "calibrate": False, "median_radius": 0}
"""Likewise of [labels]."""


def check_trainable(experiment: Experiment, data: Dataset, net: Net) -> None:
    """Raise UserError if loss, score, axes or crop do not fit the data or the network."""
    train = experiment.train
    if train.loss not in LOSSES:
        raise UserError(f"train.loss = {train.loss!r}: {did_you_mean(train.loss, LOSSES)}")
    if train.freeze and not (train.start_from or experiment.net.get("weights")):
        raise UserError(
            "train.freeze keeps the weights of train.start_from or net.weights, but neither is given."
        )
    allowed = scores_of(data.kind, data.classes)
    if train.select_by not in allowed:
        raise UserError(f"train.select_by = {train.select_by!r}: {did_you_mean(train.select_by, allowed)}")
    _check_kind(experiment, data)
    if experiment.labels.calibrate and data.classes != 2:
        raise UserError(
            f"labels.calibrate: needs two classes, but these data have {data.classes}. Leave it out."
        )
    axes = data.examples[0].weight.ndim
    if net.dims != axes:
        raise UserError(f"net.dims = {net.dims}: the images have {axes} axes. Set net.dims = {axes}.")
    if isinstance(net, Hypotheses) and processes() > 1:
        raise UserError("net.name: a network of several hypotheses is trained by one process alone.")
    _check_crop(experiment, data, net)


def _check_kind(experiment: Experiment, data: Dataset) -> None:
    """Raise UserError where target, loss and augmentation are not all of restoration, or none of them is."""
    target, loss, restores = experiment.target.kind, experiment.train.loss, data.kind == "restoration"
    if (target == "restoration") != restores:
        raise UserError(
            f'target.kind = "{target}" with data.task = "{experiment.data.task}": "restoration" goes with '
            "the task of that name. Change one of them."
        )
    if (loss in IMAGE_LOSSES) != restores:
        names = IMAGE_LOSSES if restores else [name for name in LOSSES if name not in IMAGE_LOSSES]
        raise UserError(f"train.loss = {loss!r}: here the losses are {', '.join(names)}.")
    if not restores:
        return
    if experiment.train.class_balanced_crops:
        raise UserError("train.class_balanced_crops: clean images have no classes. Remove the key.")
    for key, without in RESTORATION_LABELS.items():
        if getattr(experiment.labels, key) != without:
            raise UserError(f"labels.{key}: restored images have no labels or probabilities. Remove the key.")
    for key, plain in RESTORATION_AUGMENT.items():
        if getattr(experiment.augment, key) != plain:
            raise UserError(
                f"augment.{key} = {getattr(experiment.augment, key)!r}: must be {plain!r} in restoration. "
                "Resampling would smooth the noise, and other grey values would not be the clean image's."
            )


def _check_crop(experiment: Experiment, data: Dataset, net: Net) -> None:
    """Raise UserError for a crop that the network does not take, or that is larger than an image."""
    crop = crop_of(experiment.train, net.dims)
    if len(crop) != net.dims:
        raise UserError(f"train.crop = {list(crop)}: this network has {net.dims} axes.")
    if not net.footprint.legal(crop):
        raise UserError(f"train.crop = {list(crop)}: {nearest_sizes(net.footprint, crop)}.")
    for example in data.examples:
        out, strides = net.footprint.output(crop), net.footprint.stride
        sides = zip(out, example.weight.shape, strides, strict=True)
        if any(o > -(-n // s) * s for o, n, s in sides):  # up to a stride beyond it is mirrored
            size = "×".join(map(str, example.weight.shape))
            raise UserError(
                f"train.crop = {list(crop)}: larger than {example.name}, which is {size} pixels "
                f"(after data.downsample = {experiment.data.downsample}). Choose a smaller crop."
            )
