"""mmcv's own Python on top of the stand-ins: layers, gradients, batched NMS."""

import functools

import mmcv.ops
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from mmghost import ops

pytestmark = pytest.mark.skipif(
    ops.in_use() != 'fallback', reason='mmcv has compiled operators here'
)


# Along one random direction, in place of every input by itself: enough, and quick.
gradcheck = functools.partial(torch.autograd.gradcheck, fast_mode=True)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


ROIS = torch.tensor(
    [[0, 1.3, 2.1, 9.7, 11.2], [1, -3.1, -2.3, 5.2, 6.1], [1, 3.3, 1.2, 14.9, 13.3]],
    dtype=torch.float64,
)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_gradient_of_roi_align_is_the_slope_of_its_output(mode, ratio, aligned):
    layer = mmcv.ops.RoIAlign((2, 3), 0.5, ratio, mode, aligned)
    feature = random(2, 2, 6, 7).requires_grad_()
    assert gradcheck(lambda x: layer(x, ROIS), feature)


def test_gradient_of_roi_pool_is_the_slope_of_its_output():
    layer = mmcv.ops.RoIPool((2, 3), 0.5)
    feature = random(2, 2, 6, 7).requires_grad_()
    assert gradcheck(lambda x: layer(x, ROIS), feature)


@pytest.mark.parametrize('loss', ['sigmoid_focal_loss', 'softmax_focal_loss'])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_gradient_of_focal_loss_is_the_slope_of_the_loss(loss, reduction):
    logits, target = random(6, 4).requires_grad_(), torch.tensor([0, 3, 1, 2, 0, 3])
    weight = torch.tensor([1.0, 0.5, 2.0, 1.5], dtype=torch.float64)
    function = getattr(mmcv.ops, loss)
    assert gradcheck(lambda x: function(x, target, 2.0, 0.3, weight, reduction), logits)


def test_sigmoid_focal_loss_counts_background_as_negative_for_all_classes():
    logits = random(3, 4)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits, torch.tensor([4, -1, 4]), 2.0, 0.25, None, 'none'
    )
    p = logits.sigmoid()
    torch.testing.assert_close(loss, -0.75 * p**2 * (1 - p).log())


@pytest.mark.parametrize('loss', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_focal_loss_refuses_a_class_that_is_not_there(loss):
    with pytest.raises(ValueError, match='class number 9 is out of range'):
        getattr(mmcv.ops, loss)(random(2, 4), torch.tensor([0, 9]))


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 1), (1, 2)])
def test_gradients_of_deformable_convolution_are_slopes(groups, deform_groups):
    offset = random(2, 2 * deform_groups * 4, 3, 4, seed=1)
    inputs = (random(2, 4, 4, 5), offset, random(2, 4 // groups, 2, 2, seed=2))
    for tensor in inputs:
        tensor.requires_grad_()
    assert gradcheck(
        lambda *x: mmcv.ops.deform_conv2d(*x, 1, 0, 1, groups, deform_groups), inputs
    )


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 2)])
def test_gradients_of_modulated_convolution_are_slopes(groups, deform_groups):
    inputs = (
        random(2, 4, 4, 5),
        random(2, 2 * deform_groups * 4, 3, 4, seed=1),
        random(2, deform_groups * 4, 3, 4, seed=2),
        random(2, 4 // groups, 2, 2, seed=3),
        random(2, seed=4),
    )
    for tensor in inputs:
        tensor.requires_grad_()
    assert gradcheck(
        lambda *x: mmcv.ops.modulated_deform_conv2d(*x, 1, 0, 1, groups, deform_groups),
        inputs,
    )


def test_each_gradient_of_deformable_convolution_can_be_asked_for_alone():
    inputs = (random(2, 4, 4, 5), random(2, 8, 3, 4, seed=1), random(2, 4, 2, 2))
    for tensor in inputs:
        tensor.requires_grad_()
    output = mmcv.ops.deform_conv2d(*inputs)
    loss = (output**2).sum()
    together = torch.autograd.grad(loss, inputs, retain_graph=True)
    # Something else in between must not be remembered.
    torch.autograd.grad(output.sum(), inputs[:2], retain_graph=True)
    for tensor, expected in zip(inputs, together):
        (alone,) = torch.autograd.grad(loss, tensor, retain_graph=True)
        torch.testing.assert_close(alone, expected)


@pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])
def test_deformable_layer_starts_as_an_ordinary_convolution(kind):
    # Its shifts start at 0, and DCNv2's factors at sigmoid(0) = 1/2.
    layer = MODELS.build(
        dict(type=kind, in_channels=4, out_channels=6, kernel_size=3, padding=1)
    )
    with torch.no_grad():
        layer.conv_offset.weight.zero_()
        if layer.conv_offset.bias is not None:
            layer.conv_offset.bias.zero_()
    x = random(2, 4, 7, 5).float()
    plain = torch.nn.functional.conv2d(x, layer.weight, padding=1)
    expected = plain if kind == 'DCN' else plain / 2
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def crowd() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = np.random.RandomState(0)
    corner = generator.rand(300, 2) * 60
    boxes = np.concatenate([corner, corner + 5 + generator.rand(300, 2) * 20], axis=1)
    scores, classes = generator.rand(300), generator.randint(0, 4, 300)
    return (
        torch.tensor(boxes).float(),
        torch.tensor(scores).float(),
        torch.tensor(classes),
    )


@pytest.mark.parametrize(
    'kind, settings',
    [('nms', dict(iou_threshold=0.5)), ('soft_nms', dict(min_score=0.3))],
)
def test_batched_nms_is_nms_of_each_class(crowd, kind, settings):
    boxes, scores, classes = crowd
    dets, keep = mmcv.ops.batched_nms(boxes, scores, classes, settings | {'type': kind})
    expected = []
    for number in range(4):
        own = (classes == number).nonzero()[:, 0]
        one, kept = getattr(mmcv.ops, kind)(boxes[own], scores[own], **settings)
        expected += list(zip(one[:, 4].tolist(), own[kept].tolist()))
    found = dict(zip(keep.tolist(), dets[:, 4].tolist()))
    assert found.keys() == {index for _, index in expected}
    for score, index in expected:
        assert found[index] == pytest.approx(
            score, abs=1e-4
        )  # moved apart: fewer digits
    assert len(keep) < len(boxes)


def test_batched_nms_in_parts_keeps_the_same_boxes(crowd):
    whole = mmcv.ops.batched_nms(*crowd, dict(type='nms', iou_threshold=0.5))
    parts = mmcv.ops.batched_nms(
        *crowd, dict(type='nms', iou_threshold=0.5, split_thr=100)
    )
    for one, other in zip(whole, parts):
        torch.testing.assert_close(one, other)


def test_nms_filters_by_score_and_takes_arrays(crowd):
    boxes, scores, _ = (tensor.numpy() for tensor in crowd)
    dets, keep = mmcv.ops.nms(boxes, scores, 0.5, score_threshold=0.4, max_num=7)
    assert isinstance(dets, np.ndarray) and len(keep) == 7
    assert (dets[:, 4] > 0.4).all() and (scores[keep] == dets[:, 4]).all()


def test_operators_run_in_bfloat16_which_compiled_mmcv_has_not():
    feature = random(1, 2, 6, 7).bfloat16().requires_grad_()
    output = mmcv.ops.RoIAlign((2, 2), 0.5)(feature, ROIS[:1].bfloat16())
    output.sum().backward()
    assert output.dtype == feature.grad.dtype == torch.bfloat16
    wide = mmcv.ops.RoIAlign((2, 2), 0.5)(feature.float(), ROIS[:1].bfloat16().float())
    # bfloat16 has 8 significant bits.
    torch.testing.assert_close(output.float(), wide, rtol=2**-8, atol=0)


def test_roi_align_refuses_a_roi_of_negative_size_as_mmcv_does():
    with pytest.raises(RuntimeError, match='RoI 0 is'):
        mmcv.ops.RoIAlign((2, 2))(random(1, 1, 4, 4), ROIS[:1, [0, 3, 4, 1, 2]])


def test_large_rois_are_pooled_in_parts_with_the_same_result(monkeypatch):
    from mmghost.ops import roi_align, roi_pool

    feature = random(2, 3, 20, 20)
    rois = torch.cat([ROIS, ROIS * 2])
    rois[:, 0] = torch.arange(6) % 2
    layers = [mmcv.ops.RoIAlign((2, 2), 1.0, 0, 'max'), mmcv.ops.RoIPool((2, 2), 1.0)]
    whole = [layer(feature, rois) for layer in layers]
    monkeypatch.setattr(roi_align, 'CHUNK', 500)
    monkeypatch.setattr(roi_pool, 'CHUNK', 500)
    for layer, expected in zip(layers, whole):
        assert torch.equal(layer(feature, rois), expected)


def test_deterministic_mode_of_torch_is_relaxed_for_one_operator_and_restored():
    from mmghost.ops.backend import tolerate_nondeterminism

    class OnGPU:
        is_cuda = True

    torch.use_deterministic_algorithms(True)
    try:
        with tolerate_nondeterminism(OnGPU()):
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
