"""Output strides 16 and 8 compute, where stride 32 computes, the same numbers."""

import copy

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from mmghost.models import GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.models.atrous import MergePhases, SplitPhases
from mmghost.models.dfc import DFCAttention
from mmghost.models.ghostnet import GhostBottleneck, SqueezeExcite
from tests.helpers import image, randomize, relative_error

# In double precision, where rounding hides nothing: an equality that held only to a
# float32's 1e-5 could still be an approximation.
TOLERANCE = 1e-10

CLASSES = pytest.mark.parametrize('cls', [GhostNetV2, GhostNetV1, GhostNetV3])


def sampled(dense: torch.Tensor, step: int) -> torch.Tensor:
    """Return the positions of a dense map that the strided network computes."""
    return dense[:, :, ::step, ::step]


def pair(cls, width, output_stride, **kwargs):
    strided = randomize(cls(width, out_indices=range(6), **kwargs)).double().eval()
    dense = cls(width, out_indices=range(6), output_stride=output_stride, **kwargs)
    dense.load_state_dict(strided.state_dict(), strict=True)
    return strided, dense.double().eval()


@pytest.mark.parametrize('output_stride', [8, 16])
@pytest.mark.parametrize(
    'width', [0.5, *(pytest.param(w, marks=pytest.mark.slow) for w in (1.0, 1.3, 1.6))]
)
@CLASSES
def test_dense_maps_equal_the_strided_networks_where_it_computes(
    cls, width, output_stride
):
    strided, dense = pair(cls, width, output_stride)
    # a multiple of 32, odd, and maps whose phases are of different sizes
    for size in [(64, 96), (203, 147), (33, 130)]:
        x = image(2, 3, *size).double()
        with torch.no_grad():
            outs = zip(strided(x), dense(x))
        for stage, (reference, out) in enumerate(outs):
            step = strided.out_strides[stage] // dense.out_strides[stage]
            assert out.shape[2] == -(-size[0] // dense.out_strides[stage])
            error = relative_error(sampled(out, step), reference)
            assert error < TOLERANCE, f'stage {stage} at {size}: {error:.1e}'


def dilated(model: nn.Module) -> nn.Module:
    """Turn a phase-wise network into one of PyTorch's own dilated convolutions."""
    for group, (_, splits) in zip(model.blocks, model.levels):
        dilation = 2**splits
        for module in group.modules():
            if isinstance(getattr(module, 'split', None), SplitPhases):
                module.split = nn.Identity()
                # what stands before the split has the dilation of one split less
                for part in (module.ghost1, module.conv_dw, module.shortcut):
                    part.before_split = True
        for name, module in group.named_modules():
            if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
                parents = [
                    group.get_submodule(name[:i])
                    for i in range(len(name) + 1)
                    if i == len(name) or name[i] == '.'
                ]
                before = any(hasattr(m, 'before_split') for m in parents)
                d = dilation // 2 if before else dilation
                module.dilation = (d, d)
                module.padding = tuple(d * (k // 2) for k in module.kernel_size)
    model.levels = [(stage, 0) for stage, _ in model.levels]
    return model


@pytest.mark.parametrize('output_stride', [8, 16])
def test_all_phases_equal_dilated_convolutions(output_stride):
    """An independent implementation, for all positions and up to the border.

    V1 without SE: all that is left are convolutions, which PyTorch can dilate. On sides
    that leave all phases of one size nothing is repeated at the border.
    """
    _, phases = pair(GhostNetV1, 0.5, output_stride)
    for module in phases.modules():
        if isinstance(module, GhostBottleneck):
            module.se = nn.Identity()
    reference = dilated(copy.deepcopy(phases))
    x = image(1, 3, 160, 96).double()
    with torch.no_grad():
        for ours, theirs in zip(phases(x), reference(x), strict=True):
            assert relative_error(ours, theirs) < TOLERANCE


class OnDenseMap(nn.Module):
    """Runs an operator on the dense map, as if it had not been dilated."""

    def __init__(self, operator: nn.Module, splits: int, sizes: list) -> None:
        super().__init__()
        self.operator, self.splits, self.sizes = operator, splits, sizes

    def forward(self, x, *others):
        def dense(y):
            for size in reversed(self.sizes[: self.splits]):
                y = MergePhases()(y, size)
            return y

        y = self.operator(dense(x), *map(dense, others))
        for _ in range(self.splits):
            y = SplitPhases()(y)
        return y


def spatial_operators(model: nn.Module):
    """Yield group, parent and name of every operator that mixes positions."""
    for group, (_, splits) in zip(model.blocks, model.levels):
        if splits == 0:
            continue
        first = group[0]
        for name, module in group.named_modules():
            parent_name, _, child = name.rpartition('.')
            parent = group.get_submodule(parent_name)
            # What stands before the split is on the dense map of one split less.
            before = parent_name.split('.')[:2] in (['0', 'ghost1'], ['0', 'shortcut'])
            before = before or name in ('0.conv_dw',)
            if isinstance(getattr(first, 'split', None), SplitPhases) and before:
                continue
            mixes = isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
            if isinstance(module, DFCAttention | SqueezeExcite) or mixes:
                yield splits, parent, child, f'blocks.{name}'


@pytest.mark.parametrize('output_stride', [16, pytest.param(8, marks=pytest.mark.slow)])
def test_one_operator_left_undilated_would_be_noticed(output_stride):
    """A check of the check, operator by operator.

    Each convolution with k > 1, each DFC attention and each SE after the first left-out
    stride is run on the dense map instead of on its phases; the equality must break by
    a thousandth and more each time.
    """
    strided, dense = pair(GhostNetV2, 0.5, output_stride)
    x = image(1, 3, 96, 96).double()
    with torch.no_grad():
        reference = strided(x)[5]
        step = 32 // output_stride
        sizes = [(96 // output_stride,) * 2, (96 // output_stride // 2,) * 2]
        operators = list(spatial_operators(dense))
        kinds = {type(getattr(p, c)).__name__ for _, p, c, _ in operators}
        assert kinds == {'Conv2d', 'DFCAttention', 'SqueezeExcite'}
        assert relative_error(sampled(dense(x)[5], step), reference) < TOLERANCE
        for splits, parent, child, name in operators:
            kept = getattr(parent, child)
            setattr(parent, child, OnDenseMap(kept, splits, sizes))
            error = relative_error(sampled(dense(x)[5], step), reference)
            setattr(parent, child, kept)
            assert error > 1e-3, f'{name} undilated changes only {error:.1e}'


def test_a_convolution_on_phases_is_a_dilated_convolution():
    """Against PyTorch's own dilation, on sizes that leave the phases equal."""
    x, weight = image(2, 6, 12, 20), image(6, 1, 5, 5, seed=2)
    on_phases = F.conv2d(SplitPhases()(x), weight, padding=2, groups=6)
    dilated = F.conv2d(x, weight, padding=4, dilation=2, groups=6)
    torch.testing.assert_close(MergePhases()(on_phases, (12, 20)), dilated)


@pytest.mark.parametrize('size', [(1, 1), (1, 2), (5, 4), (7, 7), (8, 3)])
def test_merging_undoes_splitting(size):
    x = image(3, 2, *size)
    phases = SplitPhases()(x)
    assert phases.shape == (12, 2, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert torch.equal(phases[4], x[1, :, ::2, ::2])
    assert torch.equal(MergePhases()(phases, size), x)


def test_dense_network_trains_every_parameter():
    model = GhostNetV2(output_stride=8)
    sum(out.mean() for out in model(image(2, 3, 67, 45))).backward()
    assert all(p.grad is not None for p in model.parameters())
