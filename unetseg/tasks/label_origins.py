"""Files that hold objects by their format: what their labels mean, and what they could not keep."""

from __future__ import annotations

from collections.abc import Sequence

from unetseg.errors import UserError, some_of
from unetseg.tasks.file_summary import FileSummary
from unetseg.tasks.label_formats.coco import coco_names, places_of
from unetseg.tasks.recognise import recognise


def known_format(files: Sequence[FileSummary], labels: str) -> str:
    """The formats of files that hold objects, such as "ImageJ ROIs"; "" if all are label images.

    labels: the setting data.labels. Raises UserError for classes among them, which these formats do not have,
    and for label images beside them that are not of objects.
    """
    kinds = sorted({f.origin.kind for f in files} - {""})
    if not kinds:
        return ""
    first = next(f.label for f in files if f.origin.kind)
    if labels == "classes":
        raise UserError(f'{first}: holds objects, not classes. Leave out data.labels = "classes".')
    images = [f for f in files if not f.origin.kind]
    if labels == "auto" and images:
        found = recognise([s for f in images for s in f.statistics]).meaning
        if found != "instances":
            raise UserError(
                f"{first}: holds objects, but {images[0].label.name} is a label image that was detected as "
                f'{found}. Give labels of one kind, or set data.labels = "instances" if its values are ids.'
            )
    return ", ".join(kinds)


def origin_notes(files: Sequence[FileSummary]) -> list[str]:
    """Notes on pixels in several objects, objects that are lost, and shapes and images without any."""
    empty = [f.image.name for f in files if f.origin.kind and not any(s.values for s in f.statistics)]
    notes = [
        _note(files, "shared", "pixels lie in several objects and are given to the smallest one"),
        _note(files, "covered", "objects are lost, since smaller ones cover them completely"),
        _note(
            files,
            "without_area",
            "shapes enclose no pixel (lines, points, boxes) and are left out",
        ),
        f"warning: no object in {some_of(empty)}; these images are learnt as background" if empty else "",
        *_not_here(files),
    ]
    return [note for note in notes if note]


def _note(files: Sequence[FileSummary], key: str, text: str) -> str:
    counts = {f.label.name: n for f in files if (n := getattr(f.origin, key))}
    few = some_of(f"{name} {n}" for name, n in counts.items())
    return f"outlines: {sum(counts.values())} {text} ({few})" if counts else ""


def _not_here(files: Sequence[FileSummary]) -> list[str]:
    """A note for each COCO file that lists images which are not here."""
    found = []
    for path in sorted({f.label for f in files if f.origin.kind == "COCO"}):
        images = [f.image.name for f in files if f.label == path]
        names = coco_names(path)
        here = {place for image in images for place in places_of(image, names)}
        lost = list(dict.fromkeys(name for at, name in enumerate(names) if at not in here))
        if lost:
            few = some_of(lost)
            found.append(f"warning: {path.name} also lists {len(lost)} images that are not here: {few}")
    return found
