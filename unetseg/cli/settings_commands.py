"""The command that documents experiment files: settings."""

from __future__ import annotations

from pathlib import Path

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.output import say


@cli.command()
@click.option("--schema", is_flag=True, help="The JSON schema by which editors complete and check keys.")
@click.option("--out", type=PATH, help="File to write, instead of printing.")
def settings(schema: bool, out: Path | None) -> None:
    """List every key of an experiment file.

    With its meaning, allowed values and default, as Markdown.
    """
    from unetseg.files import replacing
    from unetseg.reproduce.settings_page import schema_text, settings_page

    text = schema_text() if schema else settings_page()
    if out is None:
        click.echo(text, nl=False)
        return
    with replacing(out) as file:
        file.write_text(text, encoding="utf-8")
    say(f"wrote {out}")
