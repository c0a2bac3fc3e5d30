"""get_model builds every network of the catalogue, with the weights it names."""

import pytest
import torch

import mmghost
from mmghost.analysis import complexity
from mmghost.errors import UserError
from mmghost.weights import catalogue
from mmghost.weights.reading import cached_path
from tests.weights.conftest import timm_network
from tests.weights.writers import mindspore_names, save


@pytest.mark.parametrize('name', catalogue.entries())
def test_the_network_has_the_costs_that_the_catalogue_names(name):
    with torch.device('meta'):
        whole, deployed = (mmghost.get_model(name, deploy=d) for d in (False, True))
    entry = catalogue.entry(name)
    assert complexity(whole).params == entry.parameters
    assert complexity(deployed).macs == entry.macs


@pytest.fixture()
def published(torch_home):
    """Put the weights of a network into the cache, where its URL's file goes."""

    def put(tag, state):
        entry = catalogue.entry('ghostnetv2-1.0')
        path = cached_path(next(w.url for w in entry.weights if w.tag == tag))
        path.parent.mkdir(parents=True, exist_ok=True)
        save(mindspore_names(state) if tag == 'mindspore' else state, path)

    return put


def test_published_weights_are_loaded(published):
    state = timm_network('ghostnetv2_100').state_dict()
    published('release', state)
    model = mmghost.get_model('ghostnetv2-1.0', pretrained=True)
    assert torch.equal(model.classifier.weight, state['classifier.weight'])


def test_mindspores_weights_come_with_their_dfc(published, log):
    published('mindspore', timm_network('ghostnetv2_100').state_dict())
    model = mmghost.get_model('ghostnetv2-1.0', pretrained='mindspore')
    gate = model.blocks[3][0].ghost1.short_conv
    assert (gate.upsample, gate.align_corners) == ('bilinear', True)
    assert len(log) == 1


def test_other_classes_leave_the_last_layer_random_and_log_it(tmp_path, log):
    state = timm_network('ghostnet_050').state_dict()
    torch.save(state, tmp_path / 'a.pth')
    options = dict(pretrained=str(tmp_path / 'a.pth'))
    model = mmghost.get_model('ghostnetv1-0.5', num_classes=10, **options)
    assert torch.equal(model.conv_head.weight, state['conv_head.weight'])
    assert 'classifier.weight is (1000, 1280) in the file, (10, 1280) here' in log[1]
    backbone = mmghost.get_model('ghostnetv1-0.5', out_indices=(4,), **options)
    assert torch.equal(backbone.bn1.weight, state['bn1.weight'])


@pytest.mark.parametrize(
    ('name', 'pretrained', 'says'),
    [
        ('ghostnetv2-1.1', False, 'did you mean ghostnetv'),
        ('ghostnetv1-1.7', True, 'no weights are published'),
        (
            'ghostnetv3-1.0',
            'mindspore',
            "no weights 'mindspore' are published; there are",
        ),
    ],
)
def test_a_wrong_name_or_tag_is_refused(name, pretrained, says):
    with pytest.raises(UserError) as error:
        mmghost.get_model(name, pretrained=pretrained)
    assert says in str(error.value)


def test_list_models_names_those_with_weights():
    pretrained = mmghost.list_models(pretrained=True)
    assert {'ghostnetv2-1.0', 'ghostnetv3-1.0', 'ghostnetv1-0.5'} <= {*pretrained}
    assert {*mmghost.list_models()} - {*pretrained} == {
        'ghostnetv2-0.5',
        'ghostnetv1-1.1',
        'ghostnetv1-1.4',
        'ghostnetv1-1.7',
    }


def test_the_tool_lists_every_file(call, torch_home):
    _, listed = call('model_converters/list_weights.py')
    for entry in catalogue.entries().values():
        for weights in entry.weights:
            assert weights.url in listed
    assert str(torch_home / 'ck_ghostnetv2_10.pth.tar') in listed


def test_the_table_in_the_docs_is_current(root, call, tmp_path):
    page = (root / 'docs' / 'weights.md').read_text(encoding='utf-8')
    (tmp_path / 'weights.md').write_text(page, encoding='utf-8')
    args = '--update', tmp_path / 'weights.md'
    assert call('model_converters/list_weights.py', *args)[0] == 0
    current = (tmp_path / 'weights.md').read_text(encoding='utf-8')
    message = 'tools/model_converters/list_weights.py --update docs/weights.md'
    assert current == page, message
