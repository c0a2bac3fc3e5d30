"""Running an exported file in ONNX Runtime or OpenVINO."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .facts import Facts, FileFault
from .pictures import Prepared, prepare, read_picture
from .results import Classification, Detections, LabelMap, paste_masks

BACKENDS = ('onnxruntime', 'openvino')
Feed = dict[str, np.ndarray]


class Runner:
    """An exported network, from a picture to what is in it.

    Args:
        path: The file, of ``tools/deployment/export_onnx.py``.
        backend: One of ``BACKENDS``, or None for the first that is installed.
        threads: How many threads compute; None leaves it to the backend.

    Raises:
        FileFault: If the file is no good, or the backend is not installed.

    Example:
        >>> runner = Runner('retinanet.onnx')
        >>> found = runner.predict('picture.jpg')
        >>> found.boxes, found.scores, [runner.facts.classes[i] for i in found.labels]
    """

    def __init__(
        self,
        path: str | os.PathLike,
        backend: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.facts = Facts.of_file(path)
        self.backend = backend or installed_backend()
        if self.backend not in OPENERS:
            raise FileFault(f'backend {backend!r}: known are {", ".join(BACKENDS)}')
        try:
            self.inputs, self._run = OPENERS[self.backend](self.path, threads)
        except ImportError as error:
            raise FileFault(
                f'{self.backend} is not installed or broken ({error}): '
                f'pip install {self.backend}'
            ) from None
        except RuntimeError as error:  # both backends raise below it
            raise FileFault(
                f'{path} cannot be run in {self.backend}: {error}'
            ) from None

    def run(self, feed: Feed) -> Feed:
        """Run the network as it is: inputs and outputs by name.

        Raises:
            FileFault: If the backend cannot compute it, as for inputs of other shapes.
        """
        try:
            return self._run(feed)
        except Exception as error:  # the backends' own classes, below Exception only
            raise FileFault(
                f'{self.path} cannot be run in {self.backend}: {error}'
            ) from None

    def predict(self, picture: str | os.PathLike | np.ndarray) -> object:
        """Find what is in a picture.

        Args:
            picture: A file, or RGB bytes (H, W, 3).

        Returns:
            A :class:`Classification`, :class:`Detections` or :class:`LabelMap`.

        Raises:
            FileFault: If the picture is no good, or the file gives raw outputs only.
        """
        if self.facts.raw:
            raise FileFault(
                f"{self.path} gives the head's raw outputs (it was exported with --raw), "
                'which only a program of your own can read'
            )
        if not isinstance(picture, np.ndarray):
            picture = read_picture(picture, self.facts.orientation)
        prepared = prepare(picture, self.facts)
        return self._read(self.run(self.feed(prepared)), prepared)

    def feed(self, prepared: Prepared) -> Feed:
        """The network's inputs for one picture.

        Where the file takes only a batch of several, all of it is that picture.
        """
        n = self.facts.batch or 1
        known = {
            'image': np.repeat(prepared.pixels[None], n, 0),
            'image_size': np.array([prepared.image_size] * n, np.float32),
            'scale_factor': np.array([prepared.scale_factor] * n, np.float32),
        }
        if self.facts.task == 'segmentation':
            known['image_size'] = np.array(prepared.image_size, np.int64)
            known['original_size'] = np.array(prepared.original_size, np.int64)
        # The exporter drops an input that the network makes no use of.
        return {name: known[name] for name in self.inputs}

    def _read(self, outputs: Feed, prepared: Prepared) -> object:
        if self.facts.task == 'classification':
            return Classification(outputs['scores'][0])
        if self.facts.task == 'segmentation':
            return LabelMap(outputs['labels'][0])
        labels = outputs['labels'][0]
        count = int((labels >= 0).sum())  # the rest fills the table up
        boxes, scores = outputs['dets'][0, :count, :4], outputs['dets'][0, :count, 4]
        masks = None
        if 'masks' in outputs:
            masks = paste_masks(
                outputs['masks'][0, :count],
                boxes,
                prepared.original_size,
                self.facts.mask_threshold,
            )
        return Detections(boxes, scores, labels[:count], masks)


def installed_backend() -> str:
    """The first backend that is installed.

    Raises:
        FileFault: If none is.
    """
    from importlib.util import find_spec

    for name in BACKENDS:
        if find_spec(name) is not None:
            return name
    raise FileFault(
        'neither onnxruntime nor openvino is installed: pip install onnxruntime'
    )


def open_in_onnxruntime(
    path: str, threads: int | None
) -> tuple[list[str], Callable[[Feed], Feed]]:
    """Open a file in ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about its own rewriting
    if threads:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )
    except Exception as error:  # its own classes, below Exception only
        raise RuntimeError(error) from None
    names = [output.name for output in session.get_outputs()]

    def run(feed: Feed) -> Feed:
        return dict(zip(names, session.run(names, feed)))

    return [entry.name for entry in session.get_inputs()], run


def open_in_openvino(
    path: str, threads: int | None
) -> tuple[list[str], Callable[[Feed], Feed]]:
    """Open a file in OpenVINO, on the CPU and in float32."""
    import openvino

    # Where the CPU has bfloat16, OpenVINO would compute in that.
    settings = {'INFERENCE_PRECISION_HINT': 'f32'}
    if threads:
        settings['INFERENCE_NUM_THREADS'] = threads
    model = openvino.Core().compile_model(path, 'CPU', settings)
    names = [_own_name(output) for output in model.outputs]

    def run(feed: Feed) -> Feed:
        found = model(feed)
        return {name: found[name] for name in names}

    return [_own_name(entry) for entry in model.inputs], run


def _own_name(port: Any) -> str:
    """Tell the file's name of an input or output of OpenVINO's.

    Where OpenVINO leaves a node out, such as a cast to the type that a tensor has
    already, the tensor takes over the node's name beside its own: that of a node of
    PyTorch's exporter begins with a slash.
    """
    names = sorted(port.names)
    return next((name for name in names if not name.startswith('/')), names[0])


OPENERS = {'onnxruntime': open_in_onnxruntime, 'openvino': open_in_openvino}
