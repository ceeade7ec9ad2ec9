"""One self-contained HTML page about a run, or about several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.report.comparison import comparison_page
from unetseg.report.later import Later
from unetseg.report.page import run_page
from unetseg.run import Run

REPORT, LATER, COMPARISON = "report.html", "predictions.html", "comparison.html"


def write_report(runs: Sequence[Run], out: Path | None = None, *, later: Later | None = None) -> Path:
    """Write the page and return its path: RUN/report.html for one run, comparison.html for several.

    The page needs no network and no other files. What is missing (data, predictions, a model)
    is left out, and the page says so. later: for one run, label files that it predicted after its training,
    instead of its test part. Raises UserError if the same run is given twice or the
    page cannot be written.
    """
    if later is not None and len(runs) != 1:
        raise UserError(
            f"{len(runs)} runs, but --predictions and --truth belong to one. Give one run folder."
        )
    if not runs:
        raise UserError("give at least one run folder.")
    places = [run.path.resolve() for run in runs]
    for place in places:
        if places.count(place) > 1:
            raise UserError(f"{place}: given {places.count(place)} times. Give different runs to compare.")
    name = REPORT if later is None else LATER
    path = out or (runs[0].path / name if len(runs) == 1 else Path(COMPARISON))
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: a report is an HTML page; give --out a name that ends in .html.")
    page = run_page(runs[0], path, later) if len(runs) == 1 else comparison_page(runs, path)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path
