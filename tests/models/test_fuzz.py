"""Any arguments build a network that runs, or are refused by name; any size runs."""

import functools
import math
from typing import Any

import pytest
import torch
from hypothesis import event
from hypothesis import strategies as st

from mmghost.models import (
    AttentionMobileNetV2,
    GhostNetClassifier,
    GhostNetV1,
    GhostNetV2,
)
from mmghost.models.dfc import DOWNSAMPLES, GATE_POSITIONS, GATES, UPSAMPLES
from mmghost.models.ghostnet import DFC_POSITIONS
from tests.fuzzing import JUNK, depths, fuzz
from tests.helpers import picture, randomise, relative_error

# -- What fits, by argument -------------------------------------------------------------

sides = st.integers(1, 200)
small_sides = st.integers(1, 72)
booleans = st.booleans()
out_indices = st.one_of(
    st.integers(-6, 5),
    st.sets(st.integers(0, 5), min_size=1).map(sorted),
    st.sets(st.integers(0, 5), min_size=1).map(
        lambda s: tuple(i - 6 for i in sorted(s))
    ),
    st.integers(1, 6).map(range),
)
# num_groups=2 divides every channel count there is; 4 does not always.
norms = st.sampled_from(
    [
        dict(type='BN'),
        dict(type='BN', eps=1e-3, momentum=0.01),
        dict(type='BN', requires_grad=False),
        dict(type='SyncBN'),
        dict(type='GN', num_groups=1),
        dict(type='GN', num_groups=2),
    ]
)
activations = st.sampled_from(
    [
        None,
        *(
            dict(type=kind)
            for kind in (
                'ReLU', 'ReLU6', 'LeakyReLU', 'PReLU', 'ELU', 'GELU', 'SiLU', 'HSwish',
                'Sigmoid', 'Tanh',
            )
        ),
        dict(type='LeakyReLU', negative_slope=0.2),
        dict(type='ReLU', inplace=False),
    ]
)  # fmt: skip
convolutions = st.sampled_from(
    [None, dict(type='Conv2d'), dict(type='Conv'), dict(type='Conv2dAdaptivePadding')]
)
initialisations = st.sampled_from(
    [
        None,
        [],
        dict(type='Kaiming', layer='Conv2d'),
        [dict(type='Xavier', layer='Conv2d'), dict(type='Constant', val=1, layer='BatchNorm2d')],
    ]
)  # fmt: skip


@st.composite
def dfc_choices(draw) -> dict[str, Any]:
    """DFC choices that go together, each left out at times."""
    stages = sorted(draw(st.sets(st.integers(0, 4))))
    down = draw(st.sampled_from(DOWNSAMPLES))
    up = draw(st.sampled_from(UPSAMPLES))
    kernels = st.sampled_from([1, 3, 5, 7, 9, 21])
    choices = dict(
        stages=draw(st.sampled_from([list, tuple]))(stages),
        position=draw(st.sampled_from(DFC_POSITIONS)),
        kernel_size=draw(
            kernels | st.tuples(*[kernels] * len(stages)) if stages else kernels
        ),
        downsample=down,
        ratio=None if down == 'none' else draw(st.sampled_from([None, 2, 3, 5])),
        gate=draw(st.sampled_from(GATES)),
        gate_position=draw(st.sampled_from(GATE_POSITIONS)),
        upsample=up,
        align_corners=False if up == 'nearest' else draw(booleans),
    )
    left_out = draw(st.sets(st.sampled_from(['position', 'gate', 'gate_position'])))
    return {key: value for key, value in choices.items() if key not in left_out}


GHOST = dict(
    widen_factor=st.floats(0.05, 0.5),
    in_channels=st.integers(1, 5),
    out_indices=out_indices,
    frozen_stages=st.integers(-1, 6),
    output_stride=st.sampled_from([8, 16, 32]),
    drop_path_rate=st.floats(0, 0.9),
    conv_cfg=convolutions,
    norm_cfg=norms | st.none(),
    act_cfg=activations,
    norm_eval=booleans,
    with_cp=booleans,
    deploy=booleans,
    init_cfg=initialisations,
)
attentions = st.sampled_from(
    [
        None,
        dict(type='SEAttention', reduction=3),
        dict(type='CBAMAttention', kernel_size=3),
        # Without its own it takes the network's, whose groups need not divide its channels.
        dict(type='CoordAttention', norm_cfg=dict(type='BN')),
        dict(type='DFCPlugin', kernel_size=3, gate='clip'),
        dict(type='DFCAttention', downsample='max', upsample='bilinear'),
    ]
)
MOBILE = dict(
    widen_factor=st.floats(0.05, 0.5),
    in_channels=st.integers(1, 5),
    attention=attentions,
    attention_layers=st.sets(st.integers(1, 7)).map(sorted),
    out_indices=st.integers(-8, 7) | st.sets(st.integers(0, 7), min_size=1).map(sorted),
    frozen_stages=st.integers(-1, 7),
    conv_cfg=convolutions,
    norm_cfg=norms | st.none(),
    act_cfg=activations,
    norm_eval=booleans,
    with_cp=booleans,
    init_cfg=initialisations,
)
FITTING = {
    GhostNetV1: GHOST,
    GhostNetV2: dict(GHOST, dfc=dfc_choices() | st.none()),
    GhostNetClassifier: dict(
        {k: v for k, v in GHOST.items() if k != 'out_indices'},
        num_classes=st.integers(1, 9),
        dfc=dfc_choices() | st.none(),
        dropout=st.floats(0, 0.9),
    ),
    AttentionMobileNetV2: MOBILE,
}

# -- What does not ----------------------------------------------------------------------


def is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value < high


# Which junk happens to fit.
FITS = dict(
    widen_factor=lambda v: is_number(v, 0, 16) and v != 0,
    in_channels=lambda v: is_int(v, 1, 2**16),
    out_indices=lambda v: is_int(v, -6, 5),
    frozen_stages=lambda v: is_int(v, -1, 6),
    output_stride=lambda v: False,
    drop_path_rate=lambda v: is_number(v, 0, 1),
    conv_cfg=lambda v: v is None,
    norm_cfg=lambda v: v is None,
    act_cfg=lambda v: v is None,
    norm_eval=lambda v: isinstance(v, bool),
    with_cp=lambda v: isinstance(v, bool),
    deploy=lambda v: isinstance(v, bool),
    init_cfg=lambda v: v is None or v == [] or v == {} or v == (),
    dfc=lambda v: v is None or v == {},
    num_classes=lambda v: is_int(v, 1, 10**6),
    dropout=lambda v: is_number(v, 0, 1),
    attention=lambda v: v is None,
    attention_layers=lambda v: v in ((), []),
)
# Beside junk: what is nearly right.
NEARLY = dict(
    out_indices=[6, -7, (0, 0), (3, 1), (1.0,), (0, 6), (4, -2), {0: 1}],
    output_stride=[4, 64, 32.0, '16'],
    norm_cfg=[
        {'type': 'GN'}, {'type': 'GN', 'num_groups': 7}, {'type': 'GN', 'num_groups': 0},
        {'type': 'BN1d'}, {'type': 'BN3d'}, {'type': 'ReLU'}, {'type': 'Conv2d'},
        {'type': 'BN', 'momentun': 0.1}, {'type': 'BN', 'eps': 'x'}, {'type': 'LN'},
    ],
    act_cfg=[
        {'type': 'BN'}, {'type': 'Linear'}, {'type': 'ReLU', 'slope': 1},
        {'type': 'Upsample'}, {'type': 'relu'}, {'type': ['ReLU']},
    ],
    conv_cfg=[
        {'type': 'Conv1d'}, {'type': 'Conv3d'}, {'type': 'BN'}, {'type': 'ReLU'},
        {'type': 'Conv2d', 'kernel_size': 3}, {'type': 'Conv2d', 'padding_mode': 'x'},
        {'type': 'Conv2d', 'dilatio': 2},
    ],
    init_cfg=[{'layer': 'Conv2d'}, [3], 'Kaiming'],
    dfc=[
        {'kernel': 5}, {'kernel_size': 4}, {'kernel_size': (5, 5)}, {'kernel_size': []},
        {'kernel_size': 10**9 + 1}, {'stages': (1, 5)}, {'stages': (2, 1)}, {'stages': 1},
        {'stages': 'all'}, {'position': 'input'}, {'position': None}, {'gate': 'tanh'},
        {'gate': []}, {'ratio': 0}, {'ratio': 1}, {'ratio': 10**6}, {'ratio': True},
        {'downsample': 'none', 'ratio': 2}, {'upsample': 'area'}, {'upsample': None},
        {'align_corners': True}, {'align_corners': 1}, {None: 1},
    ],
    attention=[
        {'type': 'SEAttention', 'reduction': 0}, {'type': 'DFCPlugin', 'gate': 'x'},
        {'type': 'DFCAttention', 'kernel_size': 2}, {'type': 'CBAMAttention', 'ratio': 2},
        {'type': 'ReLU'}, {'type': 'BN'},
    ],
    attention_layers=[(0,), (8,), (1, 1), 3, '12'],
)  # fmt: skip
NEARLY_OF = {
    AttentionMobileNetV2: dict(NEARLY, out_indices=[8, (8,), (-9,), (1, 1), (2, 1), ()])
}
FITS_OF = {
    AttentionMobileNetV2: dict(
        FITS,
        out_indices=lambda v: is_int(v, -8, 7),
        frozen_stages=lambda v: is_int(v, -1, 7),
    )
}


def wrong_values(cls: type, name: str) -> st.SearchStrategy:
    fits = FITS_OF.get(cls, FITS)[name]
    junk = [value for value in JUNK if not fits(value)]
    return st.sampled_from([*junk, *NEARLY_OF.get(cls, NEARLY).get(name, [])])


@st.composite
def arguments(draw, cls: type) -> tuple[dict[str, Any], set[str]]:
    """Arguments of a constructor, and the names of those that do not fit."""
    fitting = FITTING[cls]
    given = draw(st.sets(st.sampled_from(sorted(fitting))))
    given.add('widen_factor')  # the default is large
    wrong = set()
    if draw(booleans):
        wrong = draw(st.sets(st.sampled_from(sorted(fitting)), min_size=1, max_size=2))
    values = {
        name: draw(wrong_values(cls, name) if name in wrong else fitting[name])
        for name in sorted(given | wrong)
    }
    return values, wrong


def strides_of(model: torch.nn.Module) -> tuple[int, ...]:
    if isinstance(model, AttentionMobileNetV2):
        return tuple((2, 4, 8, 16, 16, 32, 32, 32)[i] for i in model.out_indices)
    return model.out_strides


def assert_runs(model: torch.nn.Module, channels: int, size: tuple[int, int]) -> None:
    """It evaluates a picture and learns from two."""
    x = picture(2, channels, *size)
    assert model.eval() is model
    with torch.no_grad():
        outs = model(x[:1])
    if isinstance(model, GhostNetClassifier):
        assert outs.shape[0] == 1 and outs.ndim == 2 and outs.isfinite().all()
    else:
        assert type(outs) is tuple
        for out, width, stride in zip(
            outs, model.out_channels, strides_of(model), strict=True
        ):
            wanted = (
                1,
                width,
                math.ceil(size[0] / stride),
                math.ceil(size[1] / stride),
            )
            assert tuple(out.shape) == wanted
            assert out.isfinite().all()
    if getattr(model, 'deploy', False):
        return
    assert model.train() is model
    outs = model(x)
    loss = sum(o.square().mean() for o in (outs if type(outs) is tuple else (outs,)))
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if learning:
        loss.backward()
    for name, parameter in learning.items():
        assert parameter.grad is not None, f'no gradient for {name}'


def builds_and_runs_or_is_refused_by_name(cls, values, wrong, size) -> None:
    try:
        model = cls(**values)
    except (TypeError, ValueError) as error:
        event('refused')
        assert wrong, f'refused, though all fits: {error}'
        assert any(name in str(error) for name in wrong), (
            f'{error} names none of {wrong}'
        )
        return
    event('built')
    # What no layer is built from is not looked at.
    assert wrong <= {'attention'}, f'takes { ({n: values[n] for n in wrong}) }'
    try:
        assert_runs(model, values.get('in_channels', 3), size)
    except ValueError as error:
        # GroupNorm's own word on a single picture, where a group is a single number.
        groups = (values.get('norm_cfg') or {}).get('num_groups')
        alone = 'Expected more than 1 value per channel' in str(error)
        if not (alone and groups == 2 and max(size) <= 16):
            raise
        event('a group of one number')


@depths(12, 800)
@pytest.mark.parametrize('cls', FITTING, ids=lambda cls: cls.__name__)
def test_arguments_build_what_runs_or_are_refused_by_name(cls, examples):
    fuzz(
        examples,
        lambda drawn, size: builds_and_runs_or_is_refused_by_name(cls, *drawn, size),
        arguments(cls),
        st.tuples(small_sides, small_sides),
    )


@depths(8, 600)
def test_any_dfc_choices_that_go_together_train(examples):
    def holds(dfc, size):
        model = GhostNetV2(0.1, out_indices=5, dfc=dfc)
        assert_runs(model, 3, size)

    fuzz(examples, holds, dfc_choices(), st.tuples(small_sides, small_sides))


# -- Sizes ------------------------------------------------------------------------------


@functools.cache
def networks() -> dict[str, torch.nn.Module]:
    """Networks with weights that matter, in double precision."""
    found = {'V1': randomise(GhostNetV1(0.25, out_indices=range(6)))}
    strided = randomise(GhostNetV2(0.25, out_indices=range(6)))
    for stride in (32, 16, 8):
        model = GhostNetV2(0.25, out_indices=range(6), output_stride=stride)
        model.load_state_dict(strided.state_dict())
        found[f'V2, stride {stride}'] = model
    found['MobileNetV2'] = randomise(
        AttentionMobileNetV2(
            0.25, attention=dict(type='DFCAttention'), out_indices=range(8)
        )
    )
    return {name: model.double().eval() for name, model in found.items()}


@depths(8, 600)
def test_any_size_from_one_pixel_to_200_gives_maps_of_the_strides(examples):
    def holds(height, width):
        x = picture(1, 3, height, width).double()
        found = {}
        with torch.no_grad():
            for name, model in networks().items():
                outs = found[name] = model(x)
                for out, stride in zip(outs, strides_of(model), strict=True):
                    size = (math.ceil(height / stride), math.ceil(width / stride))
                    assert tuple(out.shape[2:]) == size, (name, stride)
                    assert out.isfinite().all(), (name, stride)
        # The dense networks hold the strided one's numbers, at every size.
        strided = networks()['V2, stride 32']
        for stride in (16, 8):
            dense = networks()[f'V2, stride {stride}']
            for out, own, reference, wanted in zip(
                found[f'V2, stride {stride}'],
                dense.out_strides,
                found['V2, stride 32'],
                strided.out_strides,
            ):
                step = wanted // own
                assert relative_error(out[:, :, ::step, ::step], reference) < 1e-10

    fuzz(examples, holds, sides, sides)


@depths(5, 200)
def test_a_picture_gives_the_same_alone_and_in_a_batch(examples):
    def holds(height, width, count):
        model = networks()['V2, stride 16']
        x = picture(count, 3, height, width).double()
        with torch.no_grad():
            for together, alone in zip(model(x), model(x[-1:])):
                assert relative_error(together[-1:], alone) < 1e-10

    fuzz(examples, holds, sides, sides, st.integers(2, 4))
