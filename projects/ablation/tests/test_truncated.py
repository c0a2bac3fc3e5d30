"""The truncated network is timm's feature extractor, so they train alike."""

import re

import pytest

from projects.ablation import TruncatedGhostNetV2
from tests.helpers import image, randomize, relative_error

timm = pytest.importorskip('timm')


def test_its_maps_are_those_of_timms_feature_extractor():
    ours = randomize(TruncatedGhostNetV2()).eval()
    theirs = timm.create_model(
        'ghostnetv2_100', features_only=True, out_indices=(1, 2, 3, 4)
    ).eval()
    state = ours.state_dict()
    theirs.load_state_dict(
        {re.sub(r'^blocks\.(\d)', r'blocks_\1', name): state[name] for name in state}
    )
    x = image(2, 3, 224, 160)
    assert ours.out_channels == tuple(theirs.feature_info.channels())
    assert ours.out_strides == tuple(theirs.feature_info.reduction())
    for mine, wanted in zip(ours(x), theirs(x)):
        assert relative_error(mine, wanted) < 1e-5
