"""Files of other origins become checkpoints of the toolboxes' models."""

import pytest
import torch

from mmghost.errors import WeightsError
from mmghost.models import GhostNetClassifier, GhostNetV2
from mmghost.weights import adapt_checkpoint
from tests.weights.conftest import WIDTH, small_state
from tests.weights.models import deeplabv3, image_classifier, retinanet
from tests.weights.writers import mindspore_names


@pytest.fixture(scope='module')
def state():
    """Return the weights of a classifier by the release's names."""
    return small_state(GhostNetClassifier, num_classes=10)


@pytest.mark.parametrize('names', [dict, mindspore_names])
def test_a_release_file_becomes_the_checkpoint_of_a_classifier(names, state):
    model, checkpoint = image_classifier(), names(state)
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    missing, unknown = model.load_state_dict(checkpoint['state_dict'], strict=False)
    assert not unknown and all(n.endswith('num_batches_tracked') for n in missing)
    assert torch.equal(model.backbone.conv_stem.weight, state['conv_stem.weight'])
    hidden = model.head.layers[0].fc.weight
    assert torch.equal(hidden, state['conv_head.weight'].flatten(1))


@pytest.mark.parametrize('model', [retinanet, deeplabv3])
def test_a_release_file_becomes_the_backbone_of_a_detector(model, state, log):
    model, checkpoint = model(), {'state_dict': dict(state)}
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    trunk = {f'backbone.{name}' for name in model.backbone.state_dict()}
    assert checkpoint['state_dict'].keys() == trunk
    assert '10 are not part of it' in log[0]  # the last convolution and the head


@pytest.mark.parametrize('model', [retinanet, image_classifier])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_models_own_checkpoint_is_left_alone(model, prefix):
    model = model()
    own = {f'{prefix}{name}': value for name, value in model.state_dict().items()}
    checkpoint = {'meta': {}, 'state_dict': own}
    assert not adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint == {'meta': {}, 'state_dict': own}


@pytest.mark.parametrize('key', ['state_dict_ema', 'model_ema'])
def test_averaged_weights_are_taken_but_where_mmengine_resumes(key, log):
    model = retinanet()
    averaged = {f'module.{n}': v + 1 for n, v in model.state_dict().items()}
    checkpoint = {'state_dict': model.state_dict(), key: averaged}
    assert not adapt_checkpoint(model, {'message_hub': {}, **checkpoint}, 'a.pth')
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    assert log == [f'a.pth: weights are taken from {key!r}']
    taken = checkpoint['state_dict']
    assert all(torch.equal(taken[n], v + 1) for n, v in model.state_dict().items())


@pytest.mark.parametrize('key', ['state_dict', None])
@pytest.mark.parametrize(
    ('old', 'new'),
    [('', 'module._orig_mod.'), ('backbone.', 'backbone._orig_mod.')],
)
def test_a_checkpoint_of_a_compiled_model_keeps_all_its_parts(old, new, key):
    model = retinanet()
    state = {
        new + name.removeprefix(old) if name.startswith(old) else name: value
        for name, value in model.state_dict().items()
    }
    checkpoint = {key: state} if key else dict(state)
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    model.load_state_dict(checkpoint['state_dict'], strict=True)


def test_a_model_inside_another_is_not_cut_down_to_its_trunk():
    model = retinanet()
    state = {f'detector.{name}': value for name, value in model.state_dict().items()}
    checkpoint = {'state_dict': state}
    assert not adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint['state_dict'] is state


def test_what_is_left_out_of_a_file_is_logged(state, log):
    content = {f'net.backbone.{name}': value for name, value in state.items()}
    content['net.text_encoder.weight'] = torch.ones(1)
    assert adapt_checkpoint(retinanet(), content, 'a.pth')
    assert 'left out: 1 of net' in log[0]


def test_beside_timms_wrapper_neck_and_head_are_kept(state, log):
    model = retinanet()
    content = {f'backbone.timm_model.{n}': v for n, v in state.items()}
    own = {n: v for n, v in model.state_dict().items() if n.startswith('neck.')}
    checkpoint = {'state_dict': {**content, **own}}
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    assert own.keys() < checkpoint['state_dict'].keys()
    assert 'neck' not in log[0]


def test_numbers_and_mindspores_gates_are_looked_at_as_in_init_cfg(state, log):
    assert adapt_checkpoint(retinanet(), mindspore_names(state), 'a.ckpt')
    assert any('MindSpore upsamples the gate bilinearly' in line for line in log)
    broken = {**state, 'bn1.bias': state['bn1.bias'] * torch.nan}
    with pytest.raises(WeightsError, match=r'bn1\.bias has 4 of 4 values that are NaN'):
        adapt_checkpoint(retinanet(), broken, 'a.pth')


def test_models_and_files_of_others_are_left_alone(state):
    assert not adapt_checkpoint(torch.nn.Linear(2, 2), dict(state), 'a.pth')
    assert not adapt_checkpoint(GhostNetV2(WIDTH), dict(state), 'a.pth')
    resnet = {'conv1.weight': torch.ones(1)}
    assert not adapt_checkpoint(image_classifier(), resnet, 'a.pth')
