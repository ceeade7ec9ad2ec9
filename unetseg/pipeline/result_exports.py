"""What `predict` makes of its labels beside them: outlines for other programs, and a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unetseg.files import plain_stem
from unetseg.images.marks import read_mark
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.exporting import export_labels, outlines_mark, outlines_path
from unetseg.pipeline.measuring import Measured, measure_pages, measure_volume
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.result_names import FILES, Target
from unetseg.pipeline.result_source import open_source

TABLE = "measurements.csv"


def write_outlines(labels: Path, kind: str) -> None:
    """The outlines of a complete result, unless those that are there were made of the same result.

    kind: one of `exports.FORMATS`.
    """
    out = outlines_path(labels, kind)
    if not out.exists() or read_mark(out) != outlines_mark(labels):
        export_labels(labels, out, kind)


def measure_result(target: Target, options: PredictOptions, *, volumes: bool) -> Iterator[Measured]:
    """The objects of a complete result, page by page, with the grey values of its image."""
    if volumes:
        yield measure_volume(target.out, target.image)
    else:
        yield from measure_pages(target.out, open_source(target, options))


def table_path(out: Path) -> Path:
    """Where the table of a prediction into `out`, a folder or a single result, goes.

    >>> table_path(Path("predictions")).as_posix(), table_path(Path("a.ome.zarr")).name
    ('predictions/measurements.csv', 'a_measurements.csv')
    """
    if out.name.lower().endswith(FILES) or is_zarr(out):
        return out.with_name(f"{plain_stem(out).removesuffix('_labels')}_{TABLE}")
    return out / TABLE
