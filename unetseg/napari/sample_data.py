"""Sample data: the film of touching cells that the demo trains on."""

from __future__ import annotations

import numpy as np

from unetseg.images.scale import Scale
from unetseg.napari.layers import LayerData, scale_arguments
from unetseg.tasks.films import FILMS, SPACING_UM, film


def touching_cells() -> list[LayerData]:
    """The first film (t, y, x), made on the spot, and its true labels, hidden."""
    images, labels = film(FILMS["01"])
    size = scale_arguments(Scale(SPACING_UM), ("t",), 3)
    truth = {"name": "touching cells (truth)", "visible": False, **size}
    return [
        (np.asarray(images), {"name": "touching cells", **size}, "image"),
        (np.asarray(labels), truth, "labels"),
    ]
