"""On the way to a device: folding, exporting, and running what was exported.

``fusion`` folds batch norms into convolutions. ``export`` writes ONNX files by
``tracing``, ``graphs`` holds the networks with what follows them as they are traced,
``parity`` compares the two, ``evaluation`` measures a file on a test set and
``quantisation`` makes it int8. ``runtime`` runs the files; it needs neither torch nor
this package and is what a device gets.
"""
