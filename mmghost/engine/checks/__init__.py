"""What can be told of a config, its data and its weights before a training begins.

``preflight`` asks all of it of one config. ``heads`` looks at channels, strides and numbers
of classes; ``data`` at annotation files and folders, ``coco_values`` at the single entries
of a COCO file, ``label_maps`` at those of segmentation, ``pictures`` at the pictures
themselves, ``counts`` at how many of them the known data sets have.
"""
