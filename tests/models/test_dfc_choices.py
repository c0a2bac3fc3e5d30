"""Every combination of DFC's choices trains and exports; the release's stays what it was."""

import io
import itertools

import pytest
import torch
import torch.nn.functional as F

from mmghost.deploy.tracing import export_by_tracing
from mmghost.models import DFCAttention, GhostModule, GhostNetV2
from mmghost.models.dfc import DOWNSAMPLES, GATE_POSITIONS, GATES
from mmghost.models.ghostnet import DFC_POSITIONS, RELEASE_DFC
from tests.helpers import picture, randomise, relative_error

UPSAMPLES = (
    ('nearest', False),
    ('bilinear', False),
    ('bilinear', True),
    ('bicubic', False),
    ('bicubic', True),
)
REDUCTIONS = (*itertools.product(DOWNSAMPLES[:3], (2, 3)), ('none', 1))
KEYS = ('gate', 'gate_position', 'downsample', 'ratio', 'upsample', 'align_corners')
EVERY = [
    dict(zip(KEYS, (gate, place, down, ratio, *up)))
    for gate, place, (down, ratio), up in itertools.product(
        GATES, GATE_POSITIONS, REDUCTIONS, UPSAMPLES
    )
]
# Each value of each choice at least once, each reduction and each up-sampling.
SOME = EVERY[::31]
# Sums in another order, in float32.
TOLERANCE = 1e-5


class Gated(torch.nn.Module):
    """A map gated by an attention computed from a narrower one, as in a ghost module."""

    def __init__(self, **choices) -> None:
        super().__init__()
        self.dfc = DFCAttention(4, 6, kernel_size=3, **choices)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        target = torch.cat((x, x[:, :2]), dim=1)
        return target * self.dfc(x, target)


def test_all_280_combinations_train():
    assert len(EVERY) == 280
    for choices in EVERY:
        torch.manual_seed(0)
        module = Gated(**choices)
        out = module(picture(3, 4, 9, 13))
        assert out.shape == (3, 6, 9, 13), choices
        (out - 1).square().mean().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, (choices, name)
            assert torch.isfinite(parameter.grad).all(), (choices, name)
            assert parameter.grad.abs().sum() > 0, (choices, name)


def test_the_few_that_stand_for_all_have_every_value():
    for key in KEYS:
        assert {c[key] for c in SOME} == {c[key] for c in EVERY}
    for pair in (('downsample', 'ratio'), ('upsample', 'align_corners')):
        some, every = ({tuple(c[k] for k in pair) for c in cs} for cs in (SOME, EVERY))
        assert some == every


@pytest.mark.parametrize(
    'combinations',
    [SOME, pytest.param(EVERY, marks=pytest.mark.slow)],
    ids=['some', 'all'],
)
def test_combinations_export_to_onnx_and_compute_the_same(combinations):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    x = picture(2, 4, 10, 13)
    for choices in combinations:
        module = randomise(Gated(**choices)).eval()
        file = io.BytesIO()
        export_by_tracing(module, (x,), file, input_names=['x'], output_names=['y'])
        session = onnxruntime.InferenceSession(
            file.getvalue(), providers=['CPUExecutionProvider']
        )
        (theirs,) = session.run(None, {'x': x.numpy()})
        with torch.no_grad():
            ours = module(x)
        assert relative_error(torch.from_numpy(theirs), ours) < TOLERANCE, choices


def export_and_compare(module: torch.nn.Module, x: torch.Tensor) -> None:
    program = torch.export.export(module.eval(), (x,))
    with torch.no_grad():
        theirs, ours = program.module()(x), module(x)
    for a, b in zip(theirs, ours):
        assert relative_error(a, b) < TOLERANCE


@pytest.mark.parametrize(
    'combinations',
    [SOME, pytest.param(EVERY, marks=pytest.mark.slow)],
    ids=['some', 'all'],
)
def test_combinations_go_through_torch_export(combinations):
    for choices in combinations:
        export_and_compare(randomise(Gated(**choices)), picture(2, 4, 10, 13))


@pytest.mark.slow
@pytest.mark.parametrize('position', DFC_POSITIONS)
def test_the_network_with_other_choices_goes_through_torch_export(position):
    dfc = dict(
        position=position,
        kernel_size=(9, 7, 5),
        stages=(0, 1, 4),
        gate='clip',
        gate_position='after',
        downsample='max',
        ratio=4,
        upsample='bilinear',
    )
    model = randomise(GhostNetV2(0.25, out_indices=(1, 4), dfc=dfc))
    export_and_compare(model, picture(1, 3, 96, 128))


@pytest.mark.parametrize('position', DFC_POSITIONS)
@pytest.mark.parametrize('choices', [{}, {'gate_position': 'after', 'ratio': 3}])
def test_the_network_trains_with_dfc_at_every_position(position, choices):
    model = GhostNetV2(0.25, out_indices=4, dfc={'position': position, **choices})
    model(picture(2, 3, 64, 64))[0].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    gates = [n for n, m in model.named_modules() if isinstance(m, DFCAttention)]
    assert len(gates) == (28 if position == 'both' else 14)
    assert {n.split('.')[-2] for n in gates} == {
        'expanded': {'ghost1'},
        'output': {'ghost2'},
        'both': {'ghost1', 'ghost2'},
    }[position]


def test_the_releases_choice_is_the_default_bit_by_bit():
    default = randomise(GhostNetV2(0.25, out_indices=range(6))).eval()
    spelt = GhostNetV2(0.25, out_indices=range(6), dfc=dict(RELEASE_DFC)).eval()
    spelt.load_state_dict(default.state_dict())
    x = picture(1, 3, 96, 64)
    for a, b in zip(default(x), spelt(x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('size', [(12, 16), (7, 9)])
def test_the_releases_choice_is_the_releases_formula_bit_by_bit(size):
    """The gate's arithmetic as the authors' code has it, written with torch alone."""
    module = randomise(GhostModule(8, 12, dfc={})).eval()
    x = picture(2, 8, *size)
    attention = F.avg_pool2d(x, kernel_size=2, stride=2)
    for layer in list(module.short_conv)[:6]:
        attention = layer(attention)
    intrinsic = module.primary_conv(x)
    ghost = torch.cat([intrinsic, module.cheap_operation(intrinsic)], dim=1)
    expected = ghost * F.interpolate(attention.sigmoid(), size=size, mode='nearest')
    with torch.no_grad():
        assert torch.equal(module(x), expected)


def test_the_order_of_gate_and_nearest_up_sampling_changes_no_value():
    """So table 9's rows *before* and *after* are one network, at different speeds."""
    for gate in GATES:
        before = randomise(Gated(gate=gate)).eval()
        after = Gated(gate=gate, gate_position='after').eval()
        after.load_state_dict(before.state_dict())
        x = picture(2, 4, 9, 13)
        assert torch.equal(before(x), after(x))
    before = randomise(Gated(upsample='bilinear')).eval()
    after = Gated(upsample='bilinear', gate_position='after').eval()
    after.load_state_dict(before.state_dict())
    assert relative_error(before(x), after(x)) > 1e-3
