"""Labels layers to TIFF files that the terminal, Fiji and napari read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unetseg.images.whole import label_dtype, write_stack
from unetseg.napari.layers import spacing_of

AXES = {2: "YX", 3: "TYX", 4: "TZYX"}


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer (y, x), (t, y, x) or (t, z, y, x) with its pixel size; the path written."""
    labels = label_dtype(np.maximum(np.asarray(data), 0))
    units = attributes.get("units") or ["pixel"] * labels.ndim
    spacing = spacing_of(attributes.get("scale", [1.0] * labels.ndim), units)
    write_stack(Path(path), labels, spacing_um=spacing, axes=AXES[labels.ndim])
    return [path]
