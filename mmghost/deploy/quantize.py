"""Files in int8, by the quantizer of each runtime: weights by channel."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmengine.config import Config

from ..checks.datasets import check_dataset
from ..checks.preflight import build_datasets
from ..checks.problems import raise_if_fatal
from ..errors import UserError
from .converters import run_litert, write_metadata
from .evaluate import evaluate
from .export import unfinished
from .runtime.images import prepare, read_image
from .runtime.runner import Feed, Runner

# Ends of the names of the metrics that decide; the first that there are.
METRICS = ('_mAP', 'mIoU', 'top1', 'mAP', '')
LITERT_SCRIPT = """
import sys, numpy
from ai_edge_quantizer import quantizer, qtyping
path, images, out = sys.argv[1:]
tool = quantizer.Quantizer(path)
for where, names in (('.*', 'CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED'),
                     ('.*_backbone/.*', 'ADD CONCATENATION MUL PAD SLICE')):
    for name in names.split():
        tool.add_static_config(where, qtyping.TFLOperationName(name), 8, 8)
data = [{'args_0': image} for image in numpy.load(images)]
tool.quantize(tool.calibrate({'serving_default': data})).export_model(out)
"""


def quantize(
    cfg: Config,
    path: str,
    images: int = 64,
    max_drop: float = 1.0,
    seven_bits: bool = False,
    seed: int = 0,
) -> tuple[str, dict[str, float], dict[str, float]]:
    """Quantize a file, and keep it if it scores nearly as well on the test set.

    Args:
        cfg: The config that it was exported with; images of its training set, prepared
            as for a test, say which values occur.
        path: The exported file, of a suffix in ``QUANTIZERS``.
        images: Number of images.
        max_drop: Largest loss in points, of 100; mmdet's AP of 0 to 1 counts as 100.
        seven_bits: Use 7 of the 8 bits of the weights, for x86 CPUs without VNNI, whose
            sums of two 8-bit products overflow; ONNX only.
        seed: Of the choice of the images.

    Returns:
        The file, ``NAME_int8`` beside ``path``, and the metrics in float32 and in int8.

    Raises:
        UserError: If there are no images, the file cannot be quantized, or it loses more;
            it is not kept then.
        FileError: If a training image does not fit a file of one size.
    """
    suffix = Path(path).suffix
    runner = Runner(path)
    if runner.metadata.precision != 'float32':
        raise UserError(f'{path} is in {runner.metadata.precision} already')
    chosen = training_images(cfg, images, seed)
    out = Path(path).with_name(f'{Path(path).stem}_int8{suffix}')
    with unfinished(out) as partial:
        pixels = (read_image(name, runner.metadata.orientation) for name in chosen)
        feeds = (runner.feed(prepare(image, runner.metadata)) for image in pixels)
        QUANTIZERS[suffix](path, feeds, partial, seven_bits)
        write_metadata(partial, replace(runner.metadata, precision='int8'))
        before, after = (evaluate(cfg, file) for file in (path, partial))
        names = [name for name in before if name != 'ms']
        end = next(end for end in METRICS if any(m.endswith(end) for m in names))
        # Of boxes, and of masks if there are any.
        for metric in (name for name in names if name.endswith(end)):
            scale = 100 if 'mAP' in metric else 1
            drop = round(scale * (before[metric] - after[metric]), 2)
            if not drop <= max_drop:
                raise UserError(
                    f'int8 loses {drop:.2f} points of {metric} ({before[metric]:.4f} to '
                    f'{after[metric]:.4f}), more than --max-drop {max_drop:g}: not kept'
                )
    return str(out), before, after


def to_int8_onnx(path: str, inputs: Iterator[Feed], out: str, seven_bits: bool) -> None:
    """Quantize by ONNX Runtime, all but boxes and the image's convolution.

    The range of an activation is the mean of its extremes over the images, for minima and
    maxima follow a few bright ones. It would cut off the image; boxes need more bits.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> Feed | None:
            return next(inputs, None)

    nodes = onnx.load(path).graph.node
    quantization.quantize_static(
        path,
        out,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=['Conv', 'Gemm', 'MatMul'],
        nodes_to_exclude=[next(n.name for n in nodes if n.op_type == 'Conv')],
        per_channel=True,
        reduce_range=seven_bits,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options=dict(CalibMovingAverage=True),
    )


def to_int8_openvino(path: str, inputs: Iterator[Feed], out: str, *_: bool) -> None:
    """Quantize by NNCF, all but boxes, activations from their lowest to their highest value.

    Its default, symmetric around zero, cost a classifier 2.2 points, and boxes of 8 bits a
    Mask R-CNN 32.
    """
    import nncf
    import openvino

    images = list(inputs)
    # What belongs to no module, and so has no path for a name, computes boxes; what the
    # transposed convolution is called has none either.
    boxes = nncf.IgnoredScope(patterns=[r'^/?(?!Conv)[^/]+$'], validate=False)
    options = dict(preset=nncf.QuantizationPreset.MIXED, ignored_scope=boxes)
    model = openvino.Core().read_model(path)
    data = nncf.Dataset(images)
    model = nncf.quantize(model, data, subset_size=len(images), **options)
    openvino.save_model(model, out, compress_to_fp16=False)


def to_int8_litert(path: str, inputs: Iterator[Feed], out: str, *_: bool) -> None:
    """Quantize by LiteRT's own quantizer, in the environment of its converter.

    In the backbone also what is between layers: conversions cost what int8 gains.
    """
    with TemporaryDirectory() as folder:
        images = f'{folder}/images.npy'
        np.save(images, np.stack([feed['image'] for feed in inputs]))
        run_litert(LITERT_SCRIPT, path, images, out)


QUANTIZERS: dict[str, Callable[..., None]] = {
    '.onnx': to_int8_onnx,
    '.xml': to_int8_openvino,
    '.tflite': to_int8_litert,
}


def training_images(cfg: Config, count: int, seed: int = 0) -> list[str]:
    """Choose images of a config's training set at random.

    Raises:
        UserError: If there is no training set, or it cannot be read.
    """
    if count < 1:
        raise UserError(f'--int8 {count}: at least one image is needed')
    if cfg.get('train_dataloader') is None:
        raise UserError(
            f'{cfg.filename} has no train_dataloader: int8 needs images to know which '
            'values occur'
        )
    images: list[str] = []
    for path, dataset in build_datasets(cfg, 'train_dataloader'):
        problems, named = check_dataset(dataset, path)
        raise_if_fatal(problems)
        images += named
    return random.Random(seed).sample(images, min(count, len(images)))
