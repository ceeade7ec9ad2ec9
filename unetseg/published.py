"""The published figures our scores are shown beside: one table, for the report and for `reproduce`.

Source: Ronneberger, Fischer, Brox 2015 (U-Net, MICCAI), tables 1 and 2. All of them were measured by
the challenges' organisers on test data whose truth is not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from unetseg.settings import DataSettings


@dataclass(frozen=True)
class Column:
    """A published measure, the name of our score of the same definition, and which way is better."""

    title: str
    score: str
    better: str


@dataclass(frozen=True)
class Benchmark:
    """What was published on a data set: a row per method, a figure per column, None where there is none."""

    title: str
    columns: tuple[Column, ...]
    rows: dict[str, tuple[float | None, ...]]
    source: str


NOT_THE_SAME = (
    "Hidden-test scores and two-fold or cross-validated scores are not the same thing: the published "
    "figures were measured by the organisers on data whose truth is not public, ours on annotated data "
    "that was held back from training. They show the order of magnitude, not a rank."
)
TABLE_1 = "Ronneberger et al. 2015, table 1 (ISBI 2012 EM challenge, hidden test volume)"
TABLE_2 = "Ronneberger et al. 2015, table 2 (ISBI cell tracking challenge 2015, hidden test sequences)"
IOU = Column("IoU (SEG)", "seg", "higher")

PUBLISHED: dict[str, Benchmark] = {
    "phc-u373": Benchmark(
        "PhC-C2DH-U373",
        (IOU,),
        {
            "IMCB-SG (2014)": (0.2669,),
            "KTH-SE (2014)": (0.7953,),
            "HOUS-US (2014)": (0.5323,),
            "second-best 2015": (0.83,),
            "U-Net (2015)": (0.9203,),
        },
        TABLE_2,
    ),
    "dic-hela": Benchmark(
        "DIC-C2DH-HeLa",
        (IOU,),
        {
            "IMCB-SG (2014)": (0.2935,),
            "KTH-SE (2014)": (0.4607,),
            "HOUS-US (2014)": (None,),
            "second-best 2015": (0.46,),
            "U-Net (2015)": (0.7756,),
        },
        TABLE_2,
    ),
    "isbi-em": Benchmark(
        "ISBI 2012 EM",
        (
            Column("warping error", "warping-error", "lower"),
            Column("Rand error", "rand-error", "lower"),
            Column("pixel error", "em-pixel-error", "lower"),
        ),
        {
            "IDSIA (Cireşan 2012)": (0.000420, 0.0504, 0.0613),
            "U-Net (2015)": (0.000353, 0.0382, 0.0611),
        },
        TABLE_1,
    ),
}


def benchmark_of(settings: DataSettings) -> str | None:
    """The key in PUBLISHED of the data set that the settings read, told by its task and folder.

    >>> benchmark_of(DataSettings(task="cell-tracking", root="data/DIC-C2DH-HeLa/"))
    'dic-hela'
    """
    if settings.task == "isbi-em":
        return "isbi-em"
    if settings.task != "cell-tracking":
        return None
    folder = PurePath(settings.root).name.lower()
    return next((k for k, b in PUBLISHED.items() if b.title.lower() == folder), None)
