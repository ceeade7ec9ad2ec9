"""The napari plugin: panels to predict, annotate and train, correct, and measure; a reader and a writer.

The panels call functions of `unetseg.api`; nothing is computed in a widget.
"""
