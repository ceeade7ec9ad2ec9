"""The ISBI 2012 EM segmentation challenge: neuronal cells (255) between membranes (0), 4×4×50 nm.

    ROOT/train-volume.tif, ROOT/train-labels.tif   30 slices with truth
    ROOT/test-volume.tif                           30 slices, truth not public

Cardona et al., PLoS Biology 2010; Arganda-Carreras et al., Frontiers in Neuroanatomy 2015.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.images.whole import Stack, read_stack
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.labels import LabelRule
from unetseg.tasks.listing import Listing, volume_entries

SPACING_UM = (0.05, 0.004, 0.004)
GROUP = "train-volume"


def listing(root: Path, data: DataSettings) -> Listing:
    """The 30 labelled slices: group "train-volume", index = slice. Cells are the foreground.

    Cells become objects by edge-connected components, so the membranes between them get the
    border weights. Split them by blocks, "train-volume[0:24]", because neighbouring slices are alike. With
    `volumes` a block is one volume, and its objects are face-connected in three dimensions.
    """
    volume, labels = read_stack(root / "train-volume.tif"), read_stack(root / "train-labels.tif")
    if volume.pixels.shape != labels.pixels.shape:
        raise UserError(
            f"{root}: train-volume.tif is {volume.pixels.shape} and train-labels.tif "
            f"{labels.pixels.shape} (pages, channels, y, x); they must be the same size."
        )
    slices = len(volume.pixels)
    notes = (f"{slices} slices; foreground = cells (255)",)
    rule = LabelRule("mask", values=(0, 255), not_annotated=tuple(data.not_annotated))
    if data.volumes:
        block = partial(_block, volume, labels, rule)
        return Listing(tuple(volume_entries(GROUP, [True] * slices, block)), notes=notes, block=block)
    read = partial(_read, volume, labels, rule)
    entries = [Entry(f"{GROUP}[{z}]", GROUP, z, partial(read, z)) for z in range(slices)]
    return Listing(tuple(entries), notes=notes)


def _read(volume: Stack, labels: Stack, rule: LabelRule, z: int) -> Sample:
    name = f"{GROUP}[{z}]"
    truth = rule.read(labels.pixels[z], f"{labels.path}[{z}]")
    return Sample(name, volume.pixels[z], truth, SPACING_UM[1:])


def _block(volume: Stack, labels: Stack, rule: LabelRule, group: str, start: int, stop: int) -> Sample:
    name = f"{group}[{start}-{stop - 1}]"
    image, cells = (np.moveaxis(s.pixels[start:stop], 0, 1) for s in (volume, labels))
    truth = rule.read(cells, f"{labels.path}[{start}:{stop}]")
    return Sample(name, image, truth, SPACING_UM)
