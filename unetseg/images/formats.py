"""Which files are images that can be read, and what to do with those that are not."""

from __future__ import annotations

from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import check_name

TIFF_ENDINGS = (".tif", ".tiff")
ENDINGS = (*TIFF_ENDINGS, ".png")
LOSSY_ENDINGS = (".jpg", ".jpeg")
"""Read for prediction alone: compression changes grey values, and the values of labels."""
VOLUME_ENDINGS = (".nii", ".nii.gz")
PICTURE_ENDINGS = (*LOSSY_ENDINGS, ".jp2", ".bmp", ".gif", ".webp")
MICROSCOPE_ENDINGS = (".czi", ".lif", ".lsm", ".nd2", ".oib", ".oif", ".vsi", ".svs", ".ims", ".stk", ".dv")
"""Read with the extra `formats`, see `microscopes`."""
SCANNER_ENDINGS = (".dcm", ".nrrd", ".mha", ".npy", ".h5")
FOREIGN_ENDINGS = (*PICTURE_ENDINGS, *SCANNER_ENDINGS)
"""Images of other formats: an error in a folder of images, so that none is skipped silently."""


def check_readable(path: Path, *, lossy: bool = False) -> None:
    """Raise UserError unless the path is a TIFF, PNG or microscope's file, or with `lossy` a JPEG file."""
    check_name(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; an image file is expected.")
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    if is_volume_file(path):
        raise UserError(
            f"{path}: is a volume; images are expected. Save its slices as a TIFF stack; "
            "volumes need a network with dims = 3."
        )
    if is_cellpose(path):
        raise UserError(
            f"{path}: labels of Cellpose, which are read where labels are (show, data, train, score). "
            "Elsewhere, use File > Save masks as PNG/tif in Cellpose, which writes NAME_cp_masks."
        )
    if path.suffix.lower() not in (*ENDINGS, *MICROSCOPE_ENDINGS, *(LOSSY_ENDINGS if lossy else ())):
        raise UserError(f"{path}: cannot read {path.suffix or 'such'} files. {_convert(path.suffix.lower())}")


def image_files(folder: Path, *, lossy: bool = False) -> list[Path]:
    """The image files of a folder, sorted by name; with `lossy` JPEG files, too.

    Hidden files, sub-folders, files that are not images and Cellpose's labels are skipped. Images in a
    format that cannot be read are an error, so that none is skipped silently.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder.")
    there = (p for p in folder.iterdir() if p.is_file() and p.name[0] != "." and not is_cellpose(p))
    files = sorted(there, key=lambda p: p.name)
    for path in files:
        check_name(path)
        ending = next((e for e in reversed(FOREIGN_ENDINGS) if path.name.lower().endswith(e)), None)
        if ending is not None and not (lossy and is_lossy(path)):
            raise UserError(
                f"{path}: {ending} images cannot be read. {_convert(ending)} Or move the file away."
            )
    readable = (*ENDINGS, *MICROSCOPE_ENDINGS)
    return [p for p in files if p.suffix.lower() in readable or is_volume_file(p) or is_lossy(p)]


def is_cellpose(path: Path) -> bool:
    """Whether a file's name is that of Cellpose's labels: NAME_seg.npy."""
    return path.name.lower().endswith("_seg.npy")


def is_tiff(path: Path) -> bool:
    """Whether the file's name is that of a TIFF."""
    return path.suffix.lower() in TIFF_ENDINGS


def is_microscope(path: Path) -> bool:
    """Whether the file's name is that of a microscope's format."""
    return path.suffix.lower() in MICROSCOPE_ENDINGS


def is_lossy(path: Path) -> bool:
    """Whether the file's name is that of a JPEG."""
    return path.suffix.lower() in LOSSY_ENDINGS


def is_volume_file(path: Path) -> bool:
    """Whether the file's format only holds volumes (NIfTI)."""
    return path.name.lower().endswith(VOLUME_ENDINGS)


def _convert(ending: str) -> str:
    allowed = f"Allowed: {', '.join(ENDINGS)}."
    if ending not in FOREIGN_ENDINGS:
        return allowed
    lossy = " (JPEG is lossy: use the original if you have it)" if ending in LOSSY_ENDINGS else ""
    return f"Convert them to TIFF, in Fiji with Process > Batch > Convert{lossy}. {allowed}"
