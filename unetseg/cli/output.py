"""What every command prints: lines while it works, its result, and on request a summary as JSON."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
import psutil

from unetseg import __version__
from unetseg.allocator import peak_resident
from unetseg.files import json_text

QUIET, VERBOSE, JSON = "unetseg.quiet", "unetseg.verbose", "unetseg.json"
"""Keys of click's context, which the options of `Command` set."""
NAMED = ("torch", "numpy", "scikit-image", "zarr", "openvino", "onnxruntime")


def say(line: str) -> None:
    """Print a line about the work; none with --quiet, and with --json on stderr."""
    if not is_set(QUIET):
        click.echo(line, err=is_set(JSON))


def show(text: str) -> None:
    """Print a result, which --quiet keeps; with --json the summary stands for it."""
    if not is_set(JSON):
        click.echo(text)


def is_set(option: str) -> bool:
    """Whether the command that runs was given this option."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(option))


def _flag(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def remember(context: click.Context, option: click.Parameter, given: bool) -> None:
        context.meta[key] = given

    return remember


def _option(key: str, *names: str, text: str) -> click.Option:
    return click.Option(list(names), is_flag=True, expose_value=False, callback=_flag(key), help=text)


class Command(click.Command):
    """A command with --quiet and --verbose and, with `summary`, --json.

    summary: the command returns a mapping, which --json prints, or None. With --verbose, an error is
    printed with its traceback.
    """

    def __init__(self, *arguments: Any, summary: bool = False, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.params += [
            _option(QUIET, "-q", "--quiet", text="Print results and errors only."),
            _option(VERBOSE, "-v", "--verbose", text="Also print versions, time, memory and tracebacks."),
        ]
        if summary:
            text = "Print a summary as JSON; everything else goes to stderr."
            self.params.append(_option(JSON, "--json", text=text))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it returns is its summary."""
        started = time.perf_counter()
        if is_set(VERBOSE):
            click.echo(_versions(), err=True)
        try:
            found = super().invoke(ctx)
        except Exception:
            if is_set(VERBOSE):
                traceback.print_exc()
            raise
        if is_set(JSON) and found is not None:
            click.echo(json_text(found))
        if is_set(VERBOSE):
            click.echo(f"{time.perf_counter() - started:.1f} s, at most {_memory()} of memory", err=True)
        return found


def _versions() -> str:
    parts = [f"unetseg {__version__}", f"Python {platform.python_version()}", platform.platform()]
    for name in NAMED:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def _memory() -> str:
    from unetseg.images.limits import in_words

    return in_words(peak_resident(psutil.Process().memory_info().rss))
