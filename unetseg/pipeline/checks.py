"""Checks before the first step of a training, for what would fail later."""

from __future__ import annotations

from unetseg.errors import UserError, did_you_mean
from unetseg.losses import LOSSES
from unetseg.nets import Net, nearest_sizes
from unetseg.pipeline.dataset import Dataset, crop_of
from unetseg.scores import scores_of
from unetseg.settings import Experiment


def check_trainable(experiment: Experiment, data: Dataset, net: Net) -> None:
    """Raise UserError if loss, score, axes or crop do not fit the data or the network."""
    train = experiment.train
    if train.loss not in LOSSES:
        raise UserError(f"train.loss = {train.loss!r}: {did_you_mean(train.loss, LOSSES)}")
    if train.freeze and not train.start_from:
        raise UserError("train.freeze keeps the weights of train.start_from, which is not given. Give both.")
    allowed = scores_of(data.kind, data.classes)
    if train.select_by not in allowed:
        raise UserError(f"train.select_by = {train.select_by!r}: {did_you_mean(train.select_by, allowed)}")
    if experiment.labels.calibrate and data.classes != 2:
        raise UserError(
            f"labels.calibrate: needs two classes, but these data have {data.classes}. Leave it out."
        )
    axes = data.examples[0].classes.ndim
    if net.dims != axes:
        raise UserError(f"net.dims = {net.dims}: the images have {axes} axes. Set net.dims = {axes}.")
    _check_crop(experiment, data, net)


def _check_crop(experiment: Experiment, data: Dataset, net: Net) -> None:
    """Raise UserError for a crop that the network does not take, or that is larger than an image."""
    crop = crop_of(experiment.train, net.dims)
    if len(crop) != net.dims:
        raise UserError(f"train.crop = {list(crop)}: this network has {net.dims} axes.")
    if not net.footprint.legal(crop):
        raise UserError(f"train.crop = {list(crop)}: {nearest_sizes(net.footprint, crop)}.")
    for example in data.examples:
        out, strides = net.footprint.output(crop), net.footprint.stride
        sides = zip(out, example.classes.shape, strides, strict=True)
        if any(o > -(-n // s) * s for o, n, s in sides):  # up to a stride beyond it is mirrored
            size = "×".join(map(str, example.classes.shape))
            raise UserError(
                f"train.crop = {list(crop)}: larger than {example.name}, which is {size} pixels "
                f"(after data.downsample = {experiment.data.downsample}). Choose a smaller crop."
            )
