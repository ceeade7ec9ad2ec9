"""The Cell Tracking Challenge's 2-D layout (celltrackingchallenge.net, naming conventions).

ROOT/01/t000.tif              images (three or four digits)
ROOT/01_GT/SEG/man_seg000.tif gold truth: instance labels of some frames, some of them partly
ROOT/01_ST/SEG/man_seg000.tif silver truth: instance labels of every frame
ROOT/01_GT/TRA/man_track000.tif a marker of every cell of every frame
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from unetseg.errors import UserError
from unetseg.images.whole import read_stack
from unetseg.sample import NOT_ANNOTATED, Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.listing import Listing

SEQUENCE = re.compile(r"\d\d")
MOST_MISSED = 0.2
"""Silver truth is made by machines; a gold frame that misses more of its cells is partly annotated."""
FRAME = re.compile(r"t(\d{3,4})\.tif")


def listing(root: Path, data: DataSettings) -> Listing:
    """Every frame with the requested truth; entry group = sequence, index = frame number."""
    entries: list[Entry] = []
    for sequence in sequences(root):
        for digits in frames(root / sequence):
            truth = _truth_path(root, sequence, digits, data.truth)
            if truth is not None:
                read = partial(_read, root, sequence, digits, truth, data.partly_annotated)
                entries.append(Entry(f"{sequence}/t{digits}", sequence, int(digits), read))
    if not entries:
        raise UserError(
            f"{root}: no frame has {data.truth} truth. Expected ROOT/01_GT/SEG/man_seg000.tif "
            "(gold) or ROOT/01_ST/SEG/man_seg000.tif (silver) beside ROOT/01/t000.tif; choose "
            "another data.truth."
        )
    return Listing(tuple(entries), notes=(f"truth: {data.truth}, {len(entries)} frames",))


def sequences(root: Path) -> list[str]:
    """The names of the sequences, "01", "02", … in a data set's folder."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the data set's folder, the one that holds 01/.")
    found = sorted(p.name for p in root.iterdir() if p.is_dir() and SEQUENCE.fullmatch(p.name))
    if not found:
        raise UserError(
            f"{root}: not in the Cell Tracking Challenge's layout: there is no folder 01/ with "
            "frames t000.tif. Give the folder that holds 01/ and 01_GT/."
        )
    return found


def frames(folder: Path) -> list[str]:
    """The digits of the frames of a sequence, in order of time."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. A sequence is a folder such as 01/, with frames t000.tif."
        )
    found = [m[1] for p in folder.iterdir() if (m := FRAME.fullmatch(p.name))]
    return sorted(found, key=int)


def read_truth(path: Path) -> NDArray[np.int32]:
    """Instance labels (y, x) of 01_GT/SEG/man_seg000.tif or its silver counterpart, −1 where unknown.

    What is unknown follows from the markers in 01_GT/TRA, see `unannotated`. Without markers it follows
    from the silver truth of a gold frame that misses many of its cells; without both, nothing is unknown.
    """
    labels, gold = _read_labels(path), path.parents[1].name.endswith("_GT")
    others = _markers(path, gold)
    if others is None:
        return labels
    markers = _read_labels(others)
    if markers.shape != labels.shape:
        raise UserError(
            f"{others} is {markers.shape} pixels and {path} {labels.shape}; they must be the same size."
        )
    if others.parents[1].name.endswith("_ST") and missed_share(labels, markers) < MOST_MISSED:
        return labels
    unknown = unannotated(labels, markers, gold)
    return np.where(unknown, np.int32(NOT_ANNOTATED), labels)


def missed_share(objects: NDArray[np.int32], others: NDArray[np.int32]) -> float:
    """The share of the objects of another truth (y, x) that have no pixel in common with `objects`."""
    cells = np.unique(others[others > 0])
    return float(np.isin(cells, others[objects > 0], invert=True).mean()) if cells.size else 0.0


def unannotated(objects: NDArray[np.int32], markers: NDArray[np.int32], gold: bool) -> NDArray[np.bool_]:
    """Background that is not annotated, because a cell there has a tracking marker but no object.

    objects, markers: (y, x) ids. In a gold frame that misses any cell, all background is unknown:
    the annotators drew only some cells. Silver truth misses single cells; there it is the
    background nearer to a missed cell's marker than to any object.
    """
    missed = np.setdiff1d(markers, markers[objects > 0])
    missed = missed[missed > 0]
    if not missed.size:
        return np.zeros(objects.shape, bool)
    if gold:
        return objects == 0
    lost = np.isin(markers, missed)
    indices = distance_transform_edt(~lost & (objects == 0), return_distances=False, return_indices=True)
    nearest_is_lost: NDArray[np.bool_] = lost[tuple(indices)] & (objects == 0)
    return nearest_is_lost


def _markers(path: Path, gold: bool) -> Path | None:
    """The file that shows every cell of a frame: its tracking markers, or the silver truth."""
    sequence, digits = path.parents[1].name[:-3], path.stem.removeprefix("man_seg")
    root = path.parents[2]
    track = root / f"{sequence}_GT" / "TRA" / f"man_track{digits}.tif"
    silver = root / f"{sequence}_ST" / "SEG" / path.name
    if track.is_file():
        return track
    return silver if gold and silver.is_file() else None


def _read(root: Path, sequence: str, digits: str, truth: Path, objects_only: bool) -> Sample:
    stack = read_stack(root / sequence / f"t{digits}.tif")
    if len(stack.pixels) != 1:
        raise UserError(f"{stack.path}: {len(stack.pixels)} pages; only 2-D data sets are read.")
    labels = read_truth(truth)
    if objects_only:
        labels = np.where(labels > 0, labels, np.int32(NOT_ANNOTATED))
    return Sample(f"{sequence}/t{digits}", stack.pixels[0], labels, stack.spacing_um)


def _read_labels(path: Path) -> NDArray[np.int32]:
    stack = read_stack(path)
    if stack.pixels.shape[:2] != (1, 1) or stack.pixels.dtype.kind not in "ui":
        raise UserError(
            f"{path}: {stack.pixels.dtype} of shape {stack.pixels.shape}; expected one page of integers."
        )
    return stack.pixels[0, 0].astype(np.int32)


def _truth_path(root: Path, sequence: str, digits: str, truth: str) -> Path | None:
    gold = root / f"{sequence}_GT" / "SEG" / f"man_seg{digits}.tif"
    silver = root / f"{sequence}_ST" / "SEG" / f"man_seg{digits}.tif"
    order = {"gold": [gold], "silver": [silver], "gold-else-silver": [gold, silver]}[truth]
    return next((path for path in order if path.is_file()), None)
