"""Models for other programs: ONNX, TorchScript and bioimage.io packages, written and read."""
