"""The commands that turn labels into numbers and outlines: measure, export-labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.label_options import OUTLINES
from unetseg.cli.output import say, show
from unetseg.cli.terminal import Progress, counted

if TYPE_CHECKING:
    from unetseg.pipeline.measuring import Summary

SHOWN = 12
UNITS = {"area_um2": "µm²", "volume_um3": "µm³", "area_px": "px", "volume_px": "voxels"}


@cli.command(summary=True)
@click.argument("labels", type=PATH)
@click.argument("image", type=PATH, required=False)
@click.option("--out", type=PATH, default=Path("measurements.csv"), show_default=True,
              help="Table to write: .csv, or .parquet if pyarrow is installed.")  # fmt: skip
@click.option("--volumes", is_flag=True, help="TIFF pages are the slices of one volume (NIfTI files always).")
def measure(labels: Path, image: Path | None, out: Path, volumes: bool) -> dict[str, Any]:
    """Measure every object: position, size, shape, grey values.

    LABELS is a label image, a folder of them (such as RUN/predictions) or a result in OME-Zarr. With
    IMAGE, the image or the folder of images, grey values are measured too. Columns end in their unit:
    _px, _um, _um2; those in µm need a pixel size in the label file or the image.

    \b
    Example:
      unetseg measure runs/cells/predictions images --out cells.csv
    """  # noqa: D301
    from unetseg.pipeline.measuring import check_table_name, measure_files, summarise, write_measurements

    check_table_name(out)
    tables = []
    with Progress(None, "pages") as bar:
        for table in measure_files(labels, image, volumes=volumes):
            tables.append(table)
            bar.add(1)
    write_measurements(out, tables)
    summary = summarise(tables)
    show(summary_text(summary))
    say(f"table: {out}")
    return {**asdict(summary), "table": out}


@cli.command("export-labels", summary=True)
@click.argument("labels", type=PATH)
@click.option(
    "--to",
    "kind",
    type=click.Choice(OUTLINES),
    default="imagej",
    show_default=True,
    help="ImageJ ROI set, GeoJSON for QuPath, or COCO JSON.",
)
@click.option("--out", type=PATH, help="File, or folder for a folder of labels (default: beside LABELS).")
def export_labels(labels: Path, kind: str, out: Path | None) -> dict[str, Any]:
    """Write outlines for ImageJ, QuPath or COCO.

    LABELS is a label image or a folder of them. Outlines follow the edges of pixels and are not smoothed.
    Pages and time points are kept.

    \b
    Example:
      unetseg export-labels runs/cells/predictions --to geojson
    """  # noqa: D301
    from unetseg.pipeline.exporting import export_labels as export
    from unetseg.pipeline.exporting import export_targets

    written = []
    for path, target in export_targets(labels, out, kind):
        count = export(path, target, kind)
        say(f"{target}: {counted(count, 'object')}")
        written.append({"file": target, "objects": count})
    return {"written": written}


def summary_text(summary: Summary) -> str:
    """Number of objects, their median size and the number per frame, in a few lines."""
    size = "" if summary.objects == 0 else f", median size {summary.median:.4g} {UNITS[summary.unit]}"
    text = counted(summary.objects, "object") + size
    if len(summary.counts) < 2:
        return text
    shown = ", ".join(map(str, summary.counts[:SHOWN])) + (", …" if len(summary.counts) > SHOWN else "")
    return f"{text}\nobjects per frame: {shown}"
