"""Gates and the attention of a position are what the documentation says they are."""

import mmcv
import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config

from mmghost.analysis.attention_maps import (
    drawn_on,
    query_fraction,
    stage_maps,
    to_input,
    undilate,
)
from mmghost.analysis.attention_pictures import draw_attention
from mmghost.analysis.grad_cam import (
    ClassScores,
    class_index,
    grad_cam,
    stages_that_heads_see,
)
from mmghost.errors import UserError
from mmghost.models import (
    AttentionMobileNetV2,
    DFCAttention,
    GhostNetV1,
    GhostNetV2,
)
from tests.helpers import picture, randomise, relative_error


@pytest.fixture(scope='module')
def backbone() -> GhostNetV2:
    return randomise(GhostNetV2(0.25, out_indices=(4,))).eval()


def test_gates_are_those_that_the_network_multiplies_with(backbone):
    x = picture(1, 3, 128, 192)
    stages = stage_maps(backbone, x)
    assert [stage.stride for stage in stages] == [4, 8, 16, 32]
    assert [stage.blocks for stage in stages] == [2, 2, 6, 4]
    assert [stage.gate.shape for stage in stages] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    # By hand for the first two: what each ghost module is given, through its attention.
    gates = []
    with torch.no_grad():
        y = backbone.act1(backbone.bn1(backbone.conv_stem(x)))
        for group in list(backbone.blocks)[:4]:
            for block in group:
                if block.ghost1.short_conv is not None:
                    target = torch.empty(1, 1, *y.shape[2:])
                    gates.append(block.ghost1.short_conv(y, target)[0].mean(0))
                y = block(y)
    at_stride_4 = [gate[::2, ::2] for gate in gates if gate.shape[-1] == 48]
    expected = torch.stack(at_stride_4).mean(0)
    assert relative_error(torch.from_numpy(stages[0].gate), expected) < 1e-5


def test_a_position_draws_on_its_window_as_the_product_of_both_kernels():
    dfc = _attention()
    x = picture(1, 4, 32, 40)
    drawn = drawn_on(dfc, x, (7, 9))
    assert drawn.shape == (16, 20)
    assert float(drawn.sum()) == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        values = dfc[1](dfc[0](nn.functional.avg_pool2d(x, 2)))[0]

        def scale(norm):
            return norm.weight / (norm.running_var + norm.eps).sqrt()

        across, down = dfc[2].weight[:, 0, 0], dfc[4].weight[:, 0, :, 0]
        weights = (
            down[:, :, None]
            * across[:, None]
            * (scale(dfc[3]) * scale(dfc[5]))[:, None, None]
        )
        expected = torch.zeros(16, 20)
        window = (weights * values[:, 5:10, 7:12]).abs().mean(0)
        expected[5:10, 7:12] = window / window.sum()
    assert relative_error(drawn, expected) < 1e-5


def _attention() -> DFCAttention:
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.dfc = DFCAttention(4, 6)

        def forward(self, x):
            return self.dfc(x, x)

    return randomise(Alone()).eval().dfc


def test_a_query_is_at_the_same_place_in_every_stage(backbone):
    x = picture(1, 3, 128, 192)
    for stage in stage_maps(backbone, x, (0.3, 0.9)):
        height, width = stage.gate.shape
        assert stage.query == (int(0.3 * height), int(0.9 * width))
        y, x_ = np.unravel_index(stage.drawn.argmax(), stage.drawn.shape)
        assert abs(y - stage.query[0]) <= 2 and abs(x_ - stage.query[1]) <= 2
        assert stage.drawn.sum() == pytest.approx(1, abs=1e-4)


def test_other_networks_with_dfc_are_read_too():
    model = AttentionMobileNetV2(0.25, attention=dict(type='DFCAttention')).eval()
    for size in ((64, 64), (214, 320), (97, 130)):
        strides = [stage.stride for stage in stage_maps(model, picture(1, 3, *size))]
        assert strides == [2, 4, 8, 16, 32]


def test_what_cannot_be_shown_is_refused(backbone):
    x = picture(1, 3, 64, 64)
    with pytest.raises(UserError, match='has no DFC attention'):
        stage_maps(GhostNetV1(0.25).eval(), x)
    with pytest.raises(UserError, match='output_stride=32'):
        stage_maps(GhostNetV2(0.25, output_stride=8).eval(), x)
    with pytest.raises(UserError, match='not in the picture'):
        stage_maps(backbone, x, (1.0, 0.5))


def test_looking_leaves_no_hook_and_no_gradient(backbone):
    stage_maps(backbone, picture(1, 3, 64, 64), (0.5, 0.5))
    assert not any(m._forward_pre_hooks for m in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())


def test_pictures_are_normalised_as_the_toolbox_does():
    from mmdet.models import DetDataPreprocessor

    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    model = nn.Conv2d(3, 3, 1)
    model.data_preprocessor = DetDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    bgr = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)
    theirs = model.data_preprocessor({'inputs': [bgr]})['inputs']
    assert relative_error(to_input(image, model), theirs) < 1e-6


def test_the_picture_is_drawn(backbone, tmp_path):
    image = np.full((64, 96, 3), 127, dtype=np.uint8)
    stages = stage_maps(backbone, picture(1, 3, 64, 96), (0.5, 0.5))
    out = tmp_path / 'seen.png'
    draw_attention(image, stages, out, (np.zeros((64, 96)), 'Grad-CAM: nothing'))
    assert out.stat().st_size > 10_000


class Toy(nn.Module):
    """A classifier whose class 1 is the brightness of the right half."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1, bias=False)
        nn.init.constant_(self.layer.weight[:1], 0.0)
        nn.init.constant_(self.layer.weight[1:], 1.0)

    def forward(self, x):
        return self.layer(x).mean((2, 3))


def test_grad_cam_finds_what_speaks_for_the_class():
    pytest.importorskip('pytorch_grad_cam')
    model = Toy().eval()
    model.requires_grad_(False)
    x = torch.zeros(1, 3, 32, 32)
    x[..., 16:] = 1.0
    cam, label = grad_cam(model, x, [model.layer])
    assert label == 1
    assert cam[:, 20:].min() > 0.9 and cam[:, :12].max() < 0.1
    assert not any(p.requires_grad for p in model.parameters())
    with pytest.raises(UserError, match='there is no class 2: the model has 2'):
        grad_cam(model, x, [model.layer], 2)


def test_grad_cam_refuses_a_dilated_network_whose_maps_are_phases():
    pytest.importorskip('pytorch_grad_cam')
    x = picture(1, 3, 64, 96)
    for stride in (8, 16, 32):
        backbone = randomise(GhostNetV2(0.25, out_indices=(4,), output_stride=stride))
        head = nn.Conv2d(backbone.out_channels[0], 2, 1)

        class Segmentor(nn.Module):
            decode_head = None

            def __init__(self, backbone, head):
                super().__init__()
                self.backbone, self.head = backbone, head

            def forward(self, x):
                return self.head(self.backbone(x)[0])

        model = Segmentor(backbone, head).eval()
        layers = stages_that_heads_see(backbone)
        if stride == 32:
            assert grad_cam(model, x, layers, 1)[0].shape == (64, 96)
            continue
        with pytest.raises(UserError, match='build it with output_stride=32'):
            grad_cam(model, x, layers, 1)
        # A stage before the dilation has one map.
        assert grad_cam(model, x, [backbone.blocks[0]], 1)[0].shape == (64, 96)


def test_a_class_is_found_by_name_and_by_index():
    assert class_index('', ['cat', 'Dog']) is None
    assert class_index('dog', ['cat', 'Dog']) == 1
    assert class_index('7', None) == 7
    with pytest.raises(UserError, match="no class 'dogg'; did you mean dog"):
        class_index('dogg', ['cat', 'Dog'])
    with pytest.raises(UserError, match="no class '²'"):  # a digit, but no number
        class_index('²', ['cat'])


def test_a_position_in_px_becomes_fractions_of_height_and_width(tmp_path):
    path = str(tmp_path / 'picture.png')
    mmcv.imwrite(np.zeros((60, 90, 3), np.uint8), path)
    assert query_fraction(path, 45, 15) == (0.25, 0.5)
    for wrong in ((90, 0), (0, 60), (-1, 0)):
        with pytest.raises(UserError, match='has 90 x 60 px'):
            query_fraction(path, *wrong)


def test_a_dilated_backbone_is_looked_at_undilated():
    for settings in (dict(output_stride=8), dict(output_stride=32), dict()):
        cfg = Config(dict(model=dict(backbone=settings)))
        undilate(cfg)
        assert cfg.model.backbone.get('output_stride', 32) == 32
    other = Config(dict(model=dict(backbone=dict(type='ResNet'))))
    undilate(other)  # of another network, which has no such argument
    assert other.model.backbone == dict(type='ResNet')


@pytest.mark.parametrize('frozen', [-1, 4])
def test_grad_cam_looks_at_the_stages_that_a_detectors_head_sees(frozen):
    pytest.importorskip('pytorch_grad_cam')
    from mmdet.models import RetinaHead

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = randomise(
                GhostNetV2(0.25, out_indices=(3, 4), frozen_stages=frozen)
            )
            self.bbox_head = RetinaHead(3, 28, feat_channels=8, stacked_convs=1)
            self.neck = nn.Conv2d(40, 28, 1)

        def forward(self, x):
            fine, coarse = self.backbone(x)
            return self.bbox_head((fine, self.neck(coarse)))

    model = Detector().eval()
    layers = stages_that_heads_see(model.backbone)
    assert [layer.stage for layer in layers] == [3, 4]
    mobile = AttentionMobileNetV2(0.25)
    assert stages_that_heads_see(mobile) == [mobile.conv2]
    x = picture(1, 3, 64, 96)
    outputs = model(x)[0]
    with torch.no_grad():
        # By hand: channels are anchors x classes, a picture has two levels.
        flat = [level.reshape(1, 9, 3, -1).amax((1, 3)) for level in outputs]
        assert torch.equal(ClassScores(model)(x), torch.maximum(*flat))
    cam, label = grad_cam(model, x, layers, 2)
    assert label == 2 and cam.shape == (64, 96)
    assert cam.min() >= 0 and cam.max() <= 1 + 1e-6


def test_scores_of_a_segmentor_are_those_of_the_pixels_that_a_class_wins():
    class Segmentor(nn.Module):
        decode_head = None

        def forward(self, x):
            return x

    logits = torch.tensor(
        [[[[3.0, 5.0, -1.0]], [[0.0, 1.0, 2.0]], [[-3.0, -6.0, 0.0]]]]
    )
    scores = ClassScores(Segmentor())(logits)
    assert scores.tolist() == [[4.0, 2.0, -3.0]]
