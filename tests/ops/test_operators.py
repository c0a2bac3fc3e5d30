"""The stand-ins return what mmcv's compiled operators return, and mmcv runs on them."""

import json
from pathlib import Path
from typing import NamedTuple

import mmcv.ops
import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from mmghost import ops
from mmghost.ops import operators
from mmghost.ops.extension import make_extension

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
ROIS = torch.tensor(
    [[0, 1.3, 2.1, 9.7, 11.2], [1, -3.1, -2.3, 5.2, 6.1], [1, 3.3, 1.2, 14.9, 13.3]],
    dtype=torch.float64,
)


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@on_stand_ins
@pytest.mark.parametrize('deterministic', [False, True])
def test_gradient_of_roi_align_is_the_slope_of_its_output(deterministic):
    layer = mmcv.ops.RoIAlign((2, 3), 0.5, 2)
    feature = random(2, 2, 6, 7).requires_grad_()
    torch.use_deterministic_algorithms(deterministic)
    try:
        assert torch.autograd.gradcheck(lambda x: layer(x, ROIS), feature)
    finally:
        torch.use_deterministic_algorithms(False)


@on_stand_ins
@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
def test_focal_loss_and_its_gradient_are_those_of_torchvision(gamma):
    logits = random(6, 4).requires_grad_()
    one_hot = torch.eye(5, 4, dtype=torch.float64)[[0, 3, 1, 4, 4, 2]]
    expected = torchvision.ops.sigmoid_focal_loss(logits, one_hot, 0.3, gamma)
    target = torch.tensor([0, 3, 1, 4, -1, 2])  # 4 and -1 are background
    loss = mmcv.ops.sigmoid_focal_loss(logits, target, gamma, 0.3, None, 'none')
    torch.testing.assert_close(loss, expected)
    slopes = [torch.autograd.grad(x.sum(), logits)[0] for x in (loss, expected)]
    torch.testing.assert_close(*slopes)


@on_stand_ins
def test_focal_loss_of_saturated_logits_is_finite_and_so_is_its_gradient():
    logits = torch.tensor([[300.0, -300.0], [300.0, -300.0]], requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(logits, torch.tensor([0, 1]), 0.5, 0.25)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@on_stand_ins
@pytest.mark.parametrize(
    'kind, settings',
    [('nms', dict(iou_threshold=0.5)), ('soft_nms', dict(min_score=0.3))],
)
def test_batched_nms_is_nms_of_each_class(kind, settings):
    generator = np.random.RandomState(0)
    corner = generator.rand(300, 2) * 60
    boxes = np.concatenate([corner, corner + 5 + generator.rand(300, 2) * 20], axis=1)
    boxes, scores = torch.tensor(boxes).float(), torch.tensor(generator.rand(300))
    scores, classes = scores.float(), torch.tensor(generator.randint(0, 4, 300))
    dets, keep = mmcv.ops.batched_nms(boxes, scores, classes, settings | {'type': kind})
    expected = {}
    for number in range(4):
        own = (classes == number).nonzero()[:, 0]
        one, kept = getattr(mmcv.ops, kind)(boxes[own], scores[own], **settings)
        expected.update(zip(own[kept].tolist(), one[:, 4].tolist()))
    found = dict(zip(keep.tolist(), dets[:, 4].tolist()))
    # batched_nms moves the classes apart, which costs digits.
    assert found == pytest.approx(expected, abs=1e-4)
    assert len(keep) < len(boxes)


@on_stand_ins
def test_roi_align_runs_in_bfloat16():
    feature = random(1, 2, 6, 7).bfloat16().requires_grad_()
    output = mmcv.ops.RoIAlign((2, 2), 0.5)(feature, ROIS[:1].bfloat16())
    output.sum().backward()
    assert output.dtype == feature.grad.dtype == torch.bfloat16
    wide = mmcv.ops.RoIAlign((2, 2), 0.5)(feature.float(), ROIS[:1].bfloat16().float())
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
        mmcv.ops.RoIAlign((2, 2), pool_mode='max')(random(1, 2, 6, 7), ROIS[:1])
