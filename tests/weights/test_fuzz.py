"""No state dict, however broken, ends in another error than the one with words."""

import functools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmghost.models import GhostNetClassifier, GhostNetV2
from mmghost.weights import WeightsError, load_pretrained, loading
from mmghost.weights.reading import WeightFile
from tests.helpers import randomise
from tests.weights.models import image_classifier
from tests.weights.writers import mindspore_names

WIDTH = 0.25


@functools.cache
def states():
    """Weights by the names of three origins."""
    release = dict(randomise(GhostNetClassifier(WIDTH)).state_dict())
    return [release, mindspore_names(release), dict(image_classifier().state_dict())]


@functools.cache
def target():
    return randomise(GhostNetV2(WIDTH, out_indices=(4,)), seed=8)


VALUES = [
    torch.tensor(1.0),
    torch.zeros(0),
    torch.ones(1),
    torch.ones(4, 4, 4, 4, 4),
    torch.ones(16, 3, 3, 3, dtype=torch.int64),
    torch.ones(4, dtype=torch.complex64),
    torch.ones(4, dtype=torch.bool),
    torch.full((4,), float('nan')),
    torch.ones(4, 4).to_sparse(),
    torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
    torch.empty(4, device='meta'),
    torch.zeros(3, dtype=torch.int64),
    None,
    'text',
    [1.0],
    {'a': 1},
]


@st.composite
def broken(draw):
    state = dict(draw(st.sampled_from(states())))
    names = st.sampled_from(list(state))
    for name in draw(st.lists(names, max_size=4)):
        state[name] = draw(st.sampled_from(VALUES))
    for name in draw(st.lists(names, max_size=4)):
        state.pop(name, None)
    prefix = draw(
        st.sampled_from(['', '', 'backbone.', 'module.', 'a.b.', '.', 'ema_'])
    )
    state = {prefix + name: value for name, value in state.items()}
    for name in draw(st.lists(st.text(max_size=30), max_size=2)):
        state[name] = draw(st.sampled_from(VALUES))
    if draw(st.booleans()):
        state[draw(st.integers())] = torch.ones(1)
    return state


@settings(max_examples=150, deadline=None)
@given(broken(), st.booleans(), st.sampled_from([None, '', 'backbone', '.', 'x']))
def test_a_broken_state_dict_is_refused_or_loaded(state, strict, prefix):
    model = target()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    file = WeightFile('a.pth', 'torch', {'state_dict': state}, 'state_dict', '0' * 64)
    original, loading.read = loading.read, lambda source: file
    try:
        report = load_pretrained(model, 'a.pth', prefix, strict)
    except WeightsError as error:
        assert str(error).startswith('a.pth: ')
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name])
    else:
        assert report.loaded == report.total or not strict
        for name, value in model.state_dict().items():
            assert torch.isfinite(value).all(), name
        model.load_state_dict(before)
    finally:
        loading.read = original
