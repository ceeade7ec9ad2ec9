"""U-Net segmentation for microscopy: train, predict by exact tiles, label, score.

The Python API is `unetseg.api`; the command line is `unetseg`.
"""

import os

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # torch reads it when it is imported

__version__ = "0.1.0"
