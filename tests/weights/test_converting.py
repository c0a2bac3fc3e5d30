"""Converted and published files keep every bit, and say where they come from."""

import hashlib
import re

import pytest
import torch

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError, convert, load_pretrained, publish
from tests.helpers import image
from tests.weights.conftest import WIDTH, filled, small_state, timm_network
from tests.weights.models import image_classifier
from tests.weights.writers import mindspore_names, write_mindspore


def load(path):
    return torch.load(path, weights_only=True)


def same(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a
    )


@pytest.fixture()
def source(tmp_path):
    """Return a file of the release's form."""
    torch.save(small_state(num_classes=10), tmp_path / 'source.pth')
    return tmp_path / 'source.pth'


@pytest.mark.parametrize(
    ('name', 'network'),
    [
        ('ghostnet_050', dict(dfc=None)),
        ('ghostnetv2_100', {}),
        ('ghostnetv3_100', dict(branches=3)),
    ],
)
def test_the_release_form_has_timms_names_and_converts_back(name, network, tmp_path):
    state = small_state(**network)
    torch.save(state, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'release')
    found = load(tmp_path / 'b.pth')['state_dict']
    assert found.keys() == timm_network(name).state_dict().keys()
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'mmpretrain')
    ours = GhostNetClassifier(WIDTH, **network)
    load_pretrained(ours, tmp_path / 'c.pth')
    assert same(dict(ours.state_dict()), state)


def test_the_converted_classifier_is_mmpretrains_own(source, tmp_path):
    convert(source, tmp_path / 'b.pth', 'mmpretrain')
    model = image_classifier().eval()
    model.load_state_dict(load(tmp_path / 'b.pth')['state_dict'], strict=True)
    ours = GhostNetClassifier(WIDTH, num_classes=10).eval()
    load_pretrained(ours, tmp_path / 'b.pth')
    x = image(2, 3, 64, 64)
    with torch.no_grad():
        logits = model.head(model.extract_feat(x))
        # A linear layer for a 1x1 convolution: another order of sums.
        torch.testing.assert_close(logits, ours(x), rtol=0, atol=1e-5)
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'backbone')
    trunk = GhostNetV2(WIDTH, out_indices=(5,))
    trunk.load_state_dict(load(tmp_path / 'c.pth')['state_dict'], strict=True)


def test_a_detectors_backbone_is_converted_as_deep_as_it_is(tmp_path):
    backbone = GhostNetV2(WIDTH, out_indices=(1, 2, 3))
    state = {f'backbone.{name}': v for name, v in backbone.state_dict().items()}
    state['neck.lateral_convs.0.conv.weight'] = torch.ones(1)
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'backbone')
    assert same(load(tmp_path / 'b.pth')['state_dict'], dict(backbone.state_dict()))


def test_a_converted_mindspore_file_still_warns_of_its_dfc(tmp_path, log):
    content = write_mindspore(mindspore_names(small_state()))
    (tmp_path / 'a.ckpt').write_bytes(content)
    meta = convert(tmp_path / 'a.ckpt', tmp_path / 'b.pth', 'release')
    dfc = dict(upsample='bilinear', align_corners=True)
    assert meta['mmghost_weights']['dfc'] == dfc
    load_pretrained(GhostNetV2(WIDTH), tmp_path / 'b.pth')
    assert "dfc=dict(upsample='bilinear'" in log[-1]
    load_pretrained(GhostNetV2(WIDTH, dfc=dfc), tmp_path / 'b.pth')
    assert 'tensors loaded' in log[-1]


def test_the_source_is_noted_and_travels_along(source, tmp_path):
    expected = dict(
        model='GhostNetV2',
        widen_factor=WIDTH,
        origin="the authors' release or timm",
        source='source.pth',
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        ema=False,
    )
    convert(source, tmp_path / 'b.pth', 'mmpretrain')
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'backbone')
    assert load(tmp_path / 'c.pth')['meta']['mmghost_weights'] == expected


def test_a_view_does_not_bring_its_storage_into_the_file(tmp_path):
    state = GhostNetV1(WIDTH).state_dict()
    shape = state['conv_stem.weight'].shape
    state['conv_stem.weight'] = torch.zeros(9_000_000)[: shape.numel()].view(shape)
    torch.save(state, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'backbone')
    assert (tmp_path / 'b.pth').stat().st_size < 5e6


@pytest.mark.parametrize(
    ('form', 'change', 'says'),
    [
        ('onnx', {}, 'must be one of mmpretrain, backbone, release'),
        ('release', {'conv_head.weight': None}, 'use --to backbone'),
        ('backbone', {'bn1.bias': torch.full((4,), float('nan'))}, 'NaN'),
        ('backbone', {'conv_stem.weight': torch.ones(5, 3, 3, 3)}, 'no width'),
    ],
)
def test_what_cannot_be_converted_is_refused(form, change, says, source, tmp_path):
    state = {n: change.get(n, v) for n, v in load(source).items()}
    torch.save({n: v for n, v in state.items() if v is not None}, source)
    with pytest.raises(WeightsError, match=says):
        convert(source, tmp_path / 'b.pth', form)
    assert not list(tmp_path.glob('b.pth*'))


def test_the_source_is_never_overwritten(source):
    before = source.read_bytes()
    with pytest.raises(WeightsError, match='is the source itself'):
        convert(source, source, 'mmpretrain')
    assert source.read_bytes() == before


def test_the_tool_converts_and_prints_one_line(source, tmp_path, call):
    tool, target = 'model_converters/convert_weights.py', tmp_path / 'b.pth'
    status, text = call(tool, source, target, '--to', 'mmpretrain')
    assert (status, text.count('\n')) == (0, 1)
    assert 'b.pth: GhostNetV2, width 0.25' in text
    status, text = call(tool, tmp_path / 'c.pth', source, '--to', 'backbone')
    assert (status, 'there is no such file' in text) == (1, True)


# Publishing. ----------------------------------------------------------------------------


def test_a_published_file_has_weights_and_useful_notes_alone(tmp_path):
    state = small_state(GhostNetV1)
    content = {
        'meta': {'epoch': 3, 'time': 'now', 'dataset_meta': {'classes': ('a', 'b')}},
        'state_dict': {f'module.backbone.{name}': v for name, v in state.items()},
        'optimizer': {'state': {0: torch.zeros(1000)}},
        'message_hub': {},
    }
    torch.save(content, tmp_path / 'epoch_3.pth')
    path = publish(tmp_path / 'epoch_3.pth', tmp_path / 'model.pth')
    found = load(path)
    assert found.keys() == {'meta', 'state_dict'}
    assert found['meta']['epoch'] == 3 and 'time' not in found['meta']
    assert found['meta']['dataset_meta'] == {'classes': ('a', 'b')}
    assert same(found['state_dict'], {f'backbone.{n}': v for n, v in state.items()})


@pytest.mark.parametrize('end', ['', '-20240131', '-deadbeef'])
def test_the_name_has_the_hash_of_the_file(end, source, tmp_path):
    (tmp_path / f'net{end}.pth').write_text('another file')
    path = publish(source, tmp_path / f'net{end}.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'net{end}-{digest[:8]}.pth'
    assert (tmp_path / f'net{end}.pth').read_text() == 'another file'
    again = publish(path, tmp_path / path.name)
    assert re.fullmatch(rf'net{end}-[0-9a-f]{{8}}\.pth', again.name)


@pytest.mark.parametrize('key', ['state_dict_ema', 'state_dict'])
def test_averaged_weights_are_published(key, tmp_path):
    """mmengine's EMAHook writes them as `state_dict`, timm as `state_dict_ema`."""
    averaged = small_state(GhostNetV1)
    trained = filled(GhostNetV1(WIDTH), seed=9).state_dict()
    other = 'state_dict' if key == 'state_dict_ema' else 'ema_state_dict'
    torch.save({other: trained, key: averaged}, tmp_path / 'a.pth')
    path = publish(tmp_path / 'a.pth', tmp_path / 'model.pth')
    assert same(load(path)['state_dict'], averaged)


def test_a_wrong_ending_is_not_published(source, tmp_path):
    with pytest.raises(WeightsError, match=r'must end in \.pth'):
        publish(source, tmp_path / 'model.tar')


def test_the_tool_prints_what_it_wrote(source, tmp_path, call):
    _, text = call('model_converters/publish_model.py', source, tmp_path / 'model.pth')
    written = next(tmp_path.glob('model-*.pth'))
    assert text.startswith(f'{written}: ')
