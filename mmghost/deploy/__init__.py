"""A trained model as a verified file for a runtime.

``export`` writes the files: ``graphs`` has the networks with their postprocessing as they
are traced, ``metadata`` reads the preprocessing from the config, ``parity`` compares the
file with the toolbox. ``quantize`` makes it int8, ``evaluate`` measures it on a test set,
``deployed`` folds the batch norms of a checkpoint. ``runtime`` runs the files without
torch and mmghost.
"""
