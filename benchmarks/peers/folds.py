"""Folds as folders of images and labels, the same files for every method.

    pip install -e .
    python -m benchmarks.peers.folds DATA FOLDS [hela] [nuclei] [u373]

DATA holds the data sets as data/README.md lays them out. FOLDS/NAME/train and FOLDS/NAME/test are written,
each with images/ and labels/ (files of the same names), and FOLDS/NAME/fold.json, which describes the split.

Training labels are what a user has: the silver truth of all frames of sequence 01, as it is, and the
Data Science Bowl's instance labels. Test labels are the gold truth of sequence 02 (frames without are not
predicted), with background that is not annotated as 65535, and the instance labels of images held back.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.peers.common import NOT_ANNOTATED
from unetseg.files import write_json
from unetseg.tasks.cell_tracking import read_truth


class Pair(NamedTuple):
    """An image (y, x) and its labels (y, x) uint16, of the part "train" or "test"."""

    part: str
    name: str
    image: NDArray[Any]
    labels: NDArray[np.uint16]


def tracking_pairs(root: Path) -> Iterator[Pair]:
    """Sequence 01 with silver truth to train on, and the gold frames of 02 to test on."""
    for part, sequence, truth in (("train", "01", "ST"), ("test", "02", "GT")):
        for path in sorted((root / f"{sequence}_{truth}" / "SEG").glob("man_seg*.tif")):
            digits = re.sub(r"\D", "", path.stem)
            labels = tifffile.imread(path) if truth == "ST" else _gold(path)
            image = tifffile.imread(root / sequence / f"t{digits}.tif")
            yield Pair(part, f"{sequence}_t{digits}", image, labels.astype(np.uint16))


def digit_pairs(root: Path) -> Iterator[Pair]:
    """Images whose names end in 0 to 6 to train on, and those in 7 to 9 to test on."""
    for path in sorted((root / "images").glob("*.tif")):
        part = "train" if path.stem[-1] in "0123456" else "test"
        labels = tifffile.imread(root / "labels" / path.name).astype(np.uint16)
        yield Pair(part, path.stem, tifffile.imread(path), labels)


SILVER_GOLD = {
    "train": "sequence 01, silver truth of every frame",
    "test": "sequence 02, frames with gold truth",
}
DIGITS = {
    "train": "images whose numbers end in 0 to 6",
    "test": "images whose numbers end in 7 to 9",
}
FOLDS: dict[str, tuple[str, Callable[[Path], Iterator[Pair]], dict[str, str]]] = {
    "hela": ("DIC-C2DH-HeLa", tracking_pairs, SILVER_GOLD),
    "nuclei": ("nuclei-dsb2018", digit_pairs, DIGITS),
    "u373": ("PhC-C2DH-U373", tracking_pairs, SILVER_GOLD),
}
"""Folder of the data set, how it is split, and the split in words."""


def make_fold(name: str, data: Path, folds: Path) -> Path:
    """Write one of FOLDS from the data sets in `data`; returns its folder."""
    dataset, pairs, described = FOLDS[name]
    out = folds / name
    count = {"train": 0, "test": 0}
    for pair in pairs(data / dataset):
        for kind, pixels in (("images", pair.image), ("labels", pair.labels)):
            (out / pair.part / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(out / pair.part / kind / f"{pair.name}.tif", pixels, compression="zlib")
        count[pair.part] += 1
    if not all(count.values()):
        raise SystemExit(f"{data / dataset}: no pairs to train or test on; see data/README.md.")
    write_json(out / "fold.json", {"dataset": dataset, **described, "images": count})
    return out


def _gold(path: Path) -> NDArray[np.int32]:
    labels = read_truth(path)
    return np.where(labels < 0, NOT_ANNOTATED, labels)


def main() -> None:
    """Write the folds that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.folds")
    parser.add_argument("data", type=Path)
    parser.add_argument("folds", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FOLDS)}; default: all")
    asked = parser.parse_args()
    for name in asked.names or FOLDS:
        if name not in FOLDS:
            parser.error(f"{name}: no such fold; there is {', '.join(FOLDS)}")
        print(make_fold(name, asked.data, asked.folds))


if __name__ == "__main__":
    main()
