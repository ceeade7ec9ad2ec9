"""Models by name: those shipped with the package, those that can be downloaded, and their cards."""

from unetseg.models.cards import ModelCard, known_models, shipped_models
from unetseg.models.download import cached_file, download_model
from unetseg.models.find import find_model, local_runs, model_card

__all__ = [
    "ModelCard",
    "cached_file",
    "download_model",
    "find_model",
    "known_models",
    "local_runs",
    "model_card",
    "shipped_models",
]
