"""DFC attention: every choice of the paper's ablations; test_parity_timm.py has the default."""

import itertools

import pytest
import torch
import torch.nn as nn

from mmghost.models import DFCAttention, GhostNetV2
from mmghost.models.dfc import CHOICES
from tests.helpers import image, randomize, relative_error

UPSAMPLES = (
    ('nearest', False),
    ('bilinear', False),
    ('bilinear', True),
    ('bicubic', False),
    ('bicubic', True),
)
REDUCTIONS = (*itertools.product(('avg', 'max', 'conv'), (2, 3)), ('none', 1))
EVERY = [
    dict(
        gate=gate,
        gate_position=position,
        downsample=down,
        ratio=ratio,
        upsample=up,
        align_corners=corners,
    )
    for gate, position, (down, ratio), (up, corners) in itertools.product(
        CHOICES['gate'], CHOICES['gate_position'], REDUCTIONS, UPSAMPLES
    )
]


class Gated(nn.Module):
    """A map gated by an attention computed from a narrower one."""

    def __init__(self, **choices) -> None:
        super().__init__()
        self.dfc = DFCAttention(4, 6, **{'kernel_size': 3, **choices})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        target = torch.cat((x, x[:, :2]), dim=1)
        return target * self.dfc(x, target)


def test_every_combination_of_choices_trains():
    for choices in EVERY:
        torch.manual_seed(0)
        module = Gated(**choices)
        out = module(image(3, 4, 9, 13))
        assert out.shape == (3, 6, 9, 13), choices
        (out - 1).square().mean().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad.isfinite().all(), (choices, name)
            assert parameter.grad.abs().sum() > 0, (choices, name)


# Each value of each choice occurs in every 31st combination.
@pytest.mark.parametrize('choices', EVERY[::31], ids=str)
def test_a_choice_goes_through_torch_export(choices):
    module = randomize(Gated(**choices)).eval()
    x = image(2, 4, 10, 13)
    exported = torch.export.export(module, (x,)).module()
    with torch.no_grad():
        assert relative_error(exported(x), module(x)) < 1e-5  # order of sums in float32


def test_rows_and_columns_may_have_kernels_of_their_own():
    dfc = DFCAttention(4, 6, kernel_size=(7, 3))
    assert dfc[2].weight.shape[2:] == (1, 3), 'along the rows'
    assert dfc[4].weight.shape[2:] == (7, 1), 'along the columns'
    by_pair = GhostNetV2(0.25, dfc=dict(kernel_size=(7, 3)))
    by_stage = GhostNetV2(0.25, dfc=dict(kernel_size=[(7, 3), 5, 3, (3, 5)]))
    assert by_pair.blocks[3][0].ghost1.short_conv[4].weight.shape[2:] == (7, 1)
    assert by_stage.blocks[3][0].ghost1.short_conv[4].weight.shape[2:] == (7, 1)
    assert by_stage.blocks[8][0].ghost1.short_conv[4].weight.shape[2:] == (3, 1)


@pytest.mark.parametrize(
    ('position', 'modules'),
    [
        ('expanded', {'ghost1'}),
        ('output', {'ghost2'}),
        ('both', {'ghost1', 'ghost2'}),
    ],
)
def test_dfc_is_at_the_position_that_is_asked_for(position, modules):
    model = GhostNetV2(0.25, out_indices=4, dfc={'position': position})
    model(image(2, 3, 64, 64))[0].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    places = [n for n, m in model.named_modules() if isinstance(m, DFCAttention)]
    assert {n.split('.')[-2] for n in places} == modules
    assert len(places) == 14 * len(modules)


@torch.no_grad()
def test_the_order_of_gate_and_nearest_up_sampling_changes_no_value():
    """Rows *before* and *after* of table 9 are one network, at different speeds."""
    for upsample, same in (('nearest', True), ('bilinear', False)):
        before = randomize(Gated(upsample=upsample)).eval()
        after = Gated(upsample=upsample, gate_position='after').eval()
        after.load_state_dict(before.state_dict())
        x = image(2, 4, 9, 13)
        assert torch.equal(before(x), after(x)) == same


@pytest.mark.parametrize(
    ('dfc', 'words'),
    [
        (dict(kernel=3), "dfc has no 'kernel'; did you mean kernel_size"),
        (
            dict(gate='sigmoyd'),
            "dfc.gate='sigmoyd' must be one of .* did you mean sigmoid",
        ),
        (dict(position='input'), "dfc.position='input'"),
        (dict(stages=(1, 5)), 'dfc.stages=5'),
        (dict(kernel_size=(3, 5, 7)), 'one for each of dfc.stages'),
        (dict(kernel_size=4), 'kernel_size=4 must be odd'),
        (dict(ratio=1), "ratio=1 does not fit downsample='avg'"),
        (dict(align_corners=True), "align_corners=True needs upsample='bilinear'"),
    ],
)
def test_a_wrong_choice_is_refused_with_its_name(dfc, words):
    with pytest.raises(ValueError, match=words):
        GhostNetV2(0.25, dfc=dfc)
