"""The commands that train: demo, show, train, reproduce."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetseg.cli.challenge_runs import score_test_sequences, submit
from unetseg.cli.data_options import data_options, data_overrides
from unetseg.cli.group import PATH, cli
from unetseg.cli.output import say
from unetseg.cli.training_view import show_derived, show_training
from unetseg.errors import UserError
from unetseg.reproduce.published import BUDGETS, PUBLISHED

if TYPE_CHECKING:
    from unetseg.pipeline.auto import Resolved
    from unetseg.settings import TrainSettings


@cli.command(summary=True)
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder to write to.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=None,
    help="Training steps (default: 300, fewer on a slow machine).",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def demo(out: Path, steps: int | None, device: str) -> dict[str, Any] | None:
    """Train on a synthetic film of cells and score it."""
    from unetseg.reproduce.demo import demo_experiment, write_film
    from unetseg.run import Run

    experiment = demo_experiment(steps, device)
    if (out / "run").is_dir():
        raise UserError(f"{out}: already holds a demo. Choose another folder with --out, or remove it.")
    write_film(out)
    say(f"film: {out / 'images'} and {out / 'labels'}")
    run = Run.create(out / "run", experiment)
    summary = show_training(run, resume=False)
    say(f"look at {run.pictures}; predict with: unetseg predict {run.path} {out / 'images'}")
    return summary


@cli.command()
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, default=Path("show.png"), show_default=True, help="PNG to write.")
@data_options
def show(data: Path, out: Path, **given: Any) -> None:
    """Draw your data as the network will see it.

    DATA is a data folder or an EXPERIMENT.toml.
    """
    from unetseg.pipeline.auto import derive_experiment, derive_settings, with_data
    from unetseg.pipeline.preview import write_show

    overrides = data_overrides(**given)
    if data.suffix == ".toml":
        from unetseg.config import read_with_keys

        read, keys = read_with_keys(data)
        resolved = derive_settings(with_data(read, overrides), keys)  # whatever its folds
    else:
        resolved = derive_experiment(data, overrides=overrides)
    show_derived(resolved)
    for note in write_show(resolved.experiment, out):
        say(note)
    say(f"wrote {out}")


@cli.command(summary=True)
@click.argument("experiment", type=PATH, required=False)
@click.option("--data", type=PATH, help="Folder of images and labels, instead of an experiment file.")
@click.option("--run", "run_path", type=PATH, help="Run folder to create (default: runs/NAME).")
@click.option("--resume", type=PATH, metavar="RUN", help="Continue a run that was interrupted.")
@click.option("--from", "start_from", metavar="MODEL", help="Start from a run, a model file or a name.")
@data_options
@click.option("--fold", help="One of the experiment's named splits.")
@click.option("--root", help="The data set's folder, instead of data.root.")
@click.option("--steps", type=click.IntRange(1), help="Training steps, instead of train.steps.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Time budget: train as many steps as fit (at most --steps).",
)
@click.option("--seed", type=click.IntRange(0), help="Seed, instead of the experiment's.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
def train(
    experiment: Path | None,
    data: Path | None,
    run_path: Path | None,
    resume: Path | None,
    start_from: str | None,
    fold: str | None,
    root: str | None,
    steps: int | None,
    minutes: float | None,
    seed: int | None,
    device: str | None,
    **data_given: Any,
) -> dict[str, Any] | None:
    """Train a network into a run folder.

    From an EXPERIMENT.toml, or from the data folder given with --data.

    Ctrl-C saves the state and prints the command that resumes. At the end, the best weights are scored on
    the test part.

    Several GPUs: torchrun --nproc-per-node N -m -- unetseg train …
    """
    from unetseg.distributed import process_group
    from unetseg.pipeline.auto import Resolved, derive_experiment, resolve_file
    from unetseg.run import Run

    if sum(x is not None for x in (experiment, data, resume)) != 1:
        raise UserError("give one of: an EXPERIMENT.toml, --data FOLDER, or --resume RUN.")
    overrides = data_overrides(**data_given)
    if resume is not None:
        given = (run_path, start_from, fold, root, steps, minutes, seed, device)
        if overrides or any(x is not None for x in given):
            raise UserError("--resume continues a run as it was started; it takes no other option.")
        run = Run.open(resume)
        with process_group(run.experiment.device):
            return show_training(run, resume=True)
    if fold is not None and experiment is None:
        raise UserError("--fold goes with an EXPERIMENT.toml that has folds.")
    resolved = (
        resolve_file(experiment, fold=fold, root=root, start_from=start_from, overrides=overrides)
        if experiment is not None
        else derive_experiment(
            Path(root) if root else data or Path(),
            start_from=start_from or "",
            overrides=overrides,
        )
    )
    settings = resolved.experiment
    changed = replace(
        settings,
        seed=settings.seed if seed is None else seed,
        device=device or settings.device,
        train=_with_length(settings.train, steps, minutes),
    )
    overruled = "train.steps = " if steps or minutes else ()
    derived = tuple(line for line in resolved.derived if not line.startswith(overruled))
    return _start(Resolved(changed, derived), run_path or _run_folder(changed.name))


def _start(resolved: Resolved, folder: Path) -> dict[str, Any] | None:
    """Create the run and train; of several processes the first creates it, and prints what was derived."""
    from unetseg.distributed import process_group, rank, wait_for_all
    from unetseg.run import Run

    with process_group(resolved.experiment.device):
        if rank() == 0:
            Run.create(folder, resolved.experiment)
            show_derived(resolved)
        wait_for_all()
        return show_training(Run.open(folder), resume=False)


@cli.command()
@click.argument("task", type=click.Choice(list(PUBLISHED)))
@click.option("--nets", multiple=True, help="Networks, instead of the experiment's (repeatable).")
@click.option("--folds", multiple=True, help="Folds, instead of all (repeatable).")
@click.option("--budget", type=click.Choice(list(BUDGETS)), default="cpu", show_default=True,
              help="; ".join(f"{budget}: {words}" for budget, words in BUDGETS.items()) + ".")  # fmt: skip
@click.option("--root", help="The data set's folder, instead of the experiment's.")
@click.option("--download", is_flag=True, help="Download the data set first, if it is not there.")
@click.option("--submission", type=PATH, metavar="TEST_DATA",
              help="Train on all sequences and predict the test sequences in this folder.")  # fmt: skip
@click.option("--out", type=PATH, default=Path("runs"), show_default=True, help="Folder for the runs.")
def reproduce(
    task: str,
    nets: tuple[str, ...],
    folds: tuple[str, ...],
    budget: str,
    root: str | None,
    download: bool,
    submission: Path | None,
    out: Path,
) -> None:
    """Train and score a published benchmark TASK on every fold.

    Writes the scores of all finished runs beside the published ones. Finished runs are not repeated;
    an interrupted run is resumed.
    """
    from unetseg.report import write_report
    from unetseg.reproduce.benchmark import benchmark, check_data, open_or_create, write_results
    from unetseg.reproduce.submission import submission_run
    from unetseg.run import Run

    if download:
        root = _downloaded(task, budget, root)
    if submission is not None:
        submit(task, submission_run(task, budget, out, root), submission)
        return
    entries = benchmark(task, budget, nets, folds, out, root)
    check_data(task, entries)
    for entry in entries:
        if not entry.scores:
            say(f"{entry.net}, fold {entry.fold}: {entry.path}")
            run, resume = open_or_create(entry)
            show_training(run, resume=resume)
        score_test_sequences(entry)
    folder = entries[0].path.parent
    known = {e.path: e for e in [*benchmark(task, budget, (), (), out, root), *entries]}
    finished = [e for e in known.values() if e.scores]
    say(write_results(task, finished, folder))
    done = [Run.open(e.path) for e in finished]
    page = write_report(done, folder / "report.html")
    say(f"wrote {folder / 'results.md'}, results.json and {page.name}; each run has its own report too")


def _with_length(train: TrainSettings, steps: int | None, minutes: float | None) -> TrainSettings:
    """The settings with the steps and time budget of the command line; a budget alone decides the steps."""
    from unetseg.pipeline.time_budget import MOST_STEPS

    if minutes is not None:
        return replace(train, steps=steps or MOST_STEPS, minutes=minutes)
    return replace(train, steps=steps, minutes=0.0) if steps else train


def _downloaded(task: str, budget: str, root: str | None) -> str:
    """Download the benchmark's data set; returns its folder."""
    from unetseg.catalogue import read_catalogue
    from unetseg.cli.downloads import fetch_dataset
    from unetseg.config import read_experiment
    from unetseg.reproduce.benchmark import experiment_file

    if root is not None:
        raise UserError("--download chooses the folder itself: leave --root out.")
    inside = Path(read_experiment(experiment_file(task, budget)).data.root)
    item = next(item for item in read_catalogue() if item.folder == inside.parts[0])
    return str(fetch_dataset(item).parent / inside)


def _run_folder(name: str) -> Path:
    """runs/NAME; refuses a name that is a path."""
    if name in ("", ".", "..") or set(name) & set("/\\"):
        raise UserError(
            f"name = {name!r}: it names the run folder, so it cannot be a path. Change it, or give --run."
        )
    return Path("runs") / name
