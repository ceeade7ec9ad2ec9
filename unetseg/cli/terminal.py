"""What the command line shows while it works: progress bars, tables, Ctrl-C."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, get_args

import click

from unetseg.cli.output import QUIET, is_set, say, show

if TYPE_CHECKING:
    from pathlib import Path

    from tqdm import tqdm

    from unetseg.evaluation.score_files import Comparison
    from unetseg.scores import FrameTable

FEW_OBJECTS = 3


class Progress:
    """A progress bar on the terminal; `say` prints a line above it."""

    def __init__(self, total: int | None, unit: str, start: int = 0) -> None:
        from tqdm import tqdm

        self.bar: tqdm[int] = tqdm(
            total=total,
            unit=unit,
            initial=start,
            dynamic_ncols=True,
            leave=False,
            disable=True if is_set(QUIET) else None,
            smoothing=0.1,
        )

    def add(self, count: int) -> None:
        """Count further."""
        self.bar.update(count)

    def resume(self, done: int, more: int) -> None:
        """So many more to come, `done` of which are done."""
        self.bar.total = (self.bar.total or 0) + more
        self.bar.update(done)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.bar.clear()
        say(line)
        self.bar.refresh()

    def predicted(self, count: int) -> None:
        """Count images from here on, replacing the count so far."""
        if not self.bar.disable and self.bar.unit != "image":
            self.bar.unit, self.bar.postfix = "image", ""
            self.bar.reset(0)
        self.bar.update(count)

    def note(self, text: str) -> None:
        """A text at the end of the bar."""
        self.bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


class Stop:
    """True after Ctrl-C or a termination signal; a second one interrupts at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked, self.quiet = False, quiet

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self.quiet:
            click.echo("\nstopping after this step and saving (again: stop at once)", err=True)

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Handle SIGINT and SIGTERM while the block runs."""
        before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def show_comparison(found: Comparison, most: int, pictures: Path | None, images: Path | None = None) -> None:
    """The table of `unetseg score`, a challenge's totals, and the worst objects."""
    from unetseg.evaluation.worst_objects import worst_objects, write_worst_pictures
    from unetseg.tasks.labels import Meaning

    hint = " (--labels overrides)" if found.meaning in get_args(Meaning) else ""
    show(f"truth read as {found.meaning}{hint}")
    for note in found.notes:
        show(note)
    show(table_text(found.table))
    if found.methods:
        show(f"means over the images\n{methods_text(found.methods)}")
    if found.challenge:
        show(f"challenge: {totals_text(found.challenge)} ({found.marked})")
    if found.pairs:
        _show_mistakes(found)
    if found.volumes:
        show(f"means over the volumes: {totals_text(found.volumes)}")
    worst = [o for o in worst_objects(found.pairs, most) if o.iou < 1]
    if worst:
        head = ["object of", "id", "iou", "area", f"centre {'(z, y, x)' if found.volumes else '(y, x)'}"]
        rows = [[o.frame, str(o.id), f"{o.iou:.4f}", str(o.area), str(o.centre)] for o in worst]
        show(f"the worst objects\n{columns([head, *rows])}")
    if pictures is not None:
        for path in write_worst_pictures(found.pairs, worst, pictures, images):
            say(f"wrote {path}")


def _show_mistakes(found: Comparison) -> None:
    """What became of the objects, in a sentence."""
    from unetseg.scores.mistakes import error_counts, error_sentence, frame_errors

    counts = error_counts(frame_errors(t, p) for _, t, p in found.pairs)
    show(error_sentence(counts))
    if counts["spurious"] >= max(FEW_OBJECTS, counts["true"]):
        show(
            "there are at least as many spurious objects as true ones. If the truth has only some of the "
            "objects, score with --partly-annotated"
        )


def totals_text(scores: Mapping[str, float]) -> str:
    """Scores of a whole challenge or stack in one line.

    >>> totals_text({"seg": 0.25, "warping-error": 0.000353})
    'seg 0.2500, warping-error 0.000353'
    """
    from unetseg.evaluation.by_kind import number

    return ", ".join(f"{name} {number(value)}" for name, value in scores.items())


def table_text(table: FrameTable, most: int = 12) -> str:
    """The scores as aligned columns: the `most` worst frames by the first score, then the pooled row."""
    from unetseg.evaluation.by_kind import number

    sign = table.entries[0].sign
    first = [sign * float(row[0]) for row in table.values]
    order = sorted(range(len(first)), key=lambda i: (math.isnan(first[i]), first[i]))[:most]
    rows = [[table.frames[i], *map(number, table.values[i])] for i in sorted(order)]
    head, last = ["frame", *table.names], ["all", *map(number, table.pooled)]
    spread = ["95 %", *map(interval_text, map(table.interval, table.names))]
    text = columns([head, *rows, last, *([spread] if set(spread[1:]) != {"–"} else [])]).splitlines()
    left_out = len(table.frames) - len(order)
    if left_out > 0:
        text.insert(1 + len(rows), f"… and {left_out} better frames")
    return "\n".join(text)


def methods_text(methods: Mapping[str, Mapping[str, float]]) -> str:
    """The scores of restored images as aligned columns, a row per method; how to get wavelets."""
    from unetseg.evaluation.by_kind import number
    from unetseg.evaluation.classical_filters import INSTALL, has_wavelets
    from unetseg.evaluation.restoration_methods import NOISY

    names = list(next(iter(methods.values())))
    rows = [[method, *(number(scores[name]) for name in names)] for method, scores in methods.items()]
    table = columns([["method", *names], *rows])
    missing = NOISY in methods and not has_wavelets()
    return f"{table}\nnot compared with wavelets: {INSTALL}" if missing else table


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "object"), counted(3, "object")
    ('1 object', '3 objects')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def interval_text(interval: tuple[float, float] | None) -> str:
    """The ends of an interval.

    >>> interval_text((0.81234, 0.9)), interval_text(None)
    ('0.8123–0.9000', '–')
    """
    from unetseg.evaluation.by_kind import number

    return "–" if interval is None else "–".join(map(number, interval))


def columns(lines: list[list[str]]) -> str:
    """Lines of cells as aligned columns."""
    widths = [max(len(line[x]) for line in lines) for x in range(len(lines[0]))]
    padded = ((cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
