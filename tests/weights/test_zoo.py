"""The catalogue is whole and current, and builds what it says."""

import pytest
import torch

import mmghost
from mmghost.analysis import complexity
from mmghost.errors import UserError
from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import catalogue
from tests.helpers import picture
from tests.weights.conftest import timm_network
from tests.weights.writers import mindspore_names, write_mindspore


def test_the_models_are_those_of_the_papers():
    assert mmghost.list_models(pretrained=True) == [
        'ghostnetv2-1.0',
        'ghostnetv2-1.3',
        'ghostnetv2-1.6',
        'ghostnetv1-1.0',
    ]
    assert set(mmghost.list_models()) > set(mmghost.list_models(pretrained=True))


@pytest.mark.parametrize('name', mmghost.list_models())
def test_costs_in_the_catalogue_are_those_of_the_built_network(name):
    entry = catalogue.entry(name)
    with torch.device('meta'):  # counting needs no numbers
        model = mmghost.get_model(name)
    assert complexity(model) == (entry.parameters, entry.macs)


@pytest.mark.parametrize('name', mmghost.list_models())
def test_every_entry_is_whole(name):
    for weights in catalogue.entry(name).weights:
        assert weights.url.startswith('https://')
        assert weights.tag in ('release', 'timm', 'mindspore')
        assert weights.top1
        for value, whose in weights.top1:
            assert 50 < value < 100
            assert whose
        assert weights.sha256 is None or len(weights.sha256) == 64


def test_a_name_builds_a_classifier_or_a_backbone():
    model = mmghost.get_model('ghostnetv2-1.3', num_classes=10)
    assert type(model) is GhostNetClassifier
    assert model.classifier.out_features == 10
    backbone = mmghost.get_model('ghostnetv1-1.1', out_indices=(2, 3, 4))
    assert type(backbone) is GhostNetV1
    assert backbone.out_channels == (44, 124, 176)


@pytest.fixture()
def published(server, torch_home, monkeypatch):
    """Have the catalogue's files on this machine's server, random but of the form."""

    def publish(name, reference, tag='release'):
        entry = catalogue.entry(name)
        weights = next(w for w in entry.weights if w.tag == tag)
        path = torch_home / mmghost.weights.reading.cached_path(weights.url).name
        path.parent.mkdir(parents=True, exist_ok=True)
        state = reference.state_dict()
        if tag == 'mindspore':
            path.write_bytes(write_mindspore(mindspore_names(state)))
        elif tag == 'timm':
            pytest.importorskip('safetensors.torch').save_file(state, path)
        else:
            torch.save(state, path)

    return publish


@pytest.mark.parametrize('pretrained', [True, 'timm'])
def test_pretrained_weights_are_loaded_by_tag(pretrained, published):
    reference = timm_network('ghostnetv2_100')
    published('ghostnetv2-1.0', reference, 'release' if pretrained is True else 'timm')
    model = mmghost.get_model('ghostnetv2-1.0', pretrained=pretrained).eval()
    x = picture(1, 3, 64, 64)
    # timm fuses batch norm and activation; the rest is the same.
    assert torch.allclose(model(x), reference(x), atol=1e-5)


def test_mindspores_weights_come_with_their_dfc(published, log):
    published('ghostnetv2-1.0', timm_network('ghostnetv2_100'), 'mindspore')
    model = mmghost.get_model('ghostnetv2-1.0', pretrained='mindspore')
    gate = model.blocks[3][0].ghost1.short_conv
    assert (gate.upsample, gate.align_corners) == ('bilinear', True)
    assert len(log) == 1


def test_other_classes_leave_the_last_layer_random_and_say_so(published, log):
    published('ghostnetv2-1.0', timm_network('ghostnetv2_100'))
    model = mmghost.get_model('ghostnetv2-1.0', pretrained=True, num_classes=10)
    expected = timm_network('ghostnetv2_100').conv_head.weight
    assert torch.equal(model.conv_head.weight, expected)
    assert (
        '2 of 642 tensors stayed random: classifier.bias, classifier.weight' in log[1]
    )


def test_a_path_is_taken_and_a_backbone_too(tmp_path, log):
    reference = timm_network('ghostnet_100')
    torch.save(reference.state_dict(), tmp_path / 'a.pth')
    path = str(tmp_path / 'a.pth')
    backbone = mmghost.get_model('ghostnetv1-1.0', pretrained=path, out_indices=(4,))
    assert torch.equal(backbone.conv_stem.weight, reference.conv_stem.weight)
    assert isinstance(mmghost.get_model('ghostnetv2-1.0', out_indices=4), GhostNetV2)


@pytest.mark.parametrize(
    ('name', 'pretrained', 'says'),
    [
        ('ghostnetv2-1.1', False, 'did you mean ghostnetv'),
        ('ghostnetv1-1.7', True, 'no weights are published'),
        ('ghostnetv2-1.0', 3, "'release', 'timm', 'mindspore'"),
        ('ghostnetv2-1.0', 'relaese', 'there is no such file; did you mean release?'),
        ('ghostnetv2-1.0', 'gone.pth', 'there is no such file'),
    ],
)
def test_a_wrong_name_or_tag_says_what_there_is(name, pretrained, says):
    with pytest.raises(UserError) as error:
        mmghost.get_model(name, pretrained=pretrained)
    assert says in str(error.value)


def test_the_table_in_the_docs_is_current(root):
    page = (root / 'docs' / 'weights.md').read_text(encoding='utf-8')
    message = (
        'tools/model_converters/list_weights.py --update docs/weights.md renews it'
    )
    assert catalogue.with_table(page) == page, message


def test_the_door_lists_every_file(door, torch_home, capsys):
    door('list_weights.py')
    listed = capsys.readouterr().out
    for entry in catalogue.entries().values():
        for weights in entry.weights:
            assert weights.url in listed
    assert str(torch_home / 'ck_ghostnetv2_10.pth.tar') in listed


def test_the_door_renews_the_table_in_a_page(door, tmp_path):
    page = tmp_path / 'weights.md'
    page.write_text(f'Before.\n{catalogue._BEGIN}\nold\n{catalogue._END}\nAfter.\n')
    door('list_weights.py', '--update', page)
    assert catalogue.table() in page.read_text()
    assert 'old' not in page.read_text()
    page.write_text('no marks')
    with pytest.raises(SystemExit, match='1'):
        door('list_weights.py', '--update', page)
