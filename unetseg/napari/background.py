"""Work that runs beside the window: it reports events, can be stopped, and ends with a result or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

Work = Callable[[Callable[[Any], None], Callable[[], bool]], Any]
"""Called with (progress, stopped) in another thread; what it returns is the result."""


class Job(QObject):
    """A piece of work in a thread of napari's; `on_event`, `on_result`, `on_error` run in the window's."""

    reported = Signal(object)

    def __init__(
        self,
        work: Work,
        on_event: Callable[[Any], None],
        on_result: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self.on_event, self.stopping, self.running = on_event, False, True
        self.reported.connect(self._event)
        self.worker = create_worker(work, self.reported.emit, self._stopped, _start_thread=False)
        self.worker.returned.connect(on_result)
        self.worker.errored.connect(on_error)
        self.worker.finished.connect(self._ended)

    def start(self) -> None:
        """Start the thread."""
        self.worker.start()

    def stop(self) -> None:
        """Ask the work to end as soon as it can."""
        self.stopping = True

    def _stopped(self) -> bool:
        return self.stopping or bool(self.worker.abort_requested)

    def _event(self, event: Any) -> None:
        self.on_event(event)

    def _ended(self) -> None:
        self.running = False
