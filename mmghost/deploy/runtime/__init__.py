"""Running an exported file with nothing but onnxruntime or OpenVINO, NumPy and Pillow.

Nothing in here imports torch or the rest of mmghost, all imports are relative: the folder
can be copied to a device, or loaded by its path as ``tools/deployment/run_onnx.py`` does.
"""

from .facts import Facts, FileFault
from .results import Classification, Detections, LabelMap
from .runner import BACKENDS, Runner

__all__ = [
    'BACKENDS',
    'Classification',
    'Detections',
    'Facts',
    'FileFault',
    'LabelMap',
    'Runner',
]
