"""The command that chooses label settings again: tune."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from unetseg.cli.group import PATH, cli
from unetseg.cli.output import say


@cli.command(summary=True)
@click.argument("run", type=PATH)
@click.argument("data", type=PATH, required=False)
@click.option("--out", type=PATH, help="Model file to write, instead of replacing the run's model.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
def tune(run: Path, data: Path | None, out: Path | None, device: str) -> dict[str, Any]:
    """Choose the label settings of a trained RUN again.

    Nothing is trained.

    Thresholds, minimum areas and growth are chosen by the score of the run's validation part, or of DATA, a
    folder of other images with labels. RUN is a run folder or, with DATA, a model file. The model as it was
    trained is kept as best-untuned.pt.

    \b
    Example:
      unetseg tune runs/cells newplate --out newplate.pt
    """  # noqa: D301
    from unetseg import api

    done = api.tune(run, data, out, device=device)
    tuned, count = done.tuned, len(done.images)
    summary = {**asdict(tuned), "select_by": done.select_by, "images": done.images, "model": done.written}
    say(f"chosen by {count} image{'s' * (count > 1)} of {done.part}: {tuned.words}")
    say(
        f"{done.select_by} on these: {tuned.before:.4f} before, {tuned.score:.4f} after "
        f"({tuned.tried} settings in {tuned.seconds:.0f} s)"
    )
    say("The settings were chosen on these images, so this score is optimistic: test on other images.")
    if done.written is None:
        say("the model's own settings are the best; nothing was changed")
        return summary
    kept = f"; the model as it was: {done.backup}" if done.backup else ""
    say(f"wrote {done.written}{kept}")
    if done.backup:
        say("The run's scores and report still describe the previous settings.")
    return summary
