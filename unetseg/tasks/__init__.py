"""Where samples come from: TASKS maps a name to the function that lists a data set's entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetseg.settings import DataSettings
from unetseg.tasks import cell_tracking, films, folder, isbi_em
from unetseg.tasks.listing import Listing

TASKS: dict[str, Callable[[Path, DataSettings], Listing]] = {
    "cell-tracking": cell_tracking.listing,
    "isbi-em": isbi_em.listing,
    "folder": folder.listing,
    "synthetic": films.listing,
}
