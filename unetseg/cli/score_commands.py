"""The commands that score, report and compare: score, report, nets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.group import PATH, Region, cli
from unetseg.cli.output import say, show
from unetseg.cli.terminal import Progress, columns, show_comparison
from unetseg.errors import UserError

if TYPE_CHECKING:
    pass


@cli.command(summary=True)
@click.argument("prediction", type=PATH)
@click.argument("truth", type=PATH)
@click.option("--scores", "names", multiple=True, help="Only these scores (repeatable).")
@click.option("--out", type=PATH, multiple=True, help="Also write the table as .csv or .json (repeatable).")
@click.option(
    "--labels",
    type=click.Choice(["auto", "instances", "mask", "classes"]),
    default="auto",
    show_default=True,
    help="What the truth's values mean.",
)
@click.option(
    "--not-annotated",
    type=int,
    multiple=True,
    help="Value in the truth that marks unannotated pixels (repeatable).",
)
@click.option("--volumes", is_flag=True, help="TIFF pages are the slices of one volume (NIfTI files always).")
@click.option(
    "--border", type=click.IntRange(0), default=0, help="Ignore objects within this many pixels of the edge."
)
@click.option(
    "--missing-as-empty",
    is_flag=True,
    help="Count images without a prediction as empty, instead of stopping.",
)
@click.option(
    "--partly-annotated", is_flag=True, help="Only some objects of the truth are annotated: count only those."
)
@click.option(
    "--worst", type=click.IntRange(0), default=5, show_default=True, help="Number of worst objects to list."
)
@click.option("--pictures", type=PATH, help="Write overlay PNGs of the worst objects' frames to a folder.")
@click.option("--images", type=PATH, help="Image file or folder to draw the pictures on (default: black).")
@click.option(
    "--noisy", type=PATH, help="Restored images: also score these noisy ones and classical filters."
)
@click.option(
    "--region",
    "regions",
    type=Region(),
    multiple=True,
    help="Restored images: a region for SNR and CNR; one is named background (repeatable).",
)
def score(prediction: Path, truth: Path, **options: Any) -> dict[str, Any]:
    """Score label files of a PREDICTION against the TRUTH.

    Give two files, or two folders whose files are paired by name. Also a challenge's 01_RES and 01_GT,
    probability maps and the labelled cells of EM sections, or restored images and clean ones.
    """
    from unetseg.evaluation.score_files import check_table_path, score_files, score_values, write_table
    from unetseg.evaluation.scoring import Scoring
    from unetseg.settings import DataSettings

    if options["images"] is not None and options["pictures"] is None:
        raise UserError("--images needs --pictures FOLDER, the folder to write the pictures to.")
    for path in options["out"]:
        check_table_path(path)
    named = {name: options[name] for name in ("labels", "not_annotated", "volumes")}
    data = DataSettings(**named)
    scoring = Scoring(
        options["names"],
        options["border"],
        options["missing_as_empty"],
        options["partly_annotated"],
        dict(options["regions"]),
        options["noisy"],
    )
    found = score_files(truth, prediction, data, scoring)
    show_comparison(found, options["worst"], options["pictures"], options["images"])
    for path in options["out"]:
        write_table(found, path)
        say(f"wrote {path}")
    return {"truth": found.meaning, "scores": score_values(found), "tables": options["out"]}


@cli.command()
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--out",
    type=PATH,
    help="HTML file (default: RUN/report.html, RUN/predictions.html, or comparison.html).",
)
@click.option("--predictions", type=PATH, help="Predicted labels to show instead of those of the test part.")
@click.option("--truth", type=PATH, help="The true labels of --predictions.")
@click.option("--images", type=PATH, help="The images of --predictions, to draw the outlines on.")
def report(
    runs: tuple[Path, ...],
    out: Path | None,
    predictions: Path | None,
    truth: Path | None,
    images: Path | None,
) -> None:
    """Write an HTML page about a RUN, or compare several.

    The page is self-contained: it needs no network and no other file. Data or predictions that no longer
    exist are left out, and the page says so.
    """
    from unetseg.report import write_report
    from unetseg.report.later import score_later
    from unetseg.run import Run

    if (predictions is None) != (truth is None) or (images is not None and truth is None):
        raise UserError("--predictions and --truth belong together, and --images to both.")
    opened = [Run.open(path) for path in runs]
    later = None if predictions is None or truth is None else score_later(predictions, truth, images)
    say(f"wrote {write_report(opened, out, later=later)}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[NET…]")
@click.option("--out", type=PATH, help="Write the table as a page in Markdown.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def nets(names: tuple[str, ...], out: Path | None, device: str) -> None:
    """Table of the networks: size, context, cost.

    Every NET, or all, as in its paper and as in the experiments for small machines. The time of a
    prediction is measured on this machine (minutes on a CPU).
    """
    from unetseg.device import choose_device
    from unetseg.files import check_writable
    from unetseg.reproduce.net_table import HEAD, net_rows, write_net_page

    if out is not None:
        check_writable(out)
    where, rows = choose_device(device), []
    with Progress(None, "network") as bar:
        for row in net_rows(names, where):
            rows.append(row)
            bar.add(1)
    if out is None:
        show(columns([list(HEAD), *(list(row.cells) for row in rows)]))
        return
    write_net_page(out, rows, where)
    say(f"wrote {out}")
