"""`unetseg export`: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unetseg.cli.downloads import fetch_model
from unetseg.cli.group import PATH, SectionCommand, SectionOption, cli
from unetseg.cli.output import say


@cli.command(cls=SectionCommand)
@click.argument("run", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--to",
    required=True,
    cls=SectionOption,
    type=click.Choice(["bioimageio", "onnx", "torchscript"]),
    help="A package for bioimage.io, or the network alone.",
)
@click.option("--overwrite", is_flag=True, cls=SectionOption, help="Replace OUT.")
@click.option("--license", "licence", cls=SectionOption, section="Packages", metavar="SPDX",
              help="Licence of the weights, such as CC-BY-4.0.")  # fmt: skip
@click.option("--author", "authors", multiple=True, cls=SectionOption, section="Packages", metavar="NAME",
              help="Who made the model (repeatable).")  # fmt: skip
@click.option("--image", type=PATH, cls=SectionOption, section="Packages", metavar="FILE",
              help="Image that the package is tested and shown with; it is published.")  # fmt: skip
@click.option("--cite", multiple=True, cls=SectionOption, section="Packages", metavar="TEXT",
              help="Work to cite beside the U-Net, with a DOI or URL (repeatable).")  # fmt: skip
@click.option("--name", cls=SectionOption, section="Packages", help="Title (default: the model's name).")
@click.option("--description", cls=SectionOption, section="Packages", help="A sentence or two.")
def export(run: Path, out: Path, **given: Any) -> None:
    """Write a model for other programs.

    RUN is a run folder, a model file or a name that `unetseg models` lists. OUT is a .zip (bioimageio),
    .onnx or .pt. ONNX and TorchScript take normalised images; a package also carries the normalisation.
    What an export cannot carry is printed, and listed in a package's documentation.
    """
    from unetseg import api
    from unetseg.images.limits import in_words
    from unetseg.models import find_model

    found = find_model(run, fetch_model)
    model = api.load_model(found.path, device="cpu")
    name = given["name"] or (run.name if run.is_dir() else run.stem)
    about = api.About(
        name, given["licence"] or "", given["authors"], given["cite"], given["description"] or ""
    )
    written = api.export(
        model, out, given["to"], about=about, image=given["image"], overwrite=given["overwrite"]
    )
    if written.tested:
        say(f"bioimageio.core's test of the package passed:\n{written.tested}")
    say(f"wrote {out} ({in_words(out.stat().st_size)})")
    if written.left_out:
        say("done by `unetseg predict`, but not by other programs:")
        say("\n".join(f"- {sentence}" for sentence in written.left_out))
