"""U-Net segmentation for microscopy: train, predict by exact tiles, label, score."""

__version__ = "0.1.0"
