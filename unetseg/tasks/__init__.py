"""Where samples come from: TASKS maps a name to the function that lists a data set's entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetseg.errors import UserError
from unetseg.settings import DataSettings
from unetseg.tasks import cell_tracking, drive, films, folder, isbi_em, restoration
from unetseg.tasks.listing import Listing

TASKS: dict[str, Callable[[Path, DataSettings], Listing]] = {
    "cell-tracking": cell_tracking.listing,
    "isbi-em": isbi_em.listing,
    "drive": drive.listing,
    "folder": folder.listing,
    "synthetic": films.listing,
    "restoration": restoration.listing,
}


def list_task(root: Path, data: DataSettings) -> Listing:
    """The listing of the settings' task; UserError for a key that this task does not use."""
    default = DataSettings()
    for key in ("labels", "not_annotated", "classes", "channels", "scene"):
        if data.task != "folder" and getattr(data, key) != getattr(default, key):
            raise UserError(
                f'data.{key} is for task "folder"; in "{data.task}" data the layout says how '
                "files are read. Remove the key."
            )
    if data.partly_annotated and data.task not in ("folder", "cell-tracking"):
        raise UserError(
            f'data.partly_annotated (--partly-annotated) is for the tasks "folder" and "cell-tracking", not '
            f'"{data.task}".'
        )
    if data.volumes and data.task not in ("folder", "isbi-em"):
        raise UserError(f'data.volumes is for the tasks "folder" and "isbi-em", not "{data.task}".')
    for key in ("clean", "regions"):
        if data.task != "restoration" and getattr(data, key) != getattr(default, key):
            raise UserError(f'data.{key} is for the task "restoration", not "{data.task}". Remove the key.')
    if data.task == "restoration" and (data.downsample > 1 or data.object_diameter):
        raise UserError(
            "data.downsample, data.object_diameter: images are restored at their own size. Remove them."
        )
    listing = TASKS[data.task](root, data)
    if data.unannotated_border and listing.kind != "instances":
        raise UserError(f"data.unannotated_border is for objects, and {root} has none. Remove the key.")
    return listing
