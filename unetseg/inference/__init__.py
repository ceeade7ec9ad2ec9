"""Prediction with a trained network: tiles, memory, and what makes it fast."""
