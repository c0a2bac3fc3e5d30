"""Parameters and multiply-accumulates are those counted from the released code."""

import pytest

from mmghost.analysis import complexity
from mmghost.models import GhostNetClassifier, GhostNetV2


@pytest.mark.parametrize(
    ('width', 'params', 'macs'),
    [
        (1.0, 6_156_908, 167_048_288),
        (1.3, 8_960_404, 269_322_976),
        (1.6, 12_392_698, 398_607_224),
    ],
)
def test_v2_costs_equal_the_released_codes_to_the_digit(width, params, macs):
    assert complexity(GhostNetClassifier(width)) == (params, macs)
    folded_v3 = GhostNetClassifier(width, branches=3).switch_to_deploy()
    assert complexity(folded_v3).macs == macs


def test_v3_costs_more_while_training():
    # Counted from timm's ghostnetv3_100.
    v3 = GhostNetClassifier(branches=3)
    assert complexity(v3) == (8_129_028, 404_128_320)


@pytest.mark.parametrize(
    ('dfc', 'mega_macs'),
    [
        ({'kernel_size': 3}, '165.7'),
        ({'kernel_size': (9, 7, 5, 5)}, '168.2'),
        ({'kernel_size': 7}, '168.4'),
        ({'kernel_size': (11, 9, 7, 7)}, '169.6'),
        ({'stages': (0, 1, 2, 3, 4)}, '172.3'),
    ],
)
def test_the_dfc_choices_cost_what_the_papers_do(dfc, mega_macs):
    assert f'{complexity(GhostNetClassifier(dfc=dfc)).macs / 1e6:.1f}' == mega_macs


@pytest.mark.parametrize(
    ('side', 'v2', 'v1'), [(320, '341.1', '336.2'), (416, '569.6', '565.1')]
)
def test_costs_at_yolov3s_sizes(side, v2, v1):
    def mega_macs(model):
        return f'{complexity(model, (side, side)).macs / 1e6:.1f}'

    assert mega_macs(GhostNetClassifier(1.0)) == v2
    assert mega_macs(GhostNetClassifier(1.1, dfc=None)) == v1


def test_counting_leaves_the_model_as_it_was():
    model = GhostNetV2(frozen_stages=2).train()
    modes = [m.training for m in model.modules()]
    complexity(model, (64, 64))
    assert [m.training for m in model.modules()] == modes
    counters = [b for n, b in model.named_buffers() if n.endswith('batches_tracked')]
    assert counters and not any(counters)
