"""U-Net segmentation for microscopy: train, predict by exact tiles, label, score.

The Python API is `unetseg.api`; the command line is `unetseg`.
"""

__version__ = "0.1.0"
