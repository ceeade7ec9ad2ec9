"""Other packages' augmentation: elasticdeform as the elastic engine, an albumentations pipeline.

Both are optional and imported only when an experiment names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetseg.augment.apply import mirrored_grid, sample_at, source_coordinates
from unetseg.augment.grey import change_grey_values
from unetseg.augment.pack import PackedDraws
from unetseg.errors import UserError
from unetseg.sample import Example


def apply_with_elasticdeform(
    draws: PackedDraws, images: Tensor, targets: Tensor, shapes: Tensor, crop: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """As `augment.apply`, with the elastic part done by elasticdeform.deform_grid on the CPU.

    The control points displace the same pixels by the same amounts; the crop is resampled twice
    (first flips, rotation and zoom, then the deformation) and mirrored at its own border.
    """
    try:
        from elasticdeform import deform_grid
    except ImportError as error:
        raise UserError(
            f'augment.engine = "elasticdeform": the package cannot be imported ({error}). Install '
            "it from source (pip install --no-binary elasticdeform elasticdeform) or remove the key."
        ) from None
    places = source_coordinates(replace(draws, control=None), crop, images.device)
    grid = mirrored_grid(places, shapes, images.shape[2:])
    cropped = sample_at(images, grid, "bilinear").cpu().numpy()
    nearest = sample_at(targets, grid, "nearest").cpu().numpy()
    for i, d in enumerate(draws.draws):
        if d.control is not None:
            arrays = [*cropped[i], *nearest[i]]
            orders = [1] * len(cropped[i]) + [0] * len(nearest[i])
            deformed = deform_grid(arrays, d.control, order=orders, mode="mirror")
            cropped[i], nearest[i] = deformed[: len(cropped[i])], deformed[len(cropped[i]) :]
    changed = change_grey_values(torch.from_numpy(cropped).to(images), draws)
    return changed, torch.from_numpy(nearest).to(targets)


def load_albumentations(path: str) -> Any:
    """The albumentations pipeline saved in a JSON or YAML file (albumentations.save)."""
    try:
        import albumentations
    except ImportError:
        raise UserError(
            f"augment.albumentations = {path!r}: the package albumentations is not installed. "
            "Install it (pip install albumentations) or remove the key."
        ) from None
    data_format = "yaml" if Path(path).suffix in (".yaml", ".yml") else "json"
    try:
        return albumentations.load(path, data_format=data_format)
    except Exception as error:  # a wrong file makes the parser raise all kinds of errors
        raise UserError(
            f"augment.albumentations = {path!r}: not a pipeline written by albumentations.save "
            f"({type(error).__name__}: {error})."
        ) from None


def transform_example(pipeline: Any, example: Example, seed: int) -> Example:
    """The example through an albumentations pipeline; image, classes and weight change together.

    The pipeline gets grey values scaled to 0…1, from the image's minimum to its maximum, because
    albumentations clips floats to that range; they are scaled back afterwards.
    """
    pipeline.set_random_seed(seed)
    low, high = example.image.min(), example.image.max()
    extent = np.maximum(high - low, np.float32(1e-6))
    image: NDArray[np.float32] = np.ascontiguousarray(np.moveaxis((example.image - low) / extent, 0, -1))
    changed = pipeline(image=image, masks=[example.target, example.weight])
    classes, weight = changed["masks"]
    moved = np.ascontiguousarray(np.moveaxis(low + extent * changed["image"], -1, 0), dtype=np.float32)
    return replace(example, image=moved, target=np.asarray(classes), weight=np.asarray(weight))
