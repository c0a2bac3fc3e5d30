"""Output strides 16 and 8 compute, where stride 32 computes, the same numbers."""

import copy

import pytest
import torch
import torch.nn as nn

from mmghost.models import GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.models.atrous import MergePhases, SplitPhases
from mmghost.models.ghostnet import GhostBottleneck
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


@pytest.mark.parametrize('size', [(1, 1), (1, 2), (5, 4), (7, 7), (8, 3)])
def test_merging_undoes_splitting(size):
    x = image(3, 2, *size)
    phases = SplitPhases()(x)
    assert phases.shape == (12, 2, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert torch.equal(phases[4], x[1, :, ::2, ::2])
    assert torch.equal(MergePhases()(phases, size), x)


def test_drop_path_drops_all_phases_of_a_sample_or_none():
    block = GhostNetV2(drop_path_rate=0.5, output_stride=8).train().blocks[-1][-1]
    x = image(8 * 16, 160, 2, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = (block(x) == x).flatten(1).all(1)
    assert {*dropped.view(8, 16).sum(1).tolist()} == {0, 16}


@pytest.mark.slow  # compiles ten seconds each
@pytest.mark.parametrize('size', [(8, 6), (7, 7)])
def test_compiled_it_has_the_same_gradients(size):
    """Between convolutions, which a compiler keeps channels-last."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), SplitPhases(), nn.Conv2d(8, 4, 1))
    x = image(2, 3, size[0] + 2, size[1] + 2)
    gradients = []
    for forward in (network, torch.compile(network)):
        network.zero_grad()
        forward(x).square().mean().backward()
        gradients.append(network[0].weight.grad.clone())
    assert relative_error(*gradients) < 1e-5
    torch._dynamo.reset()
