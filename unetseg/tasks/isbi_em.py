"""The ISBI 2012 EM segmentation challenge: neuronal cells (255) between membranes (0), 4×4×50 nm.

    ROOT/train-volume.tif, ROOT/train-labels.tif   30 slices with truth
    ROOT/test-volume.tif                           30 slices, truth not public

Cardona et al., PLoS Biology 2010; Arganda-Carreras et al., Frontiers in Neuroanatomy 2015.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from unetseg.errors import UserError
from unetseg.io import Stack, read_stack
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.labels import MASK, read_labels
from unetseg.tasks.listing import Listing

SPACING_UM = (0.004, 0.004)
GROUP = "train-volume"


def listing(root: Path, settings: DataSettings) -> Listing:
    """The 30 labelled slices: group "train-volume", index = slice. Cells are the foreground.

    Cells are made objects by edge-connected components, so the membranes between them get the
    border weights. Split them by blocks, "train-volume[0:24]": neighbouring slices are alike.
    """
    volume, labels = read_stack(root / "train-volume.tif"), read_stack(root / "train-labels.tif")
    if volume.pixels.shape != labels.pixels.shape:
        raise UserError(
            f"{root}: train-volume.tif is {volume.pixels.shape} and train-labels.tif "
            f"{labels.pixels.shape} (pages, channels, y, x); they must be the same size."
        )
    read = partial(_read, volume, labels, settings.not_annotated)
    entries = [Entry(f"{GROUP}[{z}]", GROUP, z, partial(read, z)) for z in range(len(volume.pixels))]
    return Listing(tuple(entries), notes=(f"{len(entries)} slices; foreground = cells (255)",))


def _read(volume: Stack, labels: Stack, not_annotated: tuple[int, ...], z: int) -> Sample:
    name = f"{GROUP}[{z}]"
    truth = read_labels(labels.pixels[z], MASK, not_annotated, f"{labels.path}[{z}]")
    return Sample(name, volume.pixels[z], truth, SPACING_UM)
