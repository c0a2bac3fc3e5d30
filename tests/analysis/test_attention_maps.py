"""Gates, and what a position draws on, are what the documentation says they are."""

import numpy as np
import pytest
import torch
import torch.nn as nn

from mmghost.analysis import attention_maps
from mmghost.analysis.attention_maps import drawn_on, to_input
from mmghost.errors import UserError
from mmghost.models import DFCAttention, GhostNetV1, GhostNetV2
from tests.helpers import image, randomize, relative_error

# float32: sums of some hundred products in another order.
ROUNDING = 1e-5


@pytest.fixture(scope='module')
def backbone() -> GhostNetV2:
    return randomize(GhostNetV2(0.25, out_indices=(4,))).eval()


def test_gates_are_those_that_the_network_multiplies_with(backbone):
    x = image(1, 3, 128, 192)
    stages = attention_maps(backbone, x)
    assert [stage.stride for stage in stages] == [4, 8, 16, 32]
    assert [stage.blocks for stage in stages] == [2, 2, 6, 4]
    assert [stage.gate.shape for stage in stages] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    # By hand at stride 4: the input of each ghost module, through its attention.
    gates = []
    with torch.no_grad():
        y = backbone.act1(backbone.bn1(backbone.conv_stem(x)))
        for block in (block for group in backbone.blocks[:4] for block in group):
            if block.ghost1.short_conv is not None and y.shape[-1] == 48:
                gate = block.ghost1.short_conv(y, torch.empty(1, 1, *y.shape[2:]))
                gates.append(gate[0].mean(0)[::2, ::2])
            y = block(y)
    expected = torch.stack(gates).mean(0)
    assert relative_error(torch.from_numpy(stages[0].gate), expected) < ROUNDING


def test_a_position_draws_on_its_window_as_the_product_of_both_kernels():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.dfc = DFCAttention(4, 6)

        def forward(self, x):
            return self.dfc(x, x)

    dfc = randomize(Alone()).eval().dfc
    x = image(1, 4, 32, 40)
    drawn = drawn_on(dfc, x, 7, 9)
    with torch.no_grad():
        values = dfc[1](dfc[0](nn.functional.avg_pool2d(x, 2)))[0]

        def scale(norm):
            return norm.weight / (norm.running_var + norm.eps).sqrt()

        kernels = dfc[4].weight[:, 0] * dfc[2].weight[:, 0]  # (C, 5, 1) * (C, 1, 5)
        weights = kernels * (scale(dfc[3]) * scale(dfc[5]))[:, None, None]
        window = (weights * values[:, 5:10, 7:12]).abs().mean(0)
        expected = torch.zeros(16, 20)
        expected[5:10, 7:12] = window / window.sum()
    assert relative_error(drawn, expected) < ROUNDING


def test_a_query_is_at_the_same_place_at_every_stride(backbone):
    for stage in attention_maps(backbone, image(1, 3, 128, 192), (0.3, 0.9)):
        height, width = stage.gate.shape
        assert stage.query == (int(0.3 * height), int(0.9 * width))
        rows, columns = np.nonzero(stage.drawn)
        assert abs(rows - stage.query[0]).max() <= 2  # the kernels have 5 weights
        assert abs(columns - stage.query[1]).max() <= 2
        assert stage.drawn.sum() == pytest.approx(1, abs=1e-4)


def test_networks_without_maps_are_refused():
    x = image(1, 3, 64, 64)
    with pytest.raises(UserError, match='has no DFC attention'):
        attention_maps(GhostNetV1(0.25).eval(), x)
    with pytest.raises(UserError, match='output_stride=32'):
        attention_maps(GhostNetV2(0.25, output_stride=8).eval(), x)


def test_the_network_keeps_no_hook_and_no_gradient(backbone):
    attention_maps(backbone, image(1, 3, 64, 64), (0.5, 0.5))
    assert not any(m._forward_pre_hooks for m in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())


def test_images_are_normalized_as_the_toolbox_does():
    from mmdet.models import DetDataPreprocessor

    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    model = nn.Conv2d(3, 3, 1)
    model.data_preprocessor = DetDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    bgr = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1])).permute(2, 0, 1)
    theirs = model.data_preprocessor({'inputs': [bgr]})['inputs']
    assert relative_error(to_input(pixels, model), theirs) < 1e-6  # float32
