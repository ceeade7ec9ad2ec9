"""What the pipeline carries: a Sample as on disk, and an Example ready for a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from skimage.transform import downscale_local_mean

from unetseg.distance_classes import distance_classes
from unetseg.errors import UserError
from unetseg.settings import TargetSettings
from unetseg.targets import border_weights, separate_touching, weight_map

LabelKind = Literal["instances", "classes", "restoration"]
"""What is learnt and predicted: objects with ids, class maps, or clean images ("restoration")."""
NOT_ANNOTATED = -1


@dataclass(frozen=True)
class Sample:
    """One image with its labels, as on disk.

    image: (c, *yx), any real dtype. labels: (*yx) int32, or None where there is no truth;
    with kind "instances" 0 is background and k > 0 an object, with kind "classes" the class map;
    -1 is not annotated. spacing_um: pixel size per axis of yx in µm, or None if unknown.
    clean: with kind "restoration", where it exists, the same scene (c, *yx) with less noise.
    """

    name: str
    image: NDArray[np.generic]
    labels: NDArray[np.int32] | None
    spacing_um: tuple[float, ...] | None = None
    kind: LabelKind = "instances"
    clean: NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        if self.clean is not None and self.clean.shape != self.image.shape:
            raise UserError(
                f"{self.name}: the noisy image is {_channels_and_size(self.image)} and the clean one "
                f"{_channels_and_size(self.clean)}; they must be the same. Register the clean image to the "
                "noisy one, without cropping or scaling."
            )
        if self.labels is not None and self.labels.shape != self.image.shape[1:]:
            raise UserError(
                f"{self.name}: the image is {_size(self.image.shape[1:])} pixels and its label image "
                f"{_size(self.labels.shape)}; they must be the same size. Export the labels again "
                "from the same image, without cropping or scaling."
            )

    @property
    def truth(self) -> NDArray[Any] | None:
        """What a prediction is compared with: the clean image (c, *yx), or the labels (*yx)."""
        return self.clean if self.kind == "restoration" else self.labels

    @cached_property
    def separated(self) -> NDArray[np.integer[Any]]:
        """The objects (*yx), with a ridge of background between those that touch; computed once."""
        return separate_touching(learnt_labels(self))


@dataclass(frozen=True)
class Entry:
    """A sample that can be read: its name, its group (sequence, stack or file) and place in it.

    size: of its image along *yx, if known without reading it. labelled: False if it is known
    to hold no object.
    """

    name: str
    group: str
    index: int
    read: Callable[[], Sample]
    size: tuple[int, ...] | None = None
    labelled: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of its image along *yx."""
        return self.size or self.read().image.shape[1:]


@dataclass(frozen=True)
class Example:
    """What a network learns from: image (c, *yx) float32, target, weight (*yx) float32.

    target: classes (*yx) uint8, or in restoration a clean image (c, *yx) float32 in the units of `image`.
    A pixel of weight 0 is ignored by every loss; there is no ignore index.
    """

    name: str
    image: NDArray[np.float32]
    target: NDArray[Any]
    weight: NDArray[np.float32]

    @property
    def restores(self) -> bool:
        """Whether the target is a clean image."""
        return self.target.ndim == self.image.ndim


RIM_PX = 2


def without_border(sample: Sample, border: int) -> Sample:
    """The sample with the background within `border` pixels of the image edge, in y and x, not annotated."""
    if border == 0 or sample.labels is None:
        return sample
    height, width = sample.labels.shape[-2:]
    outside = sample.labels == 0
    outside[..., border : height - border, border : width - border] = False
    return replace(sample, labels=np.where(outside, np.int32(NOT_ANNOTATED), sample.labels))


def learnt_labels(sample: Sample) -> NDArray[np.int32]:
    """The labels (*yx) for training: if no background is annotated, the rims of objects become background.

    An outline shows where its object ends, so the 2 pixels outside it are background; without any, a
    network would learn that everything is an object.
    """
    labels = _labels(sample)
    if sample.kind != "instances" or (labels == 0).any():
        return labels
    rim = binary_dilation(labels > 0, iterations=RIM_PX) & (labels == NOT_ANNOTATED)
    return np.where(rim, np.int32(0), labels)


def make_example(
    sample: Sample, image: NDArray[np.float32], target: TargetSettings, class_weights: NDArray[np.float32]
) -> Example:
    """Classes and weights of a labelled sample (the U-Net paper's eq. 2) beside its normalised image."""
    labels = learnt_labels(sample)
    classes = target_classes(sample, target)
    border = np.zeros(labels.shape, np.float32)
    if sample.kind == "instances" and target.w0 > 0:
        thickness = relative_spacing(sample)
        border = border_weights(sample.separated, w0=target.w0, sigma=target.sigma, spacing=thickness)
    weight = weight_map(classes, border, class_weights, annotated=labels != NOT_ANNOTATED)
    return Example(sample.name, image, classes, weight)


def relative_spacing(sample: Sample) -> tuple[float, ...] | None:
    """The pixel sizes of a volume in pixels along x, (z, y, x); None for an image, or if unknown."""
    sizes = sample.spacing_um
    return None if sizes is None or len(sizes) < 3 else tuple(size / sizes[-1] for size in sizes)


def target_classes(sample: Sample, target: TargetSettings) -> NDArray[np.uint8]:
    """The class map a network is trained on, (*yx) uint8; not annotated pixels are class 0."""
    labels = _labels(sample)
    if sample.kind == "instances" and target.kind == "distance":
        return distance_classes(labels, target.distances_px)
    if sample.kind == "instances":
        return (sample.separated > 0).astype(np.uint8)
    return np.where(labels == NOT_ANNOTATED, 0, labels).astype(np.uint8)


def count_classes(sample: Sample, classes: int, target: TargetSettings) -> NDArray[np.int64]:
    """Annotated pixels of each class, (classes,) int64; UserError for a class out of range."""
    labels = learnt_labels(sample)
    known = labels != NOT_ANNOTATED
    present = (labels if sample.kind == "classes" else target_classes(sample, target))[known]
    if present.size and int(present.max()) >= classes:
        raise UserError(
            f"{sample.name}: the labels hold class {int(present.max())}, but only classes "
            f"0…{classes - 1} are allowed ({classes} classes). Set data.classes to the number "
            "of classes, or correct the label image."
        )
    return np.bincount(present, minlength=classes)


def shrink_sample(sample: Sample, factor: int) -> Sample:
    """The sample at `factor` times the pixel size in y and x: image by block mean, labels by majority.

    Slices stay as they are: most are thicker than pixels already.
    """
    if factor == 1:
        return sample
    sizes = sample.spacing_um
    spacing = None if sizes is None else (*sizes[:-2], *(factor * s for s in sizes[-2:]))
    labels = None if sample.labels is None else majority(sample.labels, factor)
    return replace(sample, image=shrink_image(sample.image, factor), labels=labels, spacing_um=spacing)


def shrink_image(image: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    """The means (c, *yx) of blocks of `factor` pixels along y and x, the last ones filled by mirroring."""
    if factor == 1:
        return image
    filled = _fill_blocks(image, factor)
    blocks = (1,) * (image.ndim - 2) + (factor,) * 2
    shrunk: NDArray[np.generic] = downscale_local_mean(filled, blocks).astype(np.float32)
    return shrunk


def enlarge(probabilities: NDArray[np.float32], shape: Sequence[int], factor: int) -> NDArray[np.float32]:
    """Undo `shrink_image` on probabilities (k, *yx): linear between pixel centres, cut to shape.

    A pixel only depends on the nearest ones, so parts of a map are enlarged as in the whole.
    """
    if factor == 1:
        return probabilities
    large = _enlarge_axis(_enlarge_axis(probabilities, -2, factor), -1, factor)
    return large[(slice(None), *(slice(0, n) for n in shape))]


def majority(labels: NDArray[np.int32], factor: int) -> NDArray[np.int32]:
    """The most frequent label of each block; the first in reading order wins a tie."""
    filled = _fill_blocks(labels, factor)
    views = np.stack([filled[..., y::factor, x::factor] for y, x in np.ndindex(factor, factor)])
    votes = np.stack([(views == view).sum(0, dtype=np.uint16) for view in views])
    winner = votes.argmax(0)[None]
    return np.take_along_axis(views, winner, 0)[0]


def _enlarge_axis(values: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    """Each value becomes `factor` values, of which phase r lies (r + 1/2)/factor − 1/2 pixels beside it."""
    values = np.moveaxis(values, axis, 0)
    large = np.empty((factor * len(values), *values.shape[1:]), np.float32)
    before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    for phase in range(factor):
        beside = np.float32((phase + 0.5) / factor - 0.5)
        neighbour = after if beside > 0 else before
        large[phase::factor] = values + abs(beside) * (neighbour - values)
    return np.moveaxis(large, 0, axis)


def _labels(sample: Sample) -> NDArray[np.int32]:
    if sample.labels is None:
        raise UserError(f"{sample.name}: no labels. Training and scoring need a label image.")
    return sample.labels


def _fill_blocks(array: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    width = [(0, 0)] * (array.ndim - 2) + [(0, -n % factor) for n in array.shape[-2:]]
    return np.pad(array, width, mode="symmetric")


def _channels_and_size(image: NDArray[np.generic]) -> str:
    channels = f" with {len(image)} channels" if len(image) > 1 else ""
    return f"{_size(image.shape[1:])} pixels{channels}"


def _size(shape: Sequence[int]) -> str:
    return "×".join(str(n) for n in shape)
