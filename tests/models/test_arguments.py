"""What the constructors accept, refuse and build."""

import pickle

import pytest
import torch
import torch.nn as nn

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from tests.helpers import picture, randomise

BOTH = pytest.mark.parametrize('cls', [GhostNetV1, GhostNetV2])


@BOTH
@pytest.mark.parametrize(
    ('argument', 'value', 'error'),
    [
        ('widen_factor', 0, ValueError),
        ('widen_factor', -1.0, ValueError),
        ('widen_factor', float('nan'), ValueError),
        ('widen_factor', '1.0', TypeError),
        ('widen_factor', True, TypeError),
        ('in_channels', 0, ValueError),
        ('in_channels', 3.0, TypeError),
        ('out_indices', (), ValueError),
        ('out_indices', 6, ValueError),
        ('out_indices', -7, ValueError),
        ('out_indices', (1, 1), ValueError),
        ('out_indices', (3, 1), ValueError),
        ('out_indices', (4, -2), ValueError),
        ('out_indices', '1', TypeError),
        ('out_indices', (1.0,), TypeError),
        ('out_indices', None, TypeError),
        ('out_indices', True, TypeError),
        ('frozen_stages', 7, ValueError),
        ('frozen_stages', -2, ValueError),
        ('frozen_stages', None, TypeError),
        ('output_stride', 4, ValueError),
        ('output_stride', 32.0, ValueError),
        ('output_stride', '16', ValueError),
        ('drop_path_rate', 1.0, ValueError),
        ('drop_path_rate', -0.1, ValueError),
        ('drop_path_rate', None, TypeError),
        ('conv_cfg', 'Conv2d', TypeError),
        ('conv_cfg', {'type': 'NoSuchConv'}, ValueError),
        ('norm_cfg', 'BN', TypeError),
        ('norm_cfg', {}, TypeError),
        ('norm_cfg', {'type': 'NoSuchNorm'}, ValueError),
        ('norm_cfg', {'type': 'GN', 'num_groups': 7}, ValueError),
        ('act_cfg', 'ReLU', TypeError),
        ('act_cfg', {'type': 'NoSuchAct'}, ValueError),
        ('norm_eval', 1, TypeError),
        ('with_cp', None, TypeError),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(cls, argument, value, error):
    with pytest.raises(error) as caught:
        cls(**{argument: value})
    assert argument in str(caught.value)
    shown = value['type'] if isinstance(value, dict) and value else repr(value)
    shown = '' if argument == 'out_indices' and isinstance(value, tuple) else shown
    assert shown.strip("'") in str(caught.value)


@pytest.mark.parametrize(
    ('dfc', 'error', 'words'),
    [
        ('sigmoid', TypeError, 'dfc must be a dict or None'),
        ({'kernel': 5}, ValueError, "dfc has no choice 'kernel'"),
        ({'kernel_size': 4}, ValueError, 'odd'),
        ({'kernel_size': '5'}, TypeError, 'dfc.kernel_size'),
        ({'kernel_size': (5, 5)}, ValueError, 'one for each of dfc.stages'),
        ({'stages': (1, 5)}, ValueError, 'dfc.stages'),
        ({'stages': (2, 1)}, ValueError, 'dfc.stages must increase'),
        ({'stages': 1}, TypeError, 'dfc.stages'),
        ({'position': 'input'}, ValueError, 'dfc.position'),
        ({'gate': 'tanh'}, ValueError, 'gate'),
        ({'gate_position': 'between'}, ValueError, 'gate_position'),
        ({'downsample': 'mean'}, ValueError, 'downsample'),
        ({'downsample': 'none', 'ratio': 2}, ValueError, 'ratio=2 does not go with'),
        ({'ratio': 1}, ValueError, 'ratio=1 does not go with'),
        ({'ratio': 2.0}, TypeError, 'ratio'),
        ({'upsample': 'area'}, ValueError, 'upsample'),
        ({'align_corners': True}, ValueError, 'align_corners=True does not go with'),
        ({'align_corners': None}, TypeError, 'align_corners'),
    ],
)
def test_a_wrong_dfc_choice_is_refused_with_a_reason(dfc, error, words):
    with pytest.raises(error, match=words):
        GhostNetV2(dfc=dfc)


def test_v1_is_v2_without_dfc():
    v1, v2 = GhostNetV1(), GhostNetV2(dfc=None)
    assert v1.state_dict().keys() == v2.state_dict().keys()
    with pytest.raises(TypeError, match='dfc'):
        GhostNetV1(dfc=None)


@BOTH
@pytest.mark.parametrize(
    ('asked', 'stages'),
    [
        (5, [5]),
        (-1, [5]),
        ([0], [0]),
        ((1, -2), [1, 4]),
        (range(6), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_every_form_of_out_indices_gives_a_tuple(cls, asked, stages):
    model = randomise(cls(out_indices=asked)).eval()
    everything = cls(out_indices=range(6)).eval()
    everything.load_state_dict(randomise(everything).state_dict())
    model.load_state_dict(everything.state_dict(), strict=False)
    x = picture(1, 3, 64, 96)
    with torch.no_grad():
        outs, reference = model(x), everything(x)
    assert type(outs) is tuple
    for out, stage in zip(outs, stages, strict=True):
        assert torch.equal(out, reference[stage])
    assert tuple(out.shape[1] for out in outs) == model.out_channels
    assert tuple(64 // out.shape[2] for out in outs) == model.out_strides


@BOTH
@pytest.mark.parametrize('last', range(6))
def test_nothing_past_the_last_output_is_built(cls, last):
    model = cls(out_indices=last)
    sum(out.sum() for out in model(picture(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in model.parameters())


def in_order(model: nn.Module) -> list[nn.Module]:
    """Stem and stages as `frozen_stages` counts them."""
    parts = [nn.ModuleList([model.conv_stem, model.bn1])]
    for stage in range(6):
        parts.append(nn.ModuleList([g for g in model.blocks if g.stage == stage]))
    return parts


@BOTH
@pytest.mark.parametrize('frozen', range(-1, 7))
def test_frozen_stages_have_no_gradient_and_no_moving_statistic(cls, frozen):
    model = randomise(cls(out_indices=5, frozen_stages=frozen))
    parts = in_order(model)
    for state in ('built', 'trained'):
        for i, part in enumerate(parts):
            grads = {p.requires_grad for p in part.parameters()}
            assert grads == {i > frozen}, f'{state}: part {i} of frozen_stages={frozen}'
        assert model.train() is model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(picture(2, 3, 64, 64))
    for i, part in enumerate(parts):
        moved = [
            not torch.equal(value, before[name])
            for name, value in model.state_dict().items()
            for own in part.buffers()
            if own.data_ptr() == value.data_ptr() and 'running' in name
        ]
        assert moved
        assert all(moved) if i > frozen else not any(moved), i


@BOTH
def test_norm_eval_keeps_statistics_and_train_and_eval_return_the_model(cls):
    model = cls(norm_eval=True)
    assert model.train() is model
    assert model.eval() is model
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(picture(2, 3, 64, 64))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


@BOTH
@pytest.mark.parametrize('norm_type', ['BN', 'GN'])
def test_checkpointing_changes_no_gradient_and_no_statistic(cls, norm_type):
    norm_cfg = {'type': 'BN'} if norm_type == 'BN' else {'type': 'GN', 'num_groups': 2}
    kwargs = {'norm_cfg': norm_cfg, 'drop_path_rate': 0.2, 'frozen_stages': 1}
    plain = cls(**kwargs)
    saving = cls(with_cp=True, **kwargs)
    saving.load_state_dict(plain.state_dict())
    for model in (plain, saving):
        torch.manual_seed(0)
        sum(out.square().mean() for out in model(picture(2, 3, 64, 64))).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        assert a.grad is None or torch.equal(a.grad, b.grad), name
    for (name, a), b in zip(
        plain.state_dict().items(), saving.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


@BOTH
@pytest.mark.parametrize('size', [(1, 1), (1, 40), (33, 2), (31, 65), (63, 64)])
@pytest.mark.parametrize('output_stride', [8, 16, 32])
def test_every_size_from_one_pixel_up_runs(cls, size, output_stride):
    model = cls(out_indices=range(6), output_stride=output_stride).eval()
    with torch.no_grad():
        outs = model(picture(1, 3, *size))
    for out, stride in zip(outs, model.out_strides):
        assert tuple(out.shape[2:]) == (-(-size[0] // stride), -(-size[1] // stride))
        assert torch.isfinite(out).all()


@BOTH
def test_other_layers_are_used_everywhere(cls):
    model = (
        cls(
            out_indices=5,
            in_channels=1,
            conv_cfg={'type': 'Conv2dAdaptivePadding'},
            norm_cfg={'type': 'GN', 'num_groups': 2},
            act_cfg={'type': 'SiLU'},
            dfc={'downsample': 'conv'} if cls is GhostNetV2 else None,
        )
        if cls is GhostNetV2
        else cls(
            out_indices=5,
            in_channels=1,
            norm_cfg={'type': 'GN', 'num_groups': 2},
            act_cfg={'type': 'SiLU'},
        )
    )
    kinds = {type(m).__name__ for m in model.modules()}
    assert 'GroupNorm' in kinds and 'SiLU' in kinds
    assert not kinds & {'BatchNorm2d', 'ReLU'}
    model(picture(1, 1, 64, 64))


def test_drop_path_grows_linearly_and_drops_only_in_training():
    model = GhostNetV2(drop_path_rate=0.3)
    rates = [
        getattr(block.drop_path, 'drop_prob', 0.0)
        for group in model.blocks
        for block in group
    ]
    assert rates == pytest.approx([0.3 * i / 15 for i in range(16)])
    x = picture(1, 3, 64, 64)
    model.eval()
    assert torch.equal(model(x)[3], model(x)[3])


def test_pickles_and_counts_classes():
    model = GhostNetClassifier(num_classes=7).eval()
    again = pickle.loads(pickle.dumps(model))
    x = picture(1, 3, 64, 64)
    assert again(x).shape == (1, 7)
    assert torch.equal(again(x), model(x))
    with pytest.raises(ValueError, match='num_classes'):
        GhostNetClassifier(num_classes=0)


@pytest.mark.parametrize(
    ('argument', 'name', 'meant'),
    [('norm_cfg', 'BNN', 'BN'), ('act_cfg', 'Relu', 'ReLU'), ('conv_cfg', 'Conv2D', 'Conv2d')],
)  # fmt: skip
def test_a_layer_that_is_not_there_is_told_with_what_was_meant(argument, name, meant):
    words = (
        f'{argument}=.* builds no layer: none is called {name!r}; did you mean {meant}'
    )
    with pytest.raises(ValueError, match=words):
        GhostNetV2(0.25, **{argument: dict(type=name)})
