"""The command line: the only print and the only exit code. Heavy imports wait for their command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from unetseg.cli.data_commands import data
from unetseg.cli.export_commands import export
from unetseg.cli.group import cli
from unetseg.cli.measure_commands import export_labels, measure
from unetseg.cli.model_commands import models
from unetseg.cli.predict_commands import predict
from unetseg.cli.relabel_commands import relabel
from unetseg.cli.score_commands import nets, report, score
from unetseg.cli.settings_commands import settings
from unetseg.cli.suggest_commands import suggest
from unetseg.cli.track_commands import track
from unetseg.cli.train_commands import demo, reproduce, show, train
from unetseg.cli.tune_commands import tune
from unetseg.errors import UserError, first_line, ran_out_of_memory

__all__ = [
    "cli",
    "data",
    "demo",
    "export",
    "export_labels",
    "main",
    "measure",
    "models",
    "nets",
    "predict",
    "relabel",
    "report",
    "reproduce",
    "score",
    "settings",
    "show",
    "suggest",
    "track",
    "train",
    "tune",
]

SMALLER = "Lower --memory or train.crop, use smaller images, or raise the limit (ulimit -v)."


def main() -> None:
    """Entry point: user errors become one line and exit code 2, an interrupt 130."""
    try:
        cli(prog_name="unetseg", standalone_mode=False, color=_color())
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
    except Exception as error:
        if ran_out_of_memory(error):
            _fail(f"not enough memory ({first_line(error)}). {SMALLER}")
        if not isinstance(error, OSError):
            raise
        _fail(f"{error.filename}: {error.strerror}." if error.filename else str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True, color=_color())
    sys.exit(2)


def _color() -> bool | None:
    """Never with NO_COLOR (no-color.org); else on a terminal."""
    return False if os.environ.get("NO_COLOR") else None
