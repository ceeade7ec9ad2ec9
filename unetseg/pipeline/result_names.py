"""Which images are predicted, and the file or folder that each one's labels go to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.formats import image_files, is_volume_file
from unetseg.images.nifti import volume_ending
from unetseg.images.zarrs import is_zarr
from unetseg.streaming.output import is_streamed
from unetseg.tasks.cell_tracking import frames

FILES = (".zarr", ".tif", ".tiff", ".nii", ".nii.gz")
SPLIT = re.compile(r"(.+?)((?:_labels|_classes)?(?:\.ome)?(?:\.\w+|\.nii\.gz)?)")
"""The name of a result: its stem, and its ending."""
NOT_WRITTEN = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".npy",
    ".npz",
    ".h5",
    ".csv",
    ".json",
    ".toml",
    ".pt",
)


@dataclass(frozen=True)
class Target:
    """An image and where its labels go: NAME.zarr, NAME.ome.tif, NAME.tif, NAME.nii or NAME.nii.gz."""

    image: Path
    out: Path

    @property
    def streamed(self) -> bool:
        """Whether labels go to the disk tile by tile: an OME-Zarr or a pyramidal OME-TIFF."""
        return is_streamed(self.out)


def find_targets(images: Sequence[Path], out: Path, *, kind: str) -> list[Target]:
    """The given images, and those in given folders, each with its own result.

    out: a folder, or for one image the name of a file or OME-Zarr; kind: as of a recipe.
    Raises UserError if two results would have the same name, ignoring upper and lower case, and
    if a result would replace an image or be read as one the next time.
    """
    found = [file for path in images for file in images_in(path)]
    ending = {"classes": "classes", "restoration": "restored"}.get(kind, "labels")
    targets = name_targets(found, out, partial(_result_name, ending=ending))
    for target in targets:
        if target.image.resolve().parent == out.resolve():
            raise UserError(
                f"{out}: holds the images; results there would be read as images the next time. "
                "Choose another --out."
            )
    return targets


def name_targets(found: Sequence[Path], out: Path, name: Callable[[Path], str]) -> list[Target]:
    """Each file with its result: `out` itself, for one file, or what `name` calls it in the folder `out`.

    Raises UserError where results would have one name, or would not be written as what `out` says.
    """
    if out.name.lower().endswith(FILES):
        if len(found) != 1:
            raise UserError(
                f"{out}: holds the result of one image, but {len(found)} are given. Give a folder."
            )
        return _distinct([Target(found[0], out)])
    if out.suffix.lower() in NOT_WRITTEN and not out.is_dir():
        raise UserError(
            f"{out}: labels cannot be written as {out.suffix}. Give a folder, or NAME.tif, NAME.ome.tif or "
            "NAME.ome.zarr for one image."
        )
    return _distinct([Target(path, out / name(path)) for path in found])


def sample_target(target: Target, number: int) -> Target:
    """The target of one of several hypotheses of an image.

    >>> sample_target(Target(Path("a.tif"), Path("out/a_labels.tif")), 2).out.name
    'a_sample2_labels.tif'
    """
    stem, ending = SPLIT.fullmatch(target.out.name).groups()  # type: ignore[union-attr]  # it fits any name
    return replace(target, out=target.out.with_name(f"{stem}_sample{number}{ending}"))


def challenge_targets(sequences: Sequence[Path], out: Path) -> list[Target]:
    """The frames of Cell Tracking Challenge sequences, "…/02" to OUT/02_RES/mask000.tif."""
    found: list[Target] = []
    for folder in sequences:
        digits = frames(folder)
        if not digits:
            raise UserError(
                f"{folder}: no frames named t000.tif. Give the folder of a sequence, such as DATA/02."
            )
        result = out / f"{folder.resolve().name}_RES"
        found += [Target(folder / f"t{number}.tif", result / f"mask{number}.tif") for number in digits]
    return _distinct(found)


def image_name(path: Path) -> str:
    """The name of an image: its file's name without the ending; inside a Zarr, with the path in it.

    >>> image_name(Path("plate.zarr/A/1/0")), image_name(Path("day.1.ome.zarr")), image_name(Path("a.tif"))
    ('plate_A_1_0', 'day.1', 'a')
    """
    parts = path.parts
    zarrs = [i for i, part in enumerate(parts) if part.lower().endswith(".zarr")]
    if not zarrs:
        return path.name if is_zarr(path) else plain_stem(path)
    root, *inside = parts[zarrs[0] :]
    return "_".join([root[: -len(".zarr")].removesuffix(".ome"), *inside])


def _result_name(path: Path, ending: str) -> str:
    if is_zarr(path):
        return f"{image_name(path)}.ome.zarr"
    return f"{plain_stem(path)}_{ending}{volume_ending(path) if is_volume_file(path) else '.tif'}"


def images_in(path: Path) -> list[Path]:
    """The image itself, or the images of a folder."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if not path.is_dir() or is_zarr(path):
        return [path]
    zarrs = [p for p in path.iterdir() if p.name[0] != "." and is_zarr(p)]
    found = sorted([*image_files(path, lossy=True), *zarrs], key=lambda p: p.name)
    if not found:
        raise UserError(f"{path}: this folder has no TIFF, PNG, JPEG, NIfTI or Zarr image.")
    return found


def _distinct(targets: list[Target]) -> list[Target]:
    images = {target.image.resolve() for target in targets}
    first: dict[str, Target] = {}
    for target in targets:
        if target.out.resolve() in images:
            raise UserError(f"{target.out}: is the image itself. Choose another --out.")
        other = first.setdefault(str(target.out.resolve()).casefold(), target)
        if other is not target:
            raise UserError(
                f"{other.image} and {target.image}: both results would be {target.out}. Rename one image, or "
                "predict them separately with different --out."
            )
    return targets
