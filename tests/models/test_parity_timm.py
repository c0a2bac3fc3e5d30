"""The same weights give the same numbers as in timm, stage by stage."""

import copy

import pytest
import torch

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.models.ghostnet import RELEASE_DFC
from tests.helpers import picture, randomise, relative_error

timm = pytest.importorskip('timm')

# Same operators in the same order: what is left is the freedom of the kernels.
TOLERANCE = 1e-5

# The last of timm's `blocks.S` that belong to each stage.
LAST_GROUP = {0: 0, 1: 2, 2: 4, 3: 6, 4: 8, 5: 9}

VERSIONS = {
    'ghostnetv2_100': (GhostNetV2, 1.0, RELEASE_DFC),
    'ghostnetv2_130': (GhostNetV2, 1.3, RELEASE_DFC),
    'ghostnetv2_160': (GhostNetV2, 1.6, RELEASE_DFC),
    'ghostnet_100': (GhostNetV1, 1.0, None),
    'ghostnet_130': (GhostNetV1, 1.3, None),
}
SIZES = [(224, 224), (320, 320), (416, 416), (227, 131), (65, 301)]


@pytest.fixture(scope='module', params=VERSIONS)
def networks(request):
    """Return timm's network and ours (backbone, classifier), with the same weights."""
    cls, width, dfc = VERSIONS[request.param]
    reference = randomise(timm.create_model(request.param)).eval()
    weights = reference.state_dict()
    backbone = cls(width, out_indices=range(6)).eval()
    trunk = {
        key: value
        for key, value in weights.items()
        if not key.startswith(('conv_head', 'classifier'))
    }
    backbone.load_state_dict(trunk, strict=True)
    classifier = GhostNetClassifier(width, dfc=dfc).eval()
    classifier.load_state_dict(weights, strict=True)
    return reference, backbone, classifier


@pytest.mark.parametrize('size', SIZES, ids=lambda size: f'{size[0]}x{size[1]}')
def test_every_stage_and_the_logits_equal_timms(networks, size):
    reference, backbone, classifier = networks
    x = picture(1, 3, *size)
    taps = {}
    hooks = [
        reference.blocks[group].register_forward_hook(
            lambda _, __, out, stage=stage: taps.update({stage: out})
        )
        for stage, group in LAST_GROUP.items()
    ]
    try:
        with torch.no_grad():
            logits = reference(x)
            outs = backbone(x)
    finally:
        for hook in hooks:
            hook.remove()
    for stage, out in enumerate(outs):
        error = relative_error(out, taps[stage])
        assert error < TOLERANCE, f'stage {stage} differs from timm by {error:.1e}'
    with torch.no_grad():
        assert relative_error(classifier(x), logits) < TOLERANCE


def test_the_parity_test_notices_one_moved_statistic(networks):
    """A check of the check: the random weights must matter."""
    reference, _, classifier = networks
    x = picture(1, 3, 96, 96)
    # mean of one channel of the last DFC attention before the last stage
    statistic = classifier.blocks[8][3].ghost2.cheap_operation[1].running_mean
    kept = statistic.clone()
    try:
        statistic[0] += 0.1
        with torch.no_grad():
            assert relative_error(classifier(x), reference(x)) > TOLERANCE
    finally:
        statistic.copy_(kept)


def test_gradients_equal_timms(networks):
    """In double precision: in single, a ReLU's input of 1e-7 has either sign."""
    reference, _, classifier = networks
    x = picture(1, 3, 64, 64).double()
    grads = []
    for model, order in (
        (reference, torch.contiguous_format),
        (classifier, torch.contiguous_format),
        (classifier, torch.channels_last),  # where our backward is another
    ):
        model = copy.deepcopy(model).double()
        model(x.contiguous(memory_format=order)).square().sum().backward()
        grads.append({n: p.grad for n, p in model.named_parameters()})
    for name, grad in grads[0].items():
        assert relative_error(grads[1][name], grad) < 1e-9, name
        assert relative_error(grads[2][name], grad) < 1e-9, name
