"""`unetseg models`: the models that are shipped, can be downloaded, or lie in runs/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unetseg.cli.group import cli
from unetseg.cli.output import show
from unetseg.cli.terminal import columns

if TYPE_CHECKING:
    from unetseg.models import ModelCard
    from unetseg.models.cards import CardScore

SCORE_HEAD = ("images", "number", "F1", "SEG", "baseline F1", "baseline SEG")


@cli.command()
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models to predict with.

    With NAME: the model's card (training data, licence, scores, limits).
    """
    from unetseg.images.limits import in_words
    from unetseg.models import known_models, local_runs, model_card, shipped_models

    if name is not None:
        _show_card(model_card(name))
        return
    known, runs = known_models().values(), local_runs()
    _show_list("shipped with unetseg", [[c.name, c.title] for c in shipped_models().values()])
    _show_list("to download on first use", [[c.name, c.title, in_words(c.bytes), c.licence] for c in known])
    _show_list("in runs/", [[str(path)] for path in runs])
    show("`unetseg models NAME` shows a model's card; `unetseg predict NAME IMAGE…` uses it.")


def _show_list(title: str, rows: list[list[str]]) -> None:
    show(click.style(f"{title}:", bold=True))
    show(columns(rows) if rows else "none")
    show("")


def _show_card(card: ModelCard) -> None:
    from unetseg.images.limits import in_words

    rows = [
        ("input", card.input),
        ("trained on", card.trained_on),
        ("licence of the images", card.data_licence),
        ("licence of the weights", card.licence),
        ("made by", card.experiment),
        ("file", f"{in_words(card.bytes)}, SHA-256 {card.sha256}"),
        ("download", card.url or ""),
    ]
    show(click.style(f"{card.name}: {card.title}", bold=True))
    for what, value in rows:
        if value:
            show(f"{what}: {value}")
    if card.scores:
        show(f"\nscores: {card.split}")
        show(columns([list(SCORE_HEAD), *map(_score_row, card.scores)]))
        show(f"baseline: {card.baseline}")
    if card.limits:
        show("\n".join(["\nlimits:", *(f"- {limit}" for limit in card.limits)]))
    if card.citation:
        show(f"\ncite: {card.citation}")


def _score_row(score: CardScore) -> list[str]:
    values = (score.f1, score.seg, score.baseline_f1, score.baseline_seg)
    return [score.images, str(score.count), *(f"{v:.3f}" for v in values)]
