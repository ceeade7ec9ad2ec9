"""The published figures our scores are shown beside: one table, for the report and for `reproduce`.

A data set that `unetseg reproduce` knows is one entry of PUBLISHED and a folder of experiment files,
experiments/KEY/BUDGET.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from unetseg.settings import DataSettings

NOT_THE_SAME = (
    "Hidden-test scores and two-fold or cross-validated scores are not the same thing: the published "
    "figures were measured by the organisers on data whose truth is not public, ours on annotated data "
    "that was held back from training. They show the order of magnitude, not a rank."
)


@dataclass(frozen=True)
class Column:
    """A published measure, the name of our score of the same definition, and which way is better."""

    title: str
    score: str
    better: str


@dataclass(frozen=True)
class Benchmark:
    """The published figures of a data set: a row per method, a figure per column, None if there is none.

    task and folder identify the data set by its settings: data.task, and the name of the folder data.root
    (any, if empty); measured_on: the data of the published figures; ours_on: of ours; note:
    how they differ.
    """

    title: str
    columns: tuple[Column, ...]
    rows: dict[str, tuple[float | None, ...]]
    source: str
    task: str = "folder"
    folder: str = ""
    measured_on: str = "hidden test data"
    ours_on: str = "held-back training data"
    note: str = NOT_THE_SAME


OTHER_SPLIT = (
    "The published figures come from another split of the whole set of 670 images, fluorescence and stained "
    "tissue, at 96×96 pixels; ours from 150 fluorescence images of it at full size, split by the last digit "
    "of their names. Our IoU is that of the nuclei's pixels; the authors' code takes the mean of nuclei and "
    "background, over thresholds from 0.5 to 0.95. They show the order of magnitude, not a rank."
)
SAME_IMAGES = (
    "The published figures were measured on the same test images, by the first observer's truth, inside the "
    "field of view."
)
BUDGETS = {
    "smoke": "a minute per fold, to check that it runs",
    "short": "about four minutes per net on one core, to compare nets",
    "cpu": "up to an hour on two cores",
    "cpu-long": "half an hour per fold on two cores",
    "gpu": "the paper's full nets",
}
"""What a benchmark may cost, by the names of its experiment files; not every data set has all."""
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
        task="cell-tracking",
        folder="PhC-C2DH-U373",
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
        task="cell-tracking",
        folder="DIC-C2DH-HeLa",
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
        task="isbi-em",
    ),
    "nuclei": Benchmark(
        "Cell nuclei (Data Science Bowl 2018)",
        (Column("IoU", "iou", "higher"),),
        {
            "U-Net, 7.76 M parameters (Zhou 2018)": (0.9077,),
            "wide U-Net, 9.13 M (Zhou 2018)": (0.9092,),
            "UNet++ without deep supervision, 9.04 M (Zhou 2018)": (0.9263,),
            "UNet++ with deep supervision, 9.04 M (Zhou 2018)": (0.9252,),
        },
        "Zhou et al. 2018, UNet++ (DLMIA), table 3",
        folder="nuclei-dsb2018",
        measured_on="their own split of 670 images",
        note=OTHER_SPLIT,
    ),
    "drive": Benchmark(
        "DRIVE",
        (
            Column("AUC", "auc", "higher"),
            Column("accuracy", "accuracy", "higher"),
            Column("kappa", "kappa", "higher"),
            Column("sensitivity", "sensitivity", "higher"),
            Column("specificity", "specificity", "higher"),
        ),
        {"no-pooling (Liskowski & Krawiec 2016)": (0.972, 0.9495, 0.778, 0.776, 0.977)},
        "Liskowski & Krawiec 2016, IEEE TMI 35(11), 2369",
        task="drive",
        measured_on="the same 20 test images",
        ours_on="the 20 test images",
        note=SAME_IMAGES,
    ),
    "hippocampus": Benchmark(
        "Hippocampus MRI (Medical Segmentation Decathlon, task 4)",
        tuple(Column(f"Dice of class {c}, mean over volumes", f"volume-dice-{c}", "higher") for c in (1, 2)),
        {},
        "none: no figure of the challenge's own test volumes could be checked",
        folder="hippocampus3d",
        note="Ours: 60 of the challenge's volumes with truth, split by their number.",
    ),
    "ovules": Benchmark(
        "Plant ovules (confocal volumes)",
        (Column("SEG", "seg", "higher"), Column("F1 at IoU ≥ 0.5", "f1", "higher")),
        {},
        "none on these two sample volumes",
        folder="ovules3d",
        note="Ours: trained on the larger volume, scored on the smaller.",
    ),
}
PUBLISHED["isbi-em-volume"] = replace(PUBLISHED["isbi-em"], title="ISBI 2012 EM, as volumes")


def benchmark_of(data: DataSettings) -> str | None:
    """The key in PUBLISHED of the data set that the settings read, detected by its task and folder.

    >>> benchmark_of(DataSettings(task="cell-tracking", root="data/DIC-C2DH-HeLa/"))
    'dic-hela'
    """
    folder = PurePath(data.root).name.lower()
    for key, benchmark in PUBLISHED.items():
        if data.task == benchmark.task and benchmark.folder.lower() in ("", folder):
            return key
    return None
