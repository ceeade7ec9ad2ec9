"""Which files of a lab's folder are images and which are their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unetseg.errors import UserError, some_of
from unetseg.files import plain_stem
from unetseg.images.formats import image_files
from unetseg.tasks.label_formats import files_for_labels, object_files
from unetseg.tasks.label_formats.coco import coco_names, lists_image
from unetseg.tasks.pairing import bare_name, labels_beside_images, pair_names

IMAGE_FOLDERS = ("images", "imagesTr")
LABEL_FOLDERS = ("labels", "masks", "labelsTr")
ANNOTATIONS = "annotations"
"""Where programs put COCO files, beside images/."""
COLLISION = "Keep one, or rename the other with its partner."


def paired_files(root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files, paired by name, in order; UserError for a file without a partner.

    A COCO file is the partner of every image that it lists.
    """
    images, labels = find_files(root)
    coco = {path for path in labels if path.suffix.lower() == ".json"}
    listed = {image: path for path in sorted(coco) for image in images if lists_image(path, image)}
    others = [path for path in labels if path not in {*listed.values()}]
    pairs = paired_by_name([image for image in images if image not in listed], others)
    return sorted([*listed.items(), *pairs], key=lambda pair: (plain_stem(pair[0]), pair[0]))


def paired_by_name(images: Sequence[Path], others: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The files of two folders, paired by name, in order; UserError for a file without a partner."""
    found = pair_names(images, others, COLLISION)
    lone = sorted([*found.lone_first, *found.lone_second], key=plain_stem)
    if lone:
        raise _lone(lone, images, others)
    return list(found.pairs)


def find_files(root: Path) -> tuple[list[Path], list[Path]]:
    """(images, labels): those of images/ and labels/, or of one folder that holds both.

    COCO files may also lie in `root` or its annotations/. Raises UserError, which says what is missing, if
    either has no files.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder. Give the folder that holds images/ and labels/.")
    image_folder, label_folder = image_folder_of(root), label_folder_of(root)
    if image_folder and label_folder:
        images, labels = image_files(image_folder), files_for_labels(label_folder)
    elif label_folder:
        raise UserError(
            f"{root}: no images/ beside {label_folder.name}/. Put the images into {root / 'images'}, "
            "with the names of their label images."
        )
    else:
        images, labels = _labels_beside(image_folder or root)
        labels = labels or [path for path in _coco_files(root) if _belongs(path, images)]
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
    """Whether `root` holds images with their labels: dish.tif and dish_mask.tif, dish_rois.zip or COCO."""
    images, labels = _labels_beside(root)
    return bool(labels) or any(_belongs(path, images) for path in _coco_files(root))


def _labels_beside(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images, labels) of one folder that holds both."""
    images, labels = labels_beside_images(image_files(folder))
    return images, [*labels, *(path for path in object_files(folder) if _belongs(path, images))]


def _belongs(path: Path, images: Sequence[Path]) -> bool:
    """Whether a file of objects belongs to one of the images: by its name, or COCO by its list."""
    if path.suffix.lower() == ".json":
        return any(lists_image(path, image) for image in images)
    return bare_name(path) in {bare_name(image) for image in images}


def _coco_files(root: Path) -> list[Path]:
    folders = [folder for folder in (root, root / ANNOTATIONS) if folder.is_dir()]
    return [path for folder in folders for path in object_files(folder) if path.suffix.lower() == ".json"]


def _lone(lone: Sequence[Path], images: Sequence[Path], labels: Sequence[Path]) -> UserError:
    """The error about files without a partner."""
    first, more = lone[0], f" {len(lone) - 1} more files have none either." if len(lone) > 1 else ""
    if first.suffix.lower() == ".json":
        few = some_of(coco_names(first), 3)
        return UserError(
            f"{first}: lists none of the images, but {few}. Rename the images as they are listed."
        )
    others = labels if first in images else images
    where = f"{others[0].parent.name}/" if others else "the label files"
    return UserError(
        f"{first}: it has no partner of the same name in {where}. Add it, or move the file away.{more}"
    )


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
            "images, with _mask or _labels at the end of the name. ImageJ ROI sets (dish_rois.zip), GeoJSON, "
            "COCO JSON and Cellpose's dish_seg.npy are read, too."
        )
