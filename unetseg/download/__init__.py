"""Files from public servers: fetched with pooch, unpacked safely, converted to the layout that is read."""

from unetseg.download.datasets import data_folder, download_dataset, find_dataset
from unetseg.download.fetch import fetch

__all__ = ["data_folder", "download_dataset", "fetch", "find_dataset"]
