"""A small picture of the loss as it falls, on a logarithmic axis."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QWidget

HEIGHT, MARGIN, SMOOTH = 110, 8, 0.8
LINE, TEXT = QColor("#4fc3f7"), QColor("#9e9e9e")


class LossCurve(QWidget):
    """The training loss by step, hidden before the first one; noise is smoothed by a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.setMinimumHeight(HEIGHT)
        self.hide()

    def add(self, step: int, loss: float) -> None:
        """One more step."""
        mean = SMOOTH * self.losses[-1] + (1 - SMOOTH) * loss if self.losses else loss
        self.steps.append(step)
        self.losses.append(mean)
        self.show()
        self.update()

    def clear(self) -> None:
        """Begin again."""
        self.steps, self.losses = [], []
        self.hide()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (a name of Qt)
        """Draw the curve, and the last loss."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(TEXT)
        words = f"loss {self.losses[-1]:.3f}, step {self.steps[-1]}"
        painter.drawText(self.rect().adjusted(0, 2, -MARGIN, 0), Qt.AlignmentFlag.AlignRight, words)
        painter.setPen(QPen(LINE, 2))
        painter.drawPolyline(self._points())

    def _points(self) -> list[QPointF]:
        values = [math.log(max(loss, 1e-6)) for loss in self.losses]
        low, high = min(values), max(values)
        width, height = self.width() - 2 * MARGIN, self.height() - 3 * MARGIN
        first, span = self.steps[0], max(1, self.steps[-1] - self.steps[0])
        return [
            QPointF(
                MARGIN + width * (step - first) / span,
                2 * MARGIN + height * (high - value) / max(high - low, 1e-6),
            )
            for step, value in zip(self.steps, values, strict=True)
        ]
