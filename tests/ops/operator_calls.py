"""Records of mmcv's operators, and calls of one operator as mmcv's own Python makes it.

A call takes an ``mmcv._ext`` - compiled, or mmghost's stand-in - and plain tensors, runs
forward and backward, and returns everything that the operator writes.
"""

import json
import os
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import mmcv
import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / 'records'


class Record(NamedTuple):
    """What one operator made of one input."""

    operator: str
    name: str
    inputs: dict[str, Tensor]
    settings: dict
    outputs: dict[str, Tensor]

    def __str__(self) -> str:
        return f'{self.operator}-{self.name}'


def compiled_ext(path: str | None = None) -> ModuleType | None:
    """Load mmcv's compiled operators, whether or not mmghost has put its stand-ins in.

    Args:
        path: File to load; by default the environment variable ``MMGHOST_TEST_EXT``,
            then the installed mmcv.

    Returns:
        The module, or None where there is none.
    """
    path = path or os.environ.get('MMGHOST_TEST_EXT')
    if path:
        spec = spec_from_file_location('mmcv._ext', path)
    else:
        spec = PathFinder.find_spec('mmcv._ext', mmcv.__path__)
    if spec is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save(records: list[Record]) -> int:
    """Write the records of one operator to its file; return the file's size.

    All numbers of a type lie one after the other in one array, since thousands of
    small arrays would take more room for their headers than for their numbers.
    """
    numbers, index = {}, []
    for record in records:
        tensors = []
        for part in ('inputs', 'outputs'):
            for key, tensor in getattr(record, part).items():
                kind = str(tensor.numpy().dtype)
                numbers.setdefault(kind, []).append(tensor.numpy().ravel())
                tensors.append([part, key, kind, list(tensor.shape)])
        index.append([record.name, record.settings, tensors])
    path = FOLDER / f'{records[0].operator}.npz'
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(
        path,
        index=np.array(json.dumps(index)),
        **{kind: np.concatenate(arrays) for kind, arrays in numbers.items()},
    )
    return path.stat().st_size


def load() -> list[Record]:
    """Read the records of all operators."""
    records = []
    for path in sorted(FOLDER.glob('*.npz')):
        with np.load(path, allow_pickle=False) as file:
            numbers = dict(file)
        taken = dict.fromkeys(numbers, 0)
        for name, settings, tensors in json.loads(str(numbers['index'])):
            record = Record(path.stem, name, {}, settings, {})
            for part, key, kind, shape in tensors:
                start, count = taken[kind], int(np.prod(shape))
                taken[kind] += count
                array = numbers[kind][start : start + count].reshape(shape)
                getattr(record, part)[key] = torch.from_numpy(array)
            records.append(record)
    return records


def call(ext: object, operator: str, inputs: dict, settings: dict) -> dict[str, Tensor]:
    """Run an operator, and its gradient where it has one."""
    # Copies, since an operator may work in place.
    return CALLS[operator](ext, **{k: v.clone() for k, v in inputs.items()}, **settings)


def nms(ext: object, boxes: Tensor, scores: Tensor, **settings: float) -> dict:
    return {'kept': ext.nms(boxes, scores, **settings)}


def softnms(ext: object, boxes: Tensor, scores: Tensor, **settings: float) -> dict:
    dets = boxes.new_zeros(len(boxes), 5)
    kept = ext.softnms(boxes, scores, dets, **settings)
    return {'kept': kept, 'dets': dets[: len(kept)]}


def nms_match(ext: object, dets: Tensor, iou_threshold: float) -> dict:
    groups = ext.nms_match(dets, iou_threshold=iou_threshold)
    return {
        'members': torch.tensor([i for group in groups for i in group], dtype=int),
        'lengths': torch.tensor([len(group) for group in groups], dtype=int),
    }


def roi_align(
    ext: object, feature: Tensor, rois: Tensor, grad: Tensor, **settings: float
) -> dict:
    output = torch.zeros_like(grad)
    maximum = settings['pool_mode'] == 0
    argmax_y, argmax_x = (feature.new_zeros(grad.shape if maximum else 0) for _ in 'yx')
    ext.roi_align_forward(feature, rois, output, argmax_y, argmax_x, **settings)
    grad_input = torch.zeros_like(feature)
    ext.roi_align_backward(grad, rois, argmax_y, argmax_x, grad_input, **settings)
    result = {'output': output, 'grad_input': grad_input}
    return result | ({'argmax_y': argmax_y, 'argmax_x': argmax_x} if maximum else {})


def roi_pool(
    ext: object, feature: Tensor, rois: Tensor, grad: Tensor, **settings: float
) -> dict:
    output = torch.zeros_like(grad)
    argmax = torch.zeros_like(grad, dtype=torch.int)
    ext.roi_pool_forward(feature, rois, output, argmax, **settings)
    grad_input = torch.zeros_like(feature)
    ext.roi_pool_backward(grad, rois, argmax, grad_input, **settings)
    return {'output': output, 'argmax': argmax, 'grad_input': grad_input}


def sigmoid_focal_loss(
    ext: object, logits: Tensor, target: Tensor, weight: Tensor, **settings: float
) -> dict:
    output, grad = torch.zeros_like(logits), torch.zeros_like(logits)
    ext.sigmoid_focal_loss_forward(logits, target, weight, output, **settings)
    ext.sigmoid_focal_loss_backward(logits, target, weight, grad, **settings)
    return {'output': output, 'grad_input': grad}


def softmax_focal_loss(
    ext: object, softmax: Tensor, target: Tensor, weight: Tensor, **settings: float
) -> dict:
    output, buff = (softmax.new_zeros(len(softmax)) for _ in range(2))
    grad = torch.zeros_like(softmax)
    ext.softmax_focal_loss_forward(softmax, target, weight, output, **settings)
    ext.softmax_focal_loss_backward(softmax, target, weight, buff, grad, **settings)
    return {'output': output, 'buff': buff, 'grad_input': grad}


def deform_conv(
    ext: object,
    feature: Tensor,
    offset: Tensor,
    weight: Tensor,
    grad: Tensor,
    **settings: int,
) -> dict:
    output = torch.empty_like(grad)
    columns, ones = feature.new_empty(0), feature.new_empty(0)
    ext.deform_conv_forward(feature, weight, offset, output, columns, ones, **settings)
    by = {
        f'grad_{k}': torch.zeros_like(v)
        for k, v in {'feature': feature, 'offset': offset, 'weight': weight}.items()
    }
    ext.deform_conv_backward_input(
        feature, offset, grad, by['grad_feature'], by['grad_offset'], weight, columns,
        **settings,
    )  # fmt: skip
    ext.deform_conv_backward_parameters(
        feature, offset, grad, by['grad_weight'], columns, ones, scale=1, **settings
    )
    return {'output': output, **by}


def modulated_deform_conv(
    ext: object,
    feature: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    grad: Tensor,
    **settings: int,
) -> dict:
    output = torch.empty_like(grad)
    ones, columns = feature.new_empty(0), feature.new_empty(0)
    ext.modulated_deform_conv_forward(
        feature, weight, bias, ones, offset, mask, output, columns, **settings
    )
    by = [torch.zeros_like(t) for t in (feature, weight, bias, offset, mask)]
    ext.modulated_deform_conv_backward(
        feature, weight, bias, ones, offset, mask, columns, *by, grad, **settings
    )
    names = ('grad_feature', 'grad_weight', 'grad_bias', 'grad_offset', 'grad_mask')
    return {'output': output, **dict(zip(names, by))}


CALLS: dict[str, Callable] = {
    operator.__name__: operator
    for operator in (
        nms,
        softnms,
        nms_match,
        roi_align,
        roi_pool,
        sigmoid_focal_loss,
        softmax_focal_loss,
        deform_conv,
        modulated_deform_conv,
    )
}
