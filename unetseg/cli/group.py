"""The command group, and the types of its options."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from unetseg import __version__
from unetseg.allocator import WITH_TORCH, WITHOUT_TORCH, check_address_space, keep_freed_memory
from unetseg.cli.output import Command
from unetseg.files import check_name

LIGHT = {"data", "export-labels", "measure", "models", "score", "track"}
"""Commands that do not load PyTorch, so that they run in a third of the memory."""
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class PathType(click.Path):
    """A path that can be written as text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; UserError for a name that is not valid text."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        check_name(path.absolute())
        return path


PATH = PathType()


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


class Region(click.ParamType[tuple[str, tuple[int, ...]]]):
    """A named rectangle of an image: NAME=Y0:Y1,X0:X1."""

    name = "name=y0:y1,x0:x1"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Name and (y0, y1, x0, x1) of "layer=10:40,0:200"."""
        found = re.fullmatch(r"([^=]+)=(\d+):(\d+),(\d+):(\d+)", str(value))
        if found is None:
            self.fail(f"{value!r}: give a rectangle in pixels such as layer=10:40,0:200.", param, ctx)
        return found[1], tuple(map(int, found.groups()[1:]))


class Group(click.Group):
    """The command group; its commands have the options of `Command`."""

    command_class = Command


class SectionOption(click.Option):
    """An option that `--help` shows in a section."""

    def __init__(self, *names: Any, section: str = "Options", **given: Any) -> None:
        super().__init__(*names, **given)
        self.section = section


class SectionCommand(Command):
    """A command whose options are shown in sections, in the order in which they are declared.

    common: options that `--help` explains in a sentence; the others are only listed there. `--help-all`
    explains everything. Without `common` all are explained.
    """

    def __init__(self, *arguments: Any, common: Collection[str] = (), **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.common = common

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, `--help-all` where it shows more than `--help`, and `--help`."""
        *own, last = super().get_params(ctx)
        return [*own, *([HELP_ALL] if self.common else []), last]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each section under its heading; options without a section come last."""
        options = [o for o in self.get_params(ctx) if isinstance(o, click.Option)]
        sections: dict[str, list[click.Option]] = {}
        for option in sorted(options, key=lambda o: not isinstance(o, SectionOption)):
            sections.setdefault(getattr(option, "section", "Other"), []).append(option)
        for name, members in sections.items():
            with formatter.section(name):
                self._format_section(ctx, formatter, members)

    def _format_section(
        self, ctx: click.Context, formatter: click.HelpFormatter, members: list[click.Option]
    ) -> None:
        brief = self.common and HELP_ALL.name not in ctx.meta
        always = {*self.common, "--help", HELP_ALL.opts[0]}
        shown = [o for o in members if not brief or always & set(o.opts)]
        records = [record for option in shown if (record := option.get_help_record(ctx))]
        if brief:
            records = [(names, _first_sentence(text)) for names, text in records]
        if records:
            formatter.write_dl(records)
        if names := ", ".join(_long(option) for option in members if option not in shown):
            text, indent = f"also {names}" if records else names, " " * formatter.current_indent
            width = formatter.width - formatter.current_indent
            for line in wrap(text, width, break_on_hyphens=False):
                formatter.write(f"{indent}{line}\n")


def _long(option: click.Option) -> str:
    """The option's first name of more than a letter."""
    return next(name for name in option.opts if name.startswith("--"))


def _first_sentence(text: str) -> str:
    """The first sentence of an option's help, and its default.

    >>> _first_sentence("Write labels. They are 16-bit.  [default: auto; x>=0]")
    'Write labels.  [default: auto]'
    """
    words, _, extra = text.partition("  [")
    default = re.match(r"default: [^;\]]+", extra)
    return words.split(". ")[0].removesuffix(".") + "." + (f"  [{default[0]}]" if default else "")


def _help_all(context: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        context.meta[option.name] = True
        click.echo(context.get_help())
        context.exit()


HELP_ALL = click.Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_help_all,
    help="Explain every option.",
)


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """U-Net segmentation for microscopy: train, predict by exact tiles, label, score.

    \b
    Start here:
      unetseg demo                       train on synthetic cells, no data needed (a minute or two)
      unetseg train --data FOLDER        your images/ and labels/ (or masks/)
      unetseg predict RUN IMAGE…         labels for new images
    """  # noqa: D301 (click reads the character, not the two letters, as "leave these lines alone")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and context.invoked_subcommand != "train":
        raise click.UsageError("torchrun started several processes, but only `train` runs in several.")
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    check_address_space(WITHOUT_TORCH if context.invoked_subcommand in LIGHT else WITH_TORCH)
    keep_freed_memory()
