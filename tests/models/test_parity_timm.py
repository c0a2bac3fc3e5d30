"""The same weights give the same numbers as in timm, stage by stage."""

import copy
import re

import pytest
import torch

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.models.ghostnet import RELEASE_DFC
from tests.helpers import image, randomize, relative_error

timm = pytest.importorskip('timm')

# Same operators in the same order: what is left is the freedom of the kernels.
TOLERANCE = 1e-5
# GhostNetV3 adds its branches in another order. In double precision, whose rounding a
# random network has raised to 1.2e-10 at its last layers.
EXACT = 1e-9
# The last of timm's `blocks.S` that belong to each stage.
LAST_GROUP = (0, 2, 4, 6, 8, 9)
VERSIONS = {
    'ghostnetv2_100': (GhostNetV2, 1.0, dict(dfc=RELEASE_DFC)),
    'ghostnet_100': (GhostNetV1, 1.0, dict(dfc=None)),
    'ghostnetv3_100': (GhostNetV3, 1.0, dict(branches=3)),
    'ghostnetv2_130': (GhostNetV2, 1.3, dict(dfc=RELEASE_DFC)),
    'ghostnetv2_160': (GhostNetV2, 1.6, dict(dfc=RELEASE_DFC)),
    'ghostnet_130': (GhostNetV1, 1.3, dict(dfc=None)),
}
SIZES = [
    (224, 224),
    (227, 131),
    *(
        pytest.param(s, marks=pytest.mark.slow)
        for s in ((320, 320), (416, 416), (65, 301))
    ),
]


def from_timm(name: str) -> str:
    """Return our name of a weight of timm's GhostNetV3 (V1 and V2 have timm's names)."""
    ours = re.sub(r'(primary|cheap)_rpr_(conv\.|scale|skip)', r'\1.0.\2', name)
    ours = ours.replace('primary.0.', 'primary_conv.0.')
    ours = ours.replace('cheap.0.', 'cheap_operation.0.')
    ours = re.sub(r'dw_rpr_(conv\.|scale)', r'conv_dw.\1', ours)
    branch = re.sub(r'(\.0|conv_dw)\.conv\.(?=\d)', r'\1.convs.', ours)
    return branch.replace('.bn1.', '.bn.') if branch != name else name


@pytest.fixture(scope='module', params=VERSIONS)
def networks(request):
    """Return timm's network and our backbone and classifier with the same weights."""
    cls, width, version = VERSIONS[request.param]
    reference = randomize(timm.create_model(request.param)).eval()
    weights = {from_timm(name): w for name, w in reference.state_dict().items()}
    trunk = {
        name: w
        for name, w in weights.items()
        if not name.startswith(('conv_head', 'classifier'))
    }
    backbone = cls(width, out_indices=range(6)).eval()
    backbone.load_state_dict(trunk, strict=True)
    classifier = GhostNetClassifier(width, **version).eval()
    classifier.load_state_dict(weights, strict=True)
    if cls is GhostNetV3:
        return [m.double() for m in (reference, backbone, classifier)] + [EXACT]
    return reference, backbone, classifier, TOLERANCE


def stages_and_logits(reference, x):
    taps = {}
    hooks = [
        reference.blocks[group].register_forward_hook(
            lambda _, __, out, stage=stage: taps.update({stage: out})
        )
        for stage, group in enumerate(LAST_GROUP)
    ]
    try:
        logits = reference(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [taps[stage] for stage in range(6)], logits


@torch.no_grad()
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_every_stage_and_the_logits_equal_timms(networks, size):
    reference, backbone, classifier, tolerance = networks
    x = image(1, 3, *size).to(next(reference.parameters()).dtype)
    stages, logits = stages_and_logits(reference, x)
    for stage, (ours, theirs) in enumerate(zip(backbone(x), stages, strict=True)):
        assert relative_error(ours, theirs) < tolerance, stage
    assert relative_error(classifier(x), logits) < tolerance
    if tolerance == EXACT:  # in single precision a wide random network raises rounding
        folded = copy.deepcopy(classifier).switch_to_deploy()
        assert relative_error(folded(x), logits) < tolerance


@pytest.mark.parametrize('networks', list(VERSIONS)[:3], indirect=True)
def test_gradients_of_a_training_step_equal_timms(networks):
    """In double precision: in single, the input of a ReLU near 0 has either sign."""
    reference, _, classifier, _ = networks
    x = image(2, 3, 64, 64).double()
    grads = []
    for model in (reference, classifier):
        model = copy.deepcopy(model).double().train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.drop_rate = 0.0
        model(x).square().sum().backward()
        grads.append({n: p.grad for n, p in model.named_parameters()})
    scale = max(g.abs().max() for g in grads[0].values())
    for name, grad in grads[0].items():
        assert (grads[1][from_timm(name)] - grad).abs().max() < 1e-9 * scale, name
