"""Labels layers to TIFF files that the terminal, Fiji and napari read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unetseg.errors import UserError
from unetseg.images.whole import label_dtype, write_stack
from unetseg.napari.layers import spacing_of

AXES = {2: "YX", 3: "TYX", 4: "TZYX"}


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer (y, x), (t, y, x), (z, y, x) or (t, z, y, x) with its pixel size.

    Three axes are slices if the first one has a length as its unit, else time points. Returns the path.
    """
    full = data if hasattr(data, "dtype") else data[0]  # of a pyramid its full size
    labels = label_dtype(np.maximum(np.asarray(full), 0))
    if labels.ndim not in AXES:
        raise UserError(f"{path}: the layer has {labels.ndim} axes; 2, 3 or 4 can be written.")
    scale, units = attributes.get("scale", [1.0] * labels.ndim), attributes.get("units")
    volume = labels.ndim > 2 and spacing_of(scale, units, 3) is not None
    axes = "ZYX" if volume and labels.ndim == 3 else AXES[labels.ndim]
    write_stack(Path(path), labels, spacing_um=spacing_of(scale, units, 3 if volume else 2), axes=axes)
    return [path]
