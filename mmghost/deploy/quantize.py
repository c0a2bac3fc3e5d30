"""Exported files in int8, by ONNX Runtime's static quantization and by NNCF."""

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from ..checks.datasets import check_dataset
from ..checks.preflight import build_datasets
from ..checks.problems import raise_if_fatal
from ..errors import UserError
from .evaluate import evaluate
from .runtime.images import prepare, read_image
from .runtime.metadata import FileError
from .runtime.runner import Feed, Runner

# Decoding and NMS stay in float32: they are cheap, and boxes need more than 8 bits.
OPERATORS = ('Conv', 'Gemm', 'MatMul')
# Ends of the names of the metrics that decide, the first that there is.
METRICS = ('bbox_mAP', 'mIoU', 'top1', 'mAP', '')


def quantize(
    cfg: Config,
    path: str,
    images: int = 64,
    out: str | None = None,
    seven_bits: bool = False,
) -> str:
    """Quantize an exported file: weights by channel, activations by tensor.

    The range of an activation is the mean of its extremes over the images. Minima and
    maxima over all of them follow a few bright images, and cost a segmentor up to 27
    points of mIoU.

    Args:
        cfg: The config that it was exported with; images of its training set, prepared
            as for a test, say which values occur.
        path: The exported file.
        images: Number of images.
        out: The file to write; default: ``NAME_int8.onnx``.
        seven_bits: Use 7 of the 8 bits of the weights, for x86 CPUs without VNNI, whose
            sums of two 8-bit products overflow.

    Returns:
        The file.

    Raises:
        UserError: If there are no images, or the file is quantized already.
    """
    from onnxruntime import quantization

    try:
        runner = Runner(path, 'onnxruntime')
        if runner.metadata.precision != 'float32':
            raise UserError(f'{path} is in {runner.metadata.precision} already')
        out = out or str(Path(path).with_suffix('')) + '_int8.onnx'
        chosen = training_images(cfg, images)

        class Reader(quantization.CalibrationDataReader):
            def __init__(self) -> None:
                self.feeds = feeds(runner, chosen)

            def get_next(self) -> Feed | None:
                return next(self.feeds, None)

        quantization.quantize_static(
            path,
            out,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            reduce_range=seven_bits,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options=dict(CalibMovingAverage=True),
        )
    except FileError as error:
        raise UserError(str(error)) from error
    write_metadata(out, replace(runner.metadata, precision='int8').to_properties())
    return out


def quantize_openvino(cfg: Config, path: str, images: int = 64) -> str:
    """Quantize an OpenVINO file by NNCF's default.

    Args:
        cfg: The config that it was exported with.
        path: The exported file, ``.xml``.
        images: Number of images of the training set.

    Returns:
        The file written, ``NAME_int8.xml``.

    Raises:
        UserError: If NNCF or the images are missing.
    """
    if not importlib.util.find_spec('nncf'):
        raise UserError('int8 of OpenVINO needs nncf: pip install nncf')
    import nncf
    import openvino

    runner = Runner(path, 'openvino')
    chosen = training_images(cfg, images)
    dataset = nncf.Dataset(list(feeds(runner, chosen)))
    model = openvino.Core().read_model(path)
    model = nncf.quantize(model, dataset, subset_size=len(chosen))
    model.set_rt_info('"int8"', ['framework', 'mmghost.precision'])
    out = str(Path(path).with_suffix('')) + '_int8.xml'
    openvino.save_model(model, out, compress_to_fp16=False)
    return out


def quantize_checked(
    cfg: Config, path: str, images: int, max_drop: float = 1.0, seven_bits: bool = False
) -> tuple[str, dict[str, float], dict[str, float]]:
    """Quantize a file, and keep it if it scores nearly as well on the test set.

    Args:
        cfg: The config.
        path: The exported file.
        images: Number of images to calibrate with.
        max_drop: Largest loss in points, of 100; mmdet's AP of 0 to 1 counts as 100.
        seven_bits: See :func:`quantize`.

    Returns:
        The file, and the metrics in float32 and in int8.

    Raises:
        UserError: If it loses more; the file is not kept then.
    """
    if path.endswith('.xml'):
        out = quantize_openvino(cfg, path, images)
    else:
        out = quantize(cfg, path, images, seven_bits=seven_bits)
    before, after = (evaluate(cfg, file) for file in (path, out))
    metric = next(name for key in METRICS for name in before if name.endswith(key))
    scale = 100 if 'mAP' in metric else 1
    drop = scale * (before[metric] - after[metric])
    if not drop <= max_drop:
        Path(out).unlink()
        Path(out).with_suffix('.bin').unlink(missing_ok=True)
        raise UserError(
            f'int8 loses {drop:.2f} points of {metric} ({before[metric]:.4f} to '
            f'{after[metric]:.4f}), more than --max-drop {max_drop:g}: not kept'
        )
    return out, before, after


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


def feeds(runner: Runner, paths: list[str]) -> Iterator[Feed]:
    """Yield the inputs for each image."""
    for path in paths:
        image = read_image(path, runner.metadata.orientation)
        yield runner.feed(prepare(image, runner.metadata))


def write_metadata(path: str, properties: dict[str, str]) -> None:
    """Write the metadata of an ONNX file."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
