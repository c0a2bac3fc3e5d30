"""Exported files in int8, by ONNX Runtime's own post-training quantisation."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ..errors import UserError
from .data import build_dataset
from .runtime.facts import Facts, FileFault
from .runtime.pictures import prepare, read_picture
from .runtime.runner import Feed, Runner

# What follows the heads stays in float32: it is cheap, and boxes are no numbers of 8 bits.
OPERATORS = ('Conv', 'Gemm', 'MatMul')


class Quantised(NamedTuple):
    """A file in int8.

    Args:
        path: Where it is.
        pictures: How many pictures it was calibrated with.
    """

    path: str
    pictures: int


def quantise(
    cfg: Config, path: str, pictures: int = 64, out: str | None = None
) -> Quantised:
    """Quantise an exported file, weights by channel and activations by tensor.

    The weights take 7 bits of the 8: on x86 CPUs without VNNI the sum of two products of
    8 bits overflows without a word.

    Args:
        cfg: The config that it was exported with; pictures of its training set, prepared
            as for a test, say which values occur.
        path: The exported file.
        pictures: How many.
        out: The file to write; default: ``NAME_int8.onnx``.

    Returns:
        The new file and how many pictures there were.

    Raises:
        UserError: If there are no pictures, or the file is quantised already.
    """
    from onnxruntime import quantization

    facts = Facts.of_file(path)
    if facts.precision != 'float32':
        raise UserError(f'{path} is in {facts.precision} already')
    out = out or str(Path(path).with_suffix('')) + '_int8.onnx'
    chosen = training_pictures(cfg, pictures)
    runner = Runner(path, 'onnxruntime')

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = feeds(runner, chosen)

        def get_next(self) -> Feed | None:
            return next(self.feeds, None)

    try:
        with without_advice():
            quantization.quantize_static(
                path,
                out,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except FileFault as fault:
        raise UserError(str(fault)) from None
    _relabel(out, replace(facts, precision='int8'))
    return Quantised(out, len(chosen))


@contextmanager
def without_advice() -> Iterator[None]:
    """Leave out the advice to pre-process a file first: it brings nothing here.

    What the quantiser means, folded batch norms and constants, the export has done.
    """
    root = logging.getLogger()

    def other(record: logging.LogRecord) -> bool:
        return 'consider to run pre-processing' not in record.getMessage()

    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


def training_pictures(cfg: Config, count: int, seed: int = 0) -> list[str]:
    """Choose pictures of a config's training set at random.

    Raises:
        UserError: If there is no training set.
    """
    check_count(count)
    if cfg.get('train_dataloader') is None:
        raise UserError(
            f'{cfg.filename} has no train_dataloader: int8 needs pictures to know which '
            'values occur'
        )
    dataset = build_dataset(cfg, 'train_dataloader')
    numbers = random.Random(seed).sample(range(len(dataset)), min(count, len(dataset)))
    return [dataset.get_data_info(number)['img_path'] for number in numbers]


def check_count(count: int) -> None:
    """Check a number of pictures, before anything takes time.

    Raises:
        UserError: If there are none.
    """
    if count < 1:
        raise UserError(f'--int8 {count}: at least one picture is needed')


def feeds(runner: Runner, paths: list[str]) -> Iterator[Feed]:
    """Yield the inputs for each picture."""
    for path in paths:
        picture = read_picture(path, runner.facts.orientation)
        yield runner.feed(prepare(picture, runner.facts))


def _relabel(path: str, facts: Facts) -> None:
    """Write other facts into a file."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, facts.to_properties())
    onnx.save(model, path)
