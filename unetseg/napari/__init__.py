"""The napari plugin: predict, annotate and train, measure; it reads and writes labels.

Everything that computes is a plain function without a window, in the modules beside the widgets.
"""
