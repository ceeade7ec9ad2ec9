"""Which files of a lab's folder are images and which are their labels."""

from __future__ import annotations

from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.formats import check_no_pickle, image_files
from unetseg.tasks.pairing import labels_beside_images, pair_names

IMAGE_FOLDERS = ("images", "imagesTr")
LABEL_FOLDERS = ("labels", "masks", "labelsTr")
COLLISION = "Keep one, or rename the other with its partner."


def paired_files(root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files, paired by name, in order; UserError for a file without a partner."""
    images, labels = find_files(root)
    found = pair_names(images, labels, COLLISION)
    lone = sorted([*found.lone_first, *found.lone_second], key=plain_stem)
    if lone:
        other = labels[0].parent if lone[0] in images else images[0].parent
        more = f" {len(lone) - 1} more files have none either." if len(lone) > 1 else ""
        raise UserError(
            f"{lone[0]}: it has no partner of the same name in {other.name}/. Add it, or move the file "
            f"away.{more}"
        )
    return list(found.pairs)


def find_files(root: Path) -> tuple[list[Path], list[Path]]:
    """(images, labels): those of images/ and labels/, or of one folder that holds both.

    Raises UserError, which says what is missing, if either has no files.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the folder that holds images/ and labels/.")
    image_folder, label_folder = image_folder_of(root), label_folder_of(root)
    for folder in (root, image_folder, label_folder):
        _check_no_pickles(folder)
    if image_folder and label_folder:
        images, labels = image_files(image_folder), image_files(label_folder)
    elif label_folder:
        raise UserError(
            f"{root}: no images/ beside {label_folder.name}/. Put the images into {root / 'images'}, "
            "with the names of their label images."
        )
    else:
        images, labels = labels_beside_images(image_files(image_folder or root))
    _check_found(root, images, labels, image_folder, label_folder)
    return images, labels


def image_folder_of(root: Path) -> Path | None:
    """images/ or imagesTr/ in `root`."""
    return next((root / f for f in IMAGE_FOLDERS if (root / f).is_dir()), None)


def label_folder_of(root: Path) -> Path | None:
    """labels/, masks/ or labelsTr/ in `root`; two of them are an error."""
    there = [root / f for f in LABEL_FOLDERS if (root / f).is_dir()]
    if len(there) > 1:
        both = " and ".join(f"{folder.name}/" for folder in there)
        raise UserError(f"{root}: has both {both}. Keep the one to learn from.")
    return there[0] if there else None


def has_labels_beside_images(root: Path) -> bool:
    """Whether `root` itself holds images together with their label images (dish.tif, dish_mask.tif)."""
    _check_no_pickles(root)
    return bool(labels_beside_images(image_files(root))[1])


def _check_no_pickles(folder: Path | None) -> None:
    """Refuse Cellpose's _seg.npy files, and say what to do: loading pickled objects runs their code."""
    path = next(iter(sorted(folder.glob("*_seg.npy"))), None) if folder else None
    if path is not None:
        check_no_pickle(path)


def _check_found(
    root: Path, images: list[Path], labels: list[Path], image_folder: Path | None, label_folder: Path | None
) -> None:
    if not images:
        where = image_folder or root
        raise UserError(f"{where}: has no TIFF, PNG or NIfTI images (folders inside are not searched).")
    if not labels:
        where = label_folder or root
        count = f"{len(images)} image{'s' * (len(images) > 1)}"
        raise UserError(
            f"{where}: the labels are missing: {count}, but no label image. Put the label "
            f"images, with the names of their images, into {root / 'labels'} (or masks/); or beside the "
            "images, with _mask or _labels at the end of the name."
        )
