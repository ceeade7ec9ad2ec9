"""A lab's own data: images and label images that belong together by their names.

ROOT/images and ROOT/labels (or ROOT/masks); the folders of the Medical Segmentation Decathlon,
imagesTr/ and labelsTr/; or one folder with dish.tif beside dish_mask.tif. TIFF (also ImageJ and OME) or
PNG; single images or stacks of pages; grey, RGB or several channels. NIfTI files, and with data.volumes
TIFF stacks, are volumes. Labels may also be outlines (ImageJ ROIs, GeoJSON, COCO) or Cellpose's files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.formats import is_volume_file
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.channels import common_channels, to_channels
from unetseg.tasks.differences import difference_notes
from unetseg.tasks.file_summary import (
    FileSummary,
    Reading,
    forget_files,
    read_file,
    read_label_file,
    summarise,
)
from unetseg.tasks.folder_files import paired_files
from unetseg.tasks.label_origins import known_format, origin_notes
from unetseg.tasks.labels import LabelRule
from unetseg.tasks.listing import Listing, volume_entries
from unetseg.tasks.recognise import describe, label_rule


def listing(root: Path, data: DataSettings) -> Listing:
    """Every labelled image, page or slice: group = file name without ending, index = page or slice."""
    forget_files()
    pairs = paired_files(root)
    reading = Reading.of(data, [image for image, _ in pairs])
    files = [summarise(image, label, reading, tuple(data.not_annotated)) for image, label in pairs]
    statistics = [s for f in files for s in f.statistics]
    if not any(s.values for s in statistics):
        raise UserError(f"{root}: every label image is empty (0 everywhere), so nothing can be learnt.")
    scans = any(is_volume_file(f.label) for f in files)
    objects = known_format(files, data.labels)
    rule, found = label_rule(statistics, data, str(root), scans=scans, objects=objects)
    override = "data.labels" if data.labels == "auto" else ""
    channels, mixed = common_channels(files)
    notes = [describe(rule, found, statistics, override), *origin_notes(files)]
    notes += [mixed, *difference_notes(files, data)]
    reader = _Reader(rule, channels, reading)
    entries = [e for f in files for e in reader.entries(f)]
    block = partial(reader.block, {plain_stem(f.image): f for f in files}) if reading.volumes else None
    values = () if any(s.colours for s in statistics) else rule.values
    notes = [n for n in notes if n]
    grey_repeated = bool(mixed) and channels == 3
    return Listing(
        tuple(entries), rule.classes, rule.kind, tuple(notes), block, values, repeat_grey=grey_repeated
    )


@dataclass(frozen=True)
class _Reader:
    """How the files of this folder become samples."""

    rule: LabelRule
    channels: int
    reading: Reading

    def entries(self, file: FileSummary) -> list[Entry]:
        """An entry for every page, or for every slice of a volume."""
        stem = plain_stem(file.image)
        if self.reading.volumes:
            block = partial(self.block, {stem: file})
            return volume_entries(stem, file.statistics[0].labelled, block)
        names = [f"{stem}[{i}]" if len(file.statistics) > 1 else stem for i in range(len(file.statistics))]
        return [
            Entry(name, stem, i, partial(self.page, name, file, i), file.size, any(found.labelled))
            for i, (name, found) in enumerate(zip(names, file.statistics, strict=True))
        ]

    def page(self, name: str, file: FileSummary, page: int) -> Sample:
        """One page of a file."""
        stack = read_file(file.image, self.reading)
        labels = read_label_file(file.label, file.image, self.reading).stack.pixels[page]
        return self._sample(name, stack.pixels[page], labels, file, f"{file.label}[{page}]")

    def block(self, files: dict[str, FileSummary], group: str, start: int, stop: int) -> Sample:
        """The slices start…stop − 1 of a volume; a whole volume has just the name of its group."""
        file = files[group]
        stack = read_file(file.image, self.reading)
        truth = read_label_file(file.label, file.image, self.reading).stack
        name = group if (start, stop) == (0, file.slices) else f"{group}[{start}-{stop - 1}]"
        image, labels = stack.pixels[0][:, start:stop], truth.pixels[0][:, start:stop]
        return self._sample(name, image, labels, file, f"{file.label}[{start}:{stop}]")

    def _sample(
        self, name: str, image: NDArray[Any], labels: NDArray[Any], file: FileSummary, source: str
    ) -> Sample:
        pixels = np.asarray(to_channels(image, self.channels))
        return Sample(name, pixels, self.rule.read(labels, source), file.spacing_um, self.rule.kind)
