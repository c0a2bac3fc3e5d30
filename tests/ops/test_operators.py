"""The stand-ins return what mmcv's compiled operators return, and mmcv runs on them."""

import json
from pathlib import Path
from typing import NamedTuple

import mmcv.ops
import numpy as np
import pytest
import torch
from torch import Tensor

from mmghost import ops
from mmghost.ops import operators
from mmghost.ops.extension import make_extension
from tests.helpers import image

FOLDER = Path(__file__).parent / 'records'

# rtol = atol. float32 and float64 differ by the order of sums alone; scores and losses
# are at most a few units. mmcv sums float16 in float16, up to 36 terms of the order of
# 1, which have steps of 1/1024 to 1/128; the stand-ins sum in float32.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 3e-2}


class Record(NamedTuple):
    """What one operator of mmcv returned for one input; see records/README.md."""

    operator: str
    name: str
    inputs: dict[str, Tensor]
    settings: dict
    outputs: dict[str, Tensor]

    def __str__(self) -> str:
        return f'{self.operator}-{self.name}'


def load() -> list[Record]:
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


def nms(boxes, scores, **settings):
    return {'kept': operators.nms(boxes, scores, **settings)}


def softnms(boxes, scores, **settings):
    dets = boxes.new_zeros(len(boxes), 5)
    kept = operators.softnms(boxes, scores, dets, **settings)
    return {'kept': kept, 'dets': dets[: len(kept)]}


def roi_align(feature, rois, grad, **settings):
    output, grad_input = torch.zeros_like(grad), torch.zeros_like(feature)
    unused = (feature.new_zeros(0), feature.new_zeros(0))
    operators.roi_align_forward(feature, rois, output, *unused, **settings)
    operators.roi_align_backward(grad, rois, *unused, grad_input, **settings)
    return {'output': output, 'grad_input': grad_input}


def sigmoid_focal_loss(logits, target, weight, **settings):
    output, grad = torch.zeros_like(logits), torch.zeros_like(logits)
    operators.sigmoid_focal_loss_forward(logits, target, weight, output, **settings)
    operators.sigmoid_focal_loss_backward(logits, target, weight, grad, **settings)
    return {'output': output, 'grad_input': grad}


CALLS = {call.__name__: call for call in (nms, softnms, roi_align, sigmoid_focal_loss)}
RECORDS = {name: [r for r in load() if r.operator == name] for name in CALLS}


@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
@pytest.mark.parametrize('operator', CALLS)
def test_stand_in_returns_what_compiled_mmcv_returned(operator, device):
    device = 'cpu' if operator == 'softnms' else device  # as in mmcv
    assert len(RECORDS[operator]) >= 12
    for record in RECORDS[operator]:
        inputs = {key: value.to(device) for key, value in record.inputs.items()}
        found = CALLS[operator](**inputs, **record.settings)
        assert found.keys() == record.outputs.keys()
        for key, value in record.outputs.items():
            tolerance = TOLERANCES.get(value.dtype, 0)
            torch.testing.assert_close(
                found[key].cpu(),
                value,
                rtol=tolerance,
                atol=tolerance,
                equal_nan=True,
                msg=lambda text, at=f'{record}, {key}': f'{at}: {text}',
            )


# From here on through mmcv's own Python.
on_stand_ins = pytest.mark.skipif(
    ops.in_use() != 'fallback', reason='mmcv has compiled operators here'
)
ROIS = torch.tensor([[0, 1.3, 2.1, 9.7, 11.2]])


@on_stand_ins
def test_focal_loss_of_saturated_logits_is_finite_and_so_is_its_gradient():
    logits = torch.tensor([[300.0, -300.0], [300.0, -300.0]], requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(logits, torch.tensor([0, 1]), 0.5, 0.25)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@on_stand_ins
def test_roi_align_runs_in_bfloat16():
    feature = image(1, 2, 6, 7).bfloat16().requires_grad_()
    output = mmcv.ops.RoIAlign((2, 2), 0.5)(feature, ROIS.bfloat16())
    output.sum().backward()
    assert output.dtype == feature.grad.dtype == torch.bfloat16
    wide = mmcv.ops.RoIAlign((2, 2), 0.5)(feature.float(), ROIS.bfloat16().float())
    # bfloat16 has 8 significant bits.
    torch.testing.assert_close(output.float(), wide, rtol=2**-8, atol=0)


@pytest.mark.parametrize(
    'name', ['deform_conv_forward', 'roi_pool_forward', 'softmax_focal_loss_forward']
)
def test_an_operator_without_stand_in_raises_at_the_call_and_says_what_to_do(name):
    operator = getattr(make_extension(), name)
    with pytest.raises(NotImplementedError, match=f"'{name}'.*Compiled operators"):
        operator(torch.rand(3, 5), iou_threshold=0.5)


@on_stand_ins
def test_maximum_pooling_of_rois_is_refused():
    with pytest.raises(NotImplementedError, match="pool_mode='max'"):
        mmcv.ops.RoIAlign((2, 2), pool_mode='max')(image(1, 2, 6, 7), ROIS)
