"""AttentionMobileNetV2 is MobileNetV2, and its attention stands where it should."""

import pytest
import torch
import torch.nn as nn

from mmghost.analysis import complexity
from mmghost.models import AttentionMobileNetV2, DFCAttention
from tests.helpers import picture, randomise

ATTENTIONS = {
    'SEAttention': {'reduction': 24},
    'CBAMAttention': {'reduction': 24},
    'CoordAttention': {},
    'DFCPlugin': {'kernel_size': 3},
    'DFCAttention': {},
}


@pytest.mark.parametrize('width', [0.5, 1.4])
def test_without_attention_it_is_mmpretrains_network_bit_by_bit(width):
    from mmpretrain.models import MobileNetV2

    theirs = randomise(MobileNetV2(width, out_indices=range(8)))
    theirs.eval()  # which does not return the model
    ours = AttentionMobileNetV2(width, out_indices=range(8)).eval()
    ours.load_state_dict(theirs.state_dict())
    x = picture(1, 3, 65, 96)
    for a, b in zip(ours(x), theirs(x), strict=True):
        assert torch.equal(a, b)
    assert ours.out_channels == tuple(out.shape[1] for out in theirs(x))


def test_without_attention_it_is_torchvisions_network():
    from torchvision.models import mobilenet_v2

    theirs = randomise(mobilenet_v2().features).eval()
    ours = AttentionMobileNetV2().eval()
    # Both have the same layers in the same order, under other names.
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    x = picture(1, 3, 64, 64)
    assert torch.equal(ours(x)[0], theirs(x))


@pytest.mark.parametrize('kind', ATTENTIONS)
def test_each_attention_stands_in_every_block_that_expands_and_trains(kind):
    model = AttentionMobileNetV2(
        0.25, attention={'type': kind, **ATTENTIONS[kind]}, out_indices=(1, 2, 4, 7)
    )
    attended = [n for n, m in model.named_modules() if type(m).__name__ == kind]
    assert len(attended) == 16
    assert not any(name.startswith('layer1.') for name in attended)
    outs = model(picture(2, 3, 64, 64))
    assert tuple(out.shape[1] for out in outs) == model.out_channels
    sum(out.square().mean() for out in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_dfc_is_computed_from_the_blocks_input_and_put_on_the_expansion():
    model = randomise(
        AttentionMobileNetV2(attention=dict(type='DFCAttention'), attention_layers=[3])
    ).eval()
    block = model.layer3[1]
    x = picture(2, 32, 16, 16)
    expanded = block.conv[0](x)
    gate = block.attention(x, expanded)
    expected = x + block.conv[2](block.conv[1](expanded * gate))
    assert torch.equal(block(x), expected)
    assert model.layer2[0].attention is None


@pytest.mark.parametrize('kind', ['mmghost.DFCAttention', DFCAttention])
def test_dfc_is_recognised_by_its_scope_and_by_its_class(kind):
    model = AttentionMobileNetV2(0.25, attention=dict(type=kind), out_indices=2)
    assert model.layer2[0].gates
    assert isinstance(model.layer2[0].attention, DFCAttention)


@pytest.mark.parametrize('kind', ['CBAMAttention', 'CoordAttention', 'DFCPlugin'])
def test_attention_takes_the_networks_normalisation_unless_it_has_one(kind):
    def norms(**attention):
        model = AttentionMobileNetV2(
            0.25,
            attention=dict(type=kind, **attention),
            out_indices=2,
            norm_cfg=dict(type='GN', num_groups=2),
        )
        attention = model.layer2[0].attention
        return {type(m) for m in attention.modules()} & {nn.GroupNorm, nn.BatchNorm2d}

    assert norms() == {nn.GroupNorm}
    assert norms(norm_cfg=dict(type='BN')) == {nn.BatchNorm2d}


def test_other_attention_is_put_on_the_depthwise_convolution():
    model = randomise(AttentionMobileNetV2(attention=dict(type='SEAttention'))).eval()
    block = model.layer3[1]
    x = picture(2, 32, 16, 16)
    inside = block.attention(block.conv[1](block.conv[0](x)))
    assert torch.equal(block(x), x + block.conv[2](inside))


@pytest.mark.parametrize(
    ('frozen', 'first_that_learns'), [(-1, 'conv1'), (0, 'layer1'), (3, 'layer4')]
)
def test_frozen_stages_have_no_gradient_and_no_moving_statistic(
    frozen, first_that_learns
):
    model = AttentionMobileNetV2(0.25, frozen_stages=frozen)
    assert model.train() is model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(picture(2, 3, 32, 32))
    learns = {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    order = [name for name, _ in model.named_children()]
    assert learns == set(order[order.index(first_that_learns) :])
    moved = {
        name.split('.')[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == learns


def test_nothing_past_the_last_output_is_built():
    model = AttentionMobileNetV2(out_indices=(1, 2))
    assert [n for n, _ in model.named_children()] == [
        'conv1', 'layer1', 'layer2', 'layer3'
    ]  # fmt: skip
    assert model.out_strides == (4, 8)


@pytest.mark.parametrize(
    ('argument', 'value', 'error'),
    [
        ('widen_factor', 0, ValueError),
        ('attention', 'SEAttention', TypeError),
        ('attention', {'type': 'NoSuchAttention'}, ValueError),
        ('attention', {'type': 'SEAttention', 'ratio': 4}, ValueError),
        ('attention', {'type': 'DFCAttention', 'gate': 'tanh'}, ValueError),
        ('attention_layers', (8,), ValueError),
        ('attention_layers', 3, TypeError),
        ('out_indices', (), ValueError),
        ('out_indices', (1, 1), ValueError),
        ('out_indices', (2, 1), ValueError),
        ('out_indices', 8, ValueError),
        ('frozen_stages', 8, ValueError),
        ('norm_eval', 1, TypeError),
    ],
)
def test_a_wrong_argument_is_refused_by_name(argument, value, error):
    with pytest.raises(error, match=argument):
        AttentionMobileNetV2(**{argument: value})


@pytest.mark.parametrize(
    ('kind', 'macs'),
    # 300.8 M with the classifier of 1280 x 1000; DFC adds what GhostNetV2's formula
    # says: a quarter of the expansions, and 10 a channel at a quarter of the positions.
    [(None, 299_494_272), ('DFCAttention', None)],
)
def test_macs(kind, macs):
    attention = kind and {'type': kind}
    model = AttentionMobileNetV2(attention=attention, out_indices=(7,))
    if macs is None:
        macs, size = 299_494_272, 112
        for i in range(2, 8):
            for block in getattr(model, f'layer{i}'):
                expand, depthwise = block.conv[0].conv, block.conv[1].conv
                weights = expand.weight.numel() + 10 * expand.out_channels
                macs += weights * (size // 2) ** 2
                size //= depthwise.stride[0]
    assert complexity(model).macs == macs
