"""Run an exported file: a runtime, NumPy and OpenCV are enough, with ExecuTorch torch.

Nothing else in here imports torch or the rest of mmghost, and all imports are relative: the
folder can be copied to a device, or loaded by its path as ``tools/deployment/run_model.py``
does. Each ``*_backend.py`` runs one kind of file.
"""

from .metadata import FileError, ModelMetadata
from .results import Classification, Detections, SegmentationMap
from .runner import BACKENDS, Runner

__all__ = [
    'BACKENDS',
    'Classification',
    'Detections',
    'FileError',
    'ModelMetadata',
    'Runner',
    'SegmentationMap',
]
