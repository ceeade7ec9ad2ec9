"""What the panels share: the project folder, the size of its objects, and the runs trained in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from psygnal import Signal, SignalInstance


class Session:
    """One for all panels, so that a choice made in one of them holds in the others.

    folder: of the project; diameter: of its objects in pixels, 0 if not known; runs: with a model, newest
    first. `changed` is emitted after each change, `trained` with the folder of a run that has ended.
    """

    changed = Signal()
    trained = Signal(Path)

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.diameter = 0.0
        self.runs: list[Path] = []

    def choose_folder(self, folder: Path | None, runs: list[Path]) -> None:
        """Take over a project folder and its runs, oldest first."""
        self.folder = folder
        for run in runs:
            self._offer(run)
        self.changed.emit()

    def choose_diameter(self, diameter: float) -> None:
        """Take over the diameter of the objects."""
        self.diameter = diameter
        self.changed.emit()

    def add_run(self, run: Path) -> None:
        """A training has ended: its model comes first from now on."""
        self._offer(run)
        self.changed.emit()
        self.trained.emit(run)

    def _offer(self, run: Path) -> None:
        self.runs = [run, *(r for r in self.runs if r != run)]


SESSION = Session()


def follow(signal: SignalInstance, widget: Any, act: Callable[..., Any]) -> None:
    """Call `act` at every emission, until the widget's window is closed."""
    signal.connect(act)
    widget.native.destroyed.connect(lambda: signal.disconnect(act, missing_ok=True))
