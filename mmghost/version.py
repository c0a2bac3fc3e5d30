"""The version of mmghost; setup.py reads it from here without importing anything."""

__version__ = '2.0.0'
