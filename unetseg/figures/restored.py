"""Pictures of restored images: each method beside the clean image, in the same grey values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unetseg.figures.pictures import panel, save
from unetseg.tiles import middle_region

SHOWN_PX = 256
"""Of a larger image the middle is shown, where single pixels can be seen."""


def write_restored(
    path: Path, images: Mapping[str, NDArray[Any]], scores: Mapping[str, Mapping[str, float]], title: str
) -> None:
    """PNG: a panel for each image (c, y, x) with its name, and its PSNR if `scores` has it."""
    reference = images.get("clean", next(iter(images.values())))
    low, high = (float(v) for v in np.percentile(_middle(reference), [0.5, 99.5]))
    figure = Figure(figsize=(3.6 * len(images), 4.1), dpi=110, layout="constrained")
    middle = ", middle" if max(reference.shape[1:]) > SHOWN_PX else ""
    figure.suptitle(title + middle, fontsize=9, parse_math=False)
    for axes, (name, image) in zip(
        figure.subplots(1, len(images), squeeze=False)[0], images.items(), strict=True
    ):
        scaled = np.clip((_middle(image) - low) / max(high - low, 1e-9), 0, 1)
        shown = np.repeat(scaled[:1], 3, 0) if len(scaled) < 3 else scaled[:3]
        value = scores.get(name, {}).get("psnr")
        panel(axes, shown.transpose(1, 2, 0), name if value is None else f"{name}, {value:.2f} dB")
    save(figure, path)


def _middle(image: NDArray[Any]) -> NDArray[np.float32]:
    return image[:, *middle_region(image.shape[1:], SHOWN_PX)].astype(np.float32)
