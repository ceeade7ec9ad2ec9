"""Scores of restored images on disk against clean ones, beside the noisy images and classical filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import score_pairs
from unetseg.evaluation.classical_filters import classical_filters
from unetseg.evaluation.restoration_methods import NOISY, Methods, mean_scores, method_scores
from unetseg.evaluation.scoring import Scoring
from unetseg.files import plain_stem
from unetseg.images.formats import image_files
from unetseg.images.marks import read_mark
from unetseg.images.whole import Stack, read_stack
from unetseg.scores import FrameTable, scores_of
from unetseg.tasks.folder_files import paired_by_name

ENDING = "_restored"
PREDICTED = "prediction"


def scores_images(predicted: Path, scoring: Scoring) -> bool:
    """Whether restored images are scored: by the scores or options, or since `predict` restored them."""
    if scoring.regions or scoring.noisy:
        return True
    if scoring.names:
        return any(name in scores_of("restoration") for name in scoring.names)
    files = image_files(predicted) if predicted.is_dir() else [predicted]
    mark = read_mark(files[0]) if files and files[0].exists() else None
    return mark is not None and mark["settings"].get("kind") == ["restoration"]


def score_restored(truth: Path, predicted: Path, scoring: Scoring) -> tuple[FrameTable, Methods]:
    """The scores of each restored image, and the means over the images by each method.

    truth: a file or folder of clean images; scoring.noisy: of the noisy ones, which are then scored too, as
    they are and by classical filters. Raises UserError for a missing partner and for sizes that differ.
    """
    pairs, rows = [], []
    for name, clean, images in _images(truth, predicted, scoring.noisy):
        found = {PREDICTED: images[0]}
        if len(images) > 1:
            found |= {NOISY: images[1]} | {n: act(images[1]) for n, act in classical_filters().items()}
        pairs.append((name, clean, images[0]))
        rows.append(method_scores(clean, found, scoring.regions))
    table = score_pairs(pairs, "restoration", 1, scoring.names)
    return table, mean_scores(rows) if scoring.noisy or scoring.regions else {}


def _images(
    truth: Path, predicted: Path, noisy: Path | None
) -> Iterator[tuple[str, NDArray[Any], list[NDArray[Any]]]]:
    """The name of each page, its clean image (c, y, x), and the restored one, perhaps with the noisy one."""
    sides = [_partners(truth, other) for other in (predicted, noisy) if other is not None]
    for files in zip(*sides, strict=True):
        clean, others = read_stack(files[0][0]), [read_stack(other) for _, other in files]
        pages, stem = len(others[0].pixels), plain_stem(clean.path)
        for other in others:
            _check_same(clean, other, pages)
        for page in range(pages):
            name = f"{stem}[{page}]" if pages > 1 else stem
            yield name, _page(clean, page), [_page(other, page) for other in others]


def _partners(truth: Path, other: Path) -> list[tuple[Path, Path]]:
    """(clean, other) files: the two given ones, or those of two folders by their names."""
    for path in (truth, other):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
    if truth.is_dir() != other.is_dir():
        raise UserError(f"{other} and {truth}: give two files or two folders.")
    if truth.is_file():
        return [(truth, other)]
    found: dict[Path, Path] = {}
    for path in image_files(other):
        first = found.setdefault(_without_ending(path), path)
        if first is not path:
            raise UserError(f"{first} and {path.name}: two files for one image. Move one away.")
    return [(clean, found[name]) for clean, name in paired_by_name(image_files(truth), list(found))]


def _without_ending(path: Path) -> Path:
    return path.with_name(f"{plain_stem(path).removesuffix(ENDING)}{path.suffix}")


def _check_same(clean: Stack, other: Stack, pages: int) -> None:
    """Raise UserError unless `other` has so many pages, and the clean file as many or one."""
    (there, *one), (count, *size) = clean.pixels.shape, other.pixels.shape
    if one != size or there not in (1, count):
        raise UserError(
            f"{other.path} has {count} pages of (c, y, x) {tuple(size)}, and {clean.path} {there} of "
            f"{tuple(one)}: the sizes must agree, and a clean file has one page or as many."
        )
    if count != pages:
        raise UserError(
            f"{other.path} has {count} pages, but the restored file {pages}. Give the noisy file of it."
        )


def _page(stack: Stack, page: int) -> NDArray[Any]:
    return stack.pixels[page if len(stack.pixels) > 1 else 0]
