"""Which files belong together: an image and its labels, a true label image and a predicted one.

Names are compared in steps, the whole name first, and each step pairs only what earlier steps left:

1. the same name, whatever its ending: dish.tif and dish.png;
2. one has an extra word at its end: dish.tif and dish_cp_masks.png;
3. both without such words, in any case: dish_raw.tif and Dish_GT.tif, img_01.tif and mask_01.tif,
   and the frame numbers of the Cell Tracking Challenge: t025_labels.tif, mask025.tif and man_seg025.tif.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetseg.errors import UserError
from unetseg.files import plain_stem

Key = Callable[[Path], str]

LABEL_WORDS = (
    r"labels?|label[-_ ]?image|cp[-_ ]masks?|masks?|gt|ground[-_ ]?truth|truth|seg|segmentation|"
    r"annotations?|classes|instances|probabilities|rois?|roi[-_ ]?set"
)
IMAGE_WORDS = r"images?|img|raw"
LABEL_END = re.compile(rf"[-_. ]({LABEL_WORDS})$", re.IGNORECASE)
ANY_END = re.compile(rf"[-_. ]({LABEL_WORDS}|{IMAGE_WORDS})$", re.IGNORECASE)
ANY_START = re.compile(rf"^({LABEL_WORDS}|{IMAGE_WORDS})[-_. ]", re.IGNORECASE)
FRAME = re.compile(r"(?:t|mask|man_track|man_seg_?)?(\d{3,4})")


@dataclass(frozen=True)
class Pairing:
    """The pairs in the order of their first names, and the files of both sides without a partner."""

    pairs: tuple[tuple[Path, Path], ...]
    lone_first: tuple[Path, ...]
    lone_second: tuple[Path, ...]


def pair_names(first: Sequence[Path], second: Sequence[Path], remedy: str) -> Pairing:
    """Pair the files of two sides by their names.

    Raises UserError if two files of one side could both be the partner of one of the other, so that
    none is skipped silently; `remedy` ends that message.
    """
    for side in (first, second):
        _check_distinct(side, plain_stem, remedy)
    partner: dict[Path, Path] = {}
    for key_first, key_second in STEPS:
        taken = set(partner.values())
        left, right = [p for p in first if p not in partner], [p for p in second if p not in taken]
        partner |= _matches(left, right, key_first, key_second, remedy)
    taken = set(partner.values())
    lone_second = tuple(p for p in second if p not in taken)
    _check_not_rivals(lone_second, partner, remedy)
    pairs = tuple((p, partner[p]) for p in sorted(partner, key=lambda p: (plain_stem(p), p)))
    return Pairing(pairs, tuple(p for p in first if p not in partner), lone_second)


def labels_beside_images(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """(images, labels) of one folder that holds both: dish.tif with dish_mask.tif, a_img.png with a_gt.png.

    A file counts as labels if its name ends in a word for labels and the rest is the name of an
    image in the same folder.
    """
    bases = {key(p) for p in files for key in (plain_stem, _bare_image)}
    labels = [
        p for p in files if (base := LABEL_END.sub("", plain_stem(p))) != plain_stem(p) and base in bases
    ]
    return [p for p in files if p not in labels], labels


def without_word(path: Path) -> str:
    """The file's name without ending and without one word for labels at its end.

    >>> without_word(Path("dish 1.0_cp_masks.png"))
    'dish 1.0'
    """
    return LABEL_END.sub("", plain_stem(path))


def bare_name(path: Path) -> str:
    """A file's name without a word for images or labels at its start and its end, in lower case.

    >>> [bare_name(Path(name)) for name in ("Mask_A1.tif", "a1_raw.tif", "t025_labels.tif", "man_seg025.tif")]
    ['a1', 'a1', '025', '025']
    """
    name = ANY_START.sub("", ANY_END.sub("", plain_stem(path)))
    frame = FRAME.fullmatch(name)
    return frame[1] if frame else name.lower()


def _bare_image(path: Path) -> str:
    return re.sub(rf"[-_. ]({IMAGE_WORDS})$", "", plain_stem(path), flags=re.IGNORECASE)


STEPS: tuple[tuple[Key, Key], ...] = (
    (plain_stem, plain_stem),
    (plain_stem, without_word),
    (without_word, plain_stem),
    (bare_name, bare_name),
)


def _matches(
    first: Sequence[Path], second: Sequence[Path], key_first: Key, key_second: Key, remedy: str
) -> dict[Path, Path]:
    keys = {key_first(p) for p in first} & {key_second(p) for p in second}
    ours = _check_distinct([p for p in first if key_first(p) in keys], key_first, remedy)
    theirs = _check_distinct([p for p in second if key_second(p) in keys], key_second, remedy)
    return {path: theirs[key] for key, path in ours.items()}


def _check_distinct(paths: Sequence[Path], key: Key, remedy: str) -> dict[str, Path]:
    """The files by key; raises UserError for two of one key."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(key(path), path)
        if other is not path:
            raise _two_files(other, path, key(path), remedy)
    return named


def _check_not_rivals(lone: Sequence[Path], partner: dict[Path, Path], remedy: str) -> None:
    """Refuse a file without a partner that would also fit a paired one: a.tif and a_mask.tif for a."""
    for key_first, key_second in STEPS[:-1]:
        paired = {key_first(p): other for p, other in partner.items()}
        for path in lone:
            if key_second(path) in paired:
                one, other = sorted((paired[key_second(path)], path))
                raise _two_files(one, other, key_second(path), remedy)


def _two_files(one: Path, other: Path, name: str, remedy: str) -> UserError:
    return UserError(f"{one} and {other.name}: two files for the name {name!r}. {remedy}")
