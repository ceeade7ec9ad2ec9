"""The layout of a data folder, detected from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unetseg.errors import UserError
from unetseg.tasks.cell_tracking import SEQUENCE
from unetseg.tasks.folder_files import IMAGE_FOLDERS, LABEL_FOLDERS, has_labels_beside_images
from unetseg.tasks.restoration import CLEAN_FOLDER

Task = Literal["cell-tracking", "isbi-em", "folder", "restoration"]


def guess_task(root: Path) -> Task:
    """The layout of a data folder; UserError if it is none of the known ones."""
    if not root.is_dir():
        wrong = "a file, not a data folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {wrong}. Give the folder that holds images/ and labels/ (or masks/).")
    if any((root / folder).is_dir() for folder in IMAGE_FOLDERS):
        labelled = any((root / folder).is_dir() for folder in LABEL_FOLDERS)
        return "restoration" if (root / CLEAN_FOLDER).is_dir() and not labelled else "folder"
    if (root / "train-volume.tif").is_file():
        return "isbi-em"
    if any(p.is_dir() and SEQUENCE.fullmatch(p.name) for p in root.iterdir()):
        return "cell-tracking"
    if has_labels_beside_images(root):
        return "folder"
    raise UserError(
        f"{root}: none of the known layouts. {_near(root)}Put images into {root / 'images'} and label "
        "images of the same names into labels/ (or masks/); or give a Cell Tracking Challenge folder "
        "(01/, 01_GT/) or the ISBI 2012 files (train-volume.tif, train-labels.tif)."
    )


def _near(root: Path) -> str:
    """The hint to a data folder right above or below `root`; empty if there is none."""
    whole = root.resolve()
    part = whole.name in ("images", *LABEL_FOLDERS) and (whole.parent / "images").is_dir()
    sequence = SEQUENCE.fullmatch(whole.name[:2]) and (whole.parent / whole.name[:2]).is_dir()
    if part or sequence:
        return f"Did you mean the folder above it, {whole.parent}? "
    below = sorted(p.name for p in whole.iterdir() if (p / "images").is_dir())
    return f"Did you mean one in it: {', '.join(below)}? " if below else ""
