"""The page and the table of `unetseg suggest`: which images to annotate next, and why."""

from __future__ import annotations

import csv
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.pipeline.suggest import UNSURE, Suggestion, reasons
from unetseg.pipeline.suggest_run import Suggestions
from unetseg.report.render import render

PAGE, TABLE = "suggestions.html", "suggestions.csv"
COLUMNS = ("rank", "image", "uncertainty", "objects", "uncertain_objects", "novelty", "reason")
ORDERS = {
    "uncertain": "by the uncertainty alone",
    "uncertain-and-new": "by uncertainty times distance to the nearest training image or better suggestion",
}


def write_suggestions(folder: Path, found: Suggestions, model: str) -> tuple[Path, Path]:
    """Write suggestions.html, which needs no other file, and suggestions.csv; returns their paths.

    model: its name.
    """
    page, table = folder / PAGE, folder / TABLE
    why = [(suggestion, ", ".join(reasons(suggestion))) for suggestion in found.suggestions]
    title, order = "What to annotate next", ORDERS[found.order]
    text = render(
        "suggestions.html", title=title, found=found, why=why, model=model, order=order, unsure=UNSURE
    )
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *(_row(*pair) for pair in why)])
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page, table


def check_table(folder: Path) -> None:
    """Raise UserError for a table of that name that is none of suggestions; before anything is computed."""
    table = folder / TABLE
    if not table.exists():
        return
    with table.open(newline="", encoding="utf-8", errors="replace") as file:
        if next(csv.reader(file), []) != list(COLUMNS):
            raise UserError(
                f"{table}: exists and is not a table of suggestions, so it is not replaced. Choose another "
                "--out, or move it away."
            )


def _row(suggestion: Suggestion, reason: str) -> list[str]:
    look, far = suggestion.look, suggestion.novelty
    counts = [str(look.objects), str(look.uncertain)]
    numbers = [f"{look.uncertainty:.6g}", *counts, "" if far is None else f"{far:.4g}"]
    return [str(suggestion.rank), look.name, *numbers, reason]
