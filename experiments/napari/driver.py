"""A user of the panels who is a script: it opens a panel from the menu, presses buttons and waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import napari
from qtpy.QtWidgets import QApplication


class Waited(NamedTuple):
    """Seconds by the clock, and of processor time: how long it takes where nothing else runs, at most."""

    clock: float = 0.0
    processor: float = 0.0


def open_panel(viewer: napari.Viewer, name: str) -> Any:
    """A panel of the plugin, opened as from the menu."""
    _, panel = viewer.window.add_plugin_dock_widget("unetseg-microscopy", name, tabify=True)
    return panel


def wait(panel: Any, act: Callable[[], Any], until: Callable[[], bool] = lambda: False) -> Waited:
    """Do something and wait until the panel has ended it, or until something else is true."""
    begun = Waited(time.perf_counter(), time.process_time())
    act()
    while panel.busy and not until():
        QApplication.processEvents()
        time.sleep(0.01)
    QApplication.processEvents()
    return Waited(time.perf_counter() - begun.clock, time.process_time() - begun.processor)
