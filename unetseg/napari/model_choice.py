"""The choice of a model: a list of names and runs, and a field for any other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import ComboBox, FileEdit

from unetseg.errors import UserError
from unetseg.models import local_runs, shipped_models
from unetseg.napari.session import SESSION, follow

FROM_FILE = "a file …"


class ModelChoice:
    """Two widgets, `name` and `file`; the file is shown when it is asked for.

    first: names that come before the models.
    """

    def __init__(self, label: str, first: Sequence[str] = ()) -> None:
        self.first = list(first)
        self.name = ComboBox(label=label, choices=self._choices)
        self.file = FileEdit(label="Model file", mode="r", filter="*.pt *.zip", nullable=True)
        self.file.tooltip = (
            "best.pt of a run folder, a model file, or a bioimage.io package; a folder can be typed"
        )
        self.file.visible = False
        self.name.changed.connect(self._show_file)
        follow(SESSION.changed, self.name, self.refresh)

    @property
    def value(self) -> str:
        """The name chosen, or the path of the file; raises UserError where none is given."""
        if self.name.value != FROM_FILE:
            return str(self.name.value)
        if not self.file.value:
            raise UserError("Choose the model's file, or type the path of a run folder.")
        return str(self.file.value)

    def refresh(self) -> None:
        """List the runs that are there by now."""
        self.name.reset_choices()

    def choose(self, path: str) -> None:
        """Select a listed run by its path."""
        self.refresh()
        self.name.value = path

    def _choices(self, widget: Any) -> list[tuple[str, str]]:
        trained = [(f"{run.parent.parent.name}: {run.name}", str(run)) for run in SESSION.runs]
        names = [*shipped_models(), *(str(path) for path in local_runs())]
        own = [(name, name) for name in [*self.first, *names, FROM_FILE]]
        return [*own[: len(self.first)], *trained, *own[len(self.first) :]]

    def _show_file(self) -> None:
        self.file.visible = self.name.value == FROM_FILE
