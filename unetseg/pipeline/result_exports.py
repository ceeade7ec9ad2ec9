"""What `predict` makes of its labels beside them: outlines for other programs, and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unetseg.files import plain_stem
from unetseg.images.marks import read_mark
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.exporting import export_labels, outlines_mark, outlines_path
from unetseg.pipeline.measuring import Measured, measure_pages, measure_volume
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.result_names import FILES, Target
from unetseg.pipeline.result_source import open_source
from unetseg.pipeline.uncertain_objects import uncertain_objects

MEASUREMENTS, UNCERTAINTIES = "measurements.csv", "uncertainty.csv"
"""Names of the tables."""


def write_outlines(labels: Path, kind: str) -> None:
    """The outlines of a complete result, unless those that are there were made of the same result.

    kind: one of `exports.FORMATS`.
    """
    out = outlines_path(labels, kind)
    if not out.exists() or read_mark(out) != outlines_mark(labels):
        export_labels(labels, out, kind)


def result_tables(target: Target, options: PredictOptions, *, volumes: bool) -> dict[str, list[Measured]]:
    """The objects of a complete result, page by page, for each table that is wanted, by its name."""
    tables: dict[str, list[Measured]] = {}
    if options.uncertain_objects:
        tables[UNCERTAINTIES] = uncertain_objects(target.out, volumes=volumes)
    if options.measure:
        more = [one.columns for one in tables.get(UNCERTAINTIES, [])]
        found = _measured(target, options, volumes=volumes)
        pairs = zip(found, more or [{}] * len(found), strict=True)
        tables[MEASUREMENTS] = [replace(one, columns=one.columns | extra) for one, extra in pairs]
    return tables


def table_paths(out: Path, options: PredictOptions) -> dict[str, Path]:
    """Where the tables of a prediction into `out`, a folder or a single result, go, by their names."""
    asked = {MEASUREMENTS: options.measure, UNCERTAINTIES: options.uncertain_objects}
    return {name: _table_path(out, name) for name, wanted in asked.items() if wanted}


def _measured(target: Target, options: PredictOptions, *, volumes: bool) -> list[Measured]:
    """The objects of a complete result with the grey values of its image."""
    if volumes:
        return [measure_volume(target.out, target.image)]
    return list(measure_pages(target.out, open_source(target, options)))


def _table_path(out: Path, name: str) -> Path:
    """The table of that name.

    >>> _table_path(Path("predictions"), "measurements.csv").as_posix()
    'predictions/measurements.csv'
    >>> _table_path(Path("a.ome.zarr"), "uncertainty.csv").name
    'a_uncertainty.csv'
    """
    if out.name.lower().endswith(FILES) or is_zarr(out):
        return out.with_name(f"{plain_stem(out).removesuffix('_labels')}_{name}")
    return out / name
