"""A user of the panels who is a script: it opens a panel from the menu, presses buttons and waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import napari
from qtpy.QtWidgets import QApplication


def open_panel(viewer: napari.Viewer, name: str) -> Any:
    """A panel of the plugin, opened as from the menu."""
    _, panel = viewer.window.add_plugin_dock_widget("unetseg-microscopy", name, tabify=True)
    return panel


def wait(panel: Any, act: Callable[[], Any], until: Callable[[], bool] = lambda: False) -> float:
    """Do something and wait until the panel has ended it, or until something else is true: seconds."""
    begun = time.perf_counter()
    act()
    while panel.busy and not until():
        QApplication.processEvents()
        time.sleep(0.01)
    QApplication.processEvents()
    return time.perf_counter() - begun
