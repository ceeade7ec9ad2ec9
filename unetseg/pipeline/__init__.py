"""Experiments, models and prediction: where files and torch meet."""
