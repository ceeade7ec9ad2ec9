"""What a TIFF's axes, pixel size and offsets mean, for whole files and for regions of them."""

from __future__ import annotations

from pathlib import Path

import tifffile

from unetseg.errors import UserError

MICRON = ("micron", "microns", "micrometer", "micrometers", "um", "µm", "μm", "\\u00B5m")
UNIT_UM = dict.fromkeys(MICRON, 1.0) | {"nm": 1e-3, "mm": 1e3, "cm": 1e4}


def check_not_cut_off(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a file whose end is missing: some decoders fill up silently."""
    pages = [page for page in series.pages if page is not None]
    ends = (o + n for p in pages for o, n in zip(p.dataoffsets, p.databytecounts, strict=False))
    size = path.stat().st_size
    if max(ends, default=0) > size or not all(page.dataoffsets for page in pages):
        raise UserError(f"{path}: the file is cut off: it ends after {size} bytes. Copy or save it again.")


def channel_axis(path: Path, axes: str) -> int:
    """The place of the channels (S or C) in TIFF axes, -1 where there are none."""
    if "Y" not in axes or "X" not in axes:
        raise UserError(f"{path}: its axes are {axes}; an image needs Y and X.")
    if axes.count("S") and axes.count("C"):
        raise UserError(f"{path}: RGB and separate channels together ({axes}) cannot be read.")
    return axes.find("S") if "S" in axes else axes.find("C")


def without_alpha(samples: int) -> int:
    """The number of samples of a colour pixel that are colours: alpha is dropped."""
    return {4: 3, 2: 1}.get(samples, samples)


def tiff_spacing(tiff: tifffile.TiffFile, image: int = 0) -> tuple[float, float] | None:
    """(y, x) in µm of an image of the file, from OME or ImageJ metadata or resolution tags in cm."""
    if tiff.is_ome and tiff.ome_metadata:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        first = (pixels[image] if isinstance(pixels, list) else pixels)["Pixels"]
        scale = [UNIT_UM.get(first.get(f"PhysicalSize{a}Unit", "µm")) for a in "YX"]
        sizes = [first.get(f"PhysicalSize{a}") for a in "YX"]
        if all(sizes) and all(scale):
            return float(sizes[0]) * float(scale[0] or 0), float(sizes[1]) * float(scale[1] or 0)
        return None
    tags = tiff.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    unit = _resolution_unit(tiff)
    per_unit = [tags[f"{a}Resolution"].value for a in "YX"]
    if unit is None or any(n == 0 or d == 0 for n, d in per_unit):
        return None
    return unit * per_unit[0][1] / per_unit[0][0], unit * per_unit[1][1] / per_unit[1][0]


def slice_distance_um(tiff: tifffile.TiffFile) -> float | None:
    """The distance of the slices in µm, from OME or ImageJ metadata; None where it is not said."""
    if tiff.is_ome and tiff.ome_metadata:
        images = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
        size, unit = pixels.get("PhysicalSizeZ"), UNIT_UM.get(pixels.get("PhysicalSizeZUnit", "µm"))
    else:
        said = tiff.imagej_metadata or {}
        size, unit = said.get("spacing"), UNIT_UM.get(str(said.get("unit")))
    return float(size) * unit if size and unit else None


def _resolution_unit(tiff: tifffile.TiffFile) -> float | None:
    """µm per resolution unit; inches are a printer's default and say nothing of the specimen."""
    if tiff.is_imagej and tiff.imagej_metadata and "unit" in tiff.imagej_metadata:
        return UNIT_UM.get(str(tiff.imagej_metadata["unit"]))
    tag = tiff.pages.first.tags.get("ResolutionUnit")
    return UNIT_UM["cm"] if tag is not None and tag.value == 3 else None
