"""The command line: the only print and the only exit code. Heavy imports wait for their command."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.terminal import Progress, show_training, table_text

if TYPE_CHECKING:
    from unetseg.pipeline.model import Model
    from unetseg.settings import Experiment

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
PATH = click.Path(path_type=Path)


class Bytes(click.ParamType[int]):
    """An amount of memory: 500M, 2G."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes of "2G", "1.5G", "800M"."""
        if isinstance(value, int):
            return value
        text = str(value).upper().removesuffix("B").removesuffix("I")
        try:
            return int(float(text[:-1]) * UNITS[text[-1:]])
        except (KeyError, ValueError):
            self.fail(f"{value!r}: give an amount such as 800M or 2G.", param, ctx)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """U-Net segmentation for microscopy: train, predict by exact tiles, label, score.

    \b
    Start here:
      unetseg demo                       train on made-up cells, no data needed (2 minutes)
      unetseg train --data FOLDER        your images/ and labels/ (or masks/)
      unetseg predict RUN IMAGE…         labels for new images
    """  # noqa: D301 (click reads the character, not the two letters, as "leave these lines alone")
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder to write to.")
@click.option("--steps", type=click.IntRange(1), default=None, help="Training steps (default: 300).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def demo(out: Path, steps: int | None, device: str) -> None:
    """Train on a made-up film of touching cells, score, write pictures."""
    from unetseg.pipeline.demo import demo_experiment, write_film
    from unetseg.run import Run

    experiment = demo_experiment(steps, device)
    if (out / "run").is_dir():
        raise UserError(f"{out}: holds a demo already. Choose another folder with --out, or remove it.")
    write_film(out)
    click.echo(f"film: {out / 'images'} and {out / 'labels'}")
    run = Run.create(out / "run", experiment)
    show_training(run, resume=False)
    click.echo(f"look at {run.pictures}; predict with: unetseg predict {run.path} {out / 'images'}")


@cli.command()
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, default=Path("show.png"), show_default=True, help="PNG to write.")
def show(data: Path, out: Path) -> None:
    """Picture what the net will see of your data.

    DATA is a data folder or an EXPERIMENT.toml.
    """
    from unetseg.pipeline.showing import write_show

    experiment = _experiment(data) if data.suffix == ".toml" else _derived(data)
    for note in write_show(experiment, out):
        click.echo(note)
    click.echo(f"wrote {out}")


@cli.command()
@click.argument("experiment", type=PATH, required=False)
@click.option("--data", type=PATH, help="A data folder, instead of an experiment file.")
@click.option("--run", "run_path", type=PATH, help="The run folder to make (default: runs/NAME).")
@click.option("--resume", type=PATH, metavar="RUN", help="Continue a run that was interrupted.")
@click.option("--root", help="The data set's folder, instead of data.root.")
@click.option("--steps", type=click.IntRange(1), help="Training steps, instead of train.steps.")
@click.option("--seed", type=click.IntRange(0), help="Seed, instead of the experiment's.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
def train(
    experiment: Path | None,
    data: Path | None,
    run_path: Path | None,
    resume: Path | None,
    root: str | None,
    steps: int | None,
    seed: int | None,
    device: str | None,
) -> None:
    """Train a network into a run folder.

    From an EXPERIMENT.toml, or from the data folder given with --data.

    Ctrl-C saves and says how to go on. At the end the best weights are scored on the test part.
    """
    from unetseg.run import Run

    if sum(x is not None for x in (experiment, data, resume)) != 1:
        raise UserError("give one of: an EXPERIMENT.toml, --data FOLDER, or --resume RUN.")
    if resume is not None:
        if any(x is not None for x in (run_path, root, steps, seed, device)):
            raise UserError("--resume continues a run as it was started; it takes no other option.")
        show_training(Run.open(resume), resume=True)
        return
    settings = _experiment(experiment) if experiment is not None else _derived(data or Path())
    changed = replace(
        settings,
        seed=settings.seed if seed is None else seed,
        device=device or settings.device,
        data=replace(settings.data, root=root or settings.data.root),
        train=replace(settings.train, steps=steps or settings.train.steps),
    )
    show_training(Run.create(run_path or Path("runs") / changed.name, changed), resume=False)


@cli.command()
@click.argument("run", type=PATH)
@click.argument("images", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, help="Folder to write to (default: RUN/predictions).")
@click.option("--challenge", is_flag=True, help="IMAGES are challenge sequences: write NN_RES/mask000.tif.")
@click.option("--probabilities", is_flag=True, help="Also write the class probabilities (float32).")
@click.option("--pictures", is_flag=True, help="Also write an overlay PNG of each first page.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground probability of an object.")
@click.option(
    "--seeds", type=click.FloatRange(0, 1), help="Seed probability for a watershed; 0 = components."
)
@click.option("--smallest", type=click.IntRange(0), help="Drop objects below this area in pixels.")
@click.option("--holes", type=click.IntRange(0), help="Fill holes below this area in pixels.")
@click.option("--average", type=click.Choice(["1", "4", "8"]), help="Average over flips and turns.")
@click.option(
    "--memory", type=Bytes(), default="2G", show_default=True, help="Limit that sets the tile size."
)
@click.option("--tile", type=click.IntRange(1), help="Side of the tiles in pixels, instead of --memory.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def predict(run: Path, images: tuple[Path, ...], **options: Any) -> None:
    """Label IMAGES (files or folders) with a trained RUN.

    RUN is a run folder, or a model file such as best.pt.
    """
    from unetseg.pipeline.model import Tiling
    from unetseg.pipeline.prediction import Output, find_images, predict_files, predict_sequence

    model = _model(run, options)
    out = options["out"] or (run if run.is_dir() else run.parent) / "predictions"
    output = Output(out, options["probabilities"], options["pictures"])
    tiling = Tiling(memory=options["memory"], side=options["tile"] or 0)
    if options["challenge"]:
        for folder in images:
            with Progress(None, "frames") as bar:
                done = predict_sequence(model, folder, output, tiling, bar.add)
            click.echo(f"{done.path}: {done.pages} frames, {done.objects} objects")
        return
    paths = find_images(images)
    with Progress(None, "pages") as bar:
        for done in predict_files(model, paths, output, tiling, bar.add):
            what = "classes" if model.recipe.kind == "classes" else "objects"
            bar.say(f"{done.path}: {done.pages} pages, {done.objects} {what}")


@cli.command()
@click.argument("prediction", type=PATH)
@click.argument("truth", type=PATH)
@click.option("--scores", "names", multiple=True, help="Only these scores (repeat the option).")
@click.option("--out", type=PATH, help="Also write the table as .csv or .json.")
@click.option(
    "--labels",
    type=click.Choice(["auto", "instances", "mask", "classes"]),
    default="auto",
    show_default=True,
    help="What the truth's values mean.",
)
@click.option("--not-annotated", type=int, multiple=True, help="A value of the truth that is no label.")
def score(
    prediction: Path,
    truth: Path,
    names: tuple[str, ...],
    out: Path | None,
    labels: Any,
    not_annotated: tuple[int, ...],
) -> None:
    """Score label files of a PREDICTION against the TRUTH.

    Both are files, or folders whose files pair by name; or a challenge's 01_RES and 01_GT.
    """
    from unetseg.pipeline.comparing import check_table_path, score_files, write_table
    from unetseg.settings import DataSettings

    if out is not None:
        check_table_path(out)
    settings = DataSettings(labels=labels, not_annotated=not_annotated)
    table, meaning = score_files(prediction, truth, settings, names)
    click.echo(f"truth taken as {meaning} (--labels overrides)")
    click.echo(table_text(table))
    if out is not None:
        write_table(table, out)
        click.echo(f"wrote {out}")


@cli.command()
@click.argument("folder", type=PATH, required=False)
def data(folder: Path | None) -> None:
    """List the public data sets and where to get them.

    With FOLDER: check those that lie in it.
    """
    from unetseg.catalogue import check_dataset, read_catalogue

    if folder is not None and not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Give the folder that holds the data sets' folders.")
    for dataset in read_catalogue():
        click.echo(f"{click.style(dataset.name, bold=True)}: {dataset.what}")
        if folder is None:
            click.echo(f"    get it: {dataset.download or dataset.site}\n    terms:  {dataset.licence}")
            continue
        problems = check_dataset(dataset, folder)
        whole = "there, checksums fit" if dataset.files else "there (no checksums known)"
        click.echo("    " + ("\n    ".join(problems) or f"{whole}: {folder / dataset.folder}"))


def _experiment(path: Path) -> Experiment:
    from unetseg.config import read_experiment

    return read_experiment(path)


def _derived(root: Path) -> Experiment:
    from unetseg.pipeline.defaults import derive_experiment

    return derive_experiment(root)


def _model(run: Path, options: dict[str, Any]) -> Model:
    """The run's best model (or a model file), with the label options given on the command line."""
    from unetseg.device import choose_device
    from unetseg.pipeline.model import load_model
    from unetseg.run import Run

    path = Run.open(run).best if run.is_dir() else run
    model = load_model(path, choose_device(options["device"]))
    named = ("threshold", "seeds", "smallest", "holes", "average")
    given = {n: options[n] for n in named if options[n] is not None}
    if "average" in given:
        given["average"] = int(given["average"])
    labels = replace(model.recipe.labels, **given)
    return replace(model, recipe=replace(model.recipe, labels=labels))


def main() -> None:
    """Entry point: user errors become one line and exit code 2, an interrupt 130."""
    try:
        cli(standalone_mode=False)
    except UserError as error:
        _fail(str(error))
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "unetseg"
        _fail(f"{error.format_message()} See {command} --help.")
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except MemoryError as error:
        _fail(f"not enough memory ({error}). Lower --memory or train.crop, or use smaller images.")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(2)
