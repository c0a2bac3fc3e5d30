"""Run an exported file on images, in the runtime that it is for."""

import importlib
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .decoding import detections, label_map
from .images import Prepared, prepare, read_image
from .metadata import KEY, FileError, ModelMetadata
from .results import Classification, Detections, SegmentationMap, paste_masks

Feed = dict[str, np.ndarray]


# What to install for each runtime, and the suffixes of the files that it runs. Beside
# this module, `NAME_backend` has a class `Network(path, threads)`. It is called with
# inputs by name, and returns outputs by name or in the order of `metadata.outputs`;
# `inputs` are the names of the inputs, `properties` the metadata that a file has in it.
BACKENDS = {
    'onnxruntime': ('onnxruntime', ('.onnx',)),
    'openvino': ('openvino', ('.onnx', '.xml')),
    'ncnn': ('ncnn', ('.param',)),
    'litert': ('ai-edge-litert', ('.tflite',)),
    'executorch': ('executorch torch', ('.pte',)),
}


class Runner:
    """An exported network, from an image to what is in it.

    Args:
        path: The file.
        backend: One of ``BACKENDS``; None is the first installed one for such files.
        threads: Number of threads; None is the backend's choice.
        bf16: OpenVINO only: compute in bfloat16, on CPUs that have it.

    Raises:
        FileError: If the file cannot be used, or the backend is not installed.

    Example:
        >>> runner = Runner('retinanet.onnx')
        >>> found = runner.predict('image.jpg')
        >>> found.boxes, found.scores, [runner.metadata.classes[i] for i in found.labels]
    """

    def __init__(
        self,
        path: str | os.PathLike,
        backend: str | None = None,
        threads: int | None = None,
        bf16: bool = False,
    ) -> None:
        self.path = os.fspath(path)
        self.backend = backend = choose_backend(self.path, backend)
        if bf16 and backend != 'openvino':
            raise FileError(f'{path}: bf16 goes with openvino, not {backend}')
        try:
            module = importlib.import_module(f'.{backend}_backend', __package__)
        except ImportError as error:
            raise FileError(
                f'{backend} is not installed, or broken ({error}): '
                f'pip install {BACKENDS[backend][0]}'
            ) from error
        settings = dict(precision='bf16') if bf16 else {}
        try:
            self.network = module.Network(self.path, threads, **settings)
        except Exception as error:  # each backend has classes of its own
            raise FileError(f'{path} cannot be run in {backend}: {error}') from error
        beside = Path(f'{self.path}.json')
        if beside.exists():
            text = beside.read_text(encoding='utf-8')
        else:
            text = getattr(self.network, 'properties', {}).get(KEY, '{}')
        self.metadata = ModelMetadata.from_json(text, self.path)

    def run(self, feed: Feed) -> Feed:
        """Run the network: from inputs by name to outputs by name.

        Raises:
            FileError: If the backend cannot compute it, as for inputs of other shapes.
        """
        try:
            found = self.network(feed)
        except Exception as error:  # each backend has classes of its own
            raise FileError(
                f'{self.path} cannot be run in {self.backend}: {error}'
            ) from error
        if isinstance(found, dict):
            return found
        return dict(zip(self.metadata.outputs, found, strict=True))

    def compute(self, prepared: Prepared) -> Feed:
        """Run the network on one input, with the postprocessing that it leaves out."""
        outputs = self.run(self.feed(prepared))
        if self.metadata.decoding is None:
            return outputs
        if self.metadata.task == 'segmentation':
            return {'labels': label_map(outputs['logits'][0], self.metadata, prepared)}
        return detections(outputs, self.metadata.decoding, prepared)

    def predict(
        self, image: str | os.PathLike | np.ndarray
    ) -> Classification | Detections | SegmentationMap:
        """Find what is in an image.

        Args:
            image: A file, or RGB bytes (H, W, 3).

        Raises:
            FileError: If the image cannot be used.
        """
        if not isinstance(image, np.ndarray):
            image = read_image(image, self.metadata.orientation)
        prepared = prepare(image, self.metadata)
        return self._result(self.compute(prepared), prepared)

    def feed(self, prepared: Prepared) -> Feed:
        """Return the inputs for an image, repeated if the file takes several."""
        n = self.metadata.batch or 1
        known = {
            'image': np.repeat(prepared.pixels[None], n, 0),
            'image_size': np.array([prepared.image_size] * n, np.float32),
            'scale_factor': np.array([prepared.scale_factor] * n, np.float32),
        }
        if self.metadata.task == 'segmentation':
            known['image_size'] = np.array(prepared.image_size, np.int64)
            known['original_size'] = np.array(prepared.original_size, np.int64)
        # torch's exporter drops inputs that the network does not use.
        return {name: known[name] for name in self.network.inputs}

    def _result(
        self, outputs: Feed, prepared: Prepared
    ) -> Classification | Detections | SegmentationMap:
        if self.metadata.task == 'classification':
            return Classification(outputs['scores'][0])
        if self.metadata.task == 'segmentation':
            return SegmentationMap(outputs['labels'][0])
        labels = outputs['labels'][0]
        count = int((labels >= 0).sum())  # -1 fills the table up
        boxes, scores = outputs['dets'][0, :count, :4], outputs['dets'][0, :count, 4]
        masks = None
        if 'masks' in outputs:
            masks = paste_masks(
                outputs['masks'][0, :count],
                boxes,
                prepared.original_size,
                self.metadata.mask_threshold,
            )
        return Detections(boxes, scores, labels[:count], masks)


def choose_backend(path: str, backend: str | None) -> str:
    """Return the backend for a file.

    Raises:
        FileError: If there is no such file, or no backend runs it.
    """
    if not os.path.isfile(path):
        raise FileError(f'{path}: there is no such file')
    suffix = Path(path).suffix.lower()
    able = {name: p for name, (p, suffixes) in BACKENDS.items() if suffix in suffixes}
    if not able:
        known = ', '.join(
            sorted({s for _, suffixes in BACKENDS.values() for s in suffixes})
        )
        raise FileError(f'{path}: is not an exported file; they end in {known}')
    if backend is None:
        modules = {n: p.split()[0].replace('-', '_') for n, p in able.items()}
        installed = [n for n, module in modules.items() if find_spec(module)]
        return next(iter(installed or able))
    if backend not in able:
        raise FileError(f'{path}: {suffix} files run in {" or ".join(able)}')
    return backend
