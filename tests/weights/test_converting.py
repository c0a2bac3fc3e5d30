"""Conversions keep every bit, and say where the weights came from."""

import hashlib

import pytest
import torch

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError, convert, load_pretrained
from tests.helpers import picture, randomise
from tests.weights.conftest import classifier, timm_network
from tests.weights.models import image_classifier
from tests.weights.writers import mindspore_names, write_mindspore

WIDTH = 0.25


def load(path):
    return torch.load(path, weights_only=True)


def same(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a
    )


@pytest.fixture()
def source(tmp_path):
    """Return a file of the release's form, and its content."""
    state = randomise(GhostNetClassifier(WIDTH, num_classes=10)).state_dict()
    torch.save(state, tmp_path / 'source.pth')
    return tmp_path / 'source.pth', dict(state)


@pytest.mark.parametrize('name', ['ghostnetv2_130', 'ghostnet_100'])
def test_release_to_mmpretrain_and_back_is_bit_exact(name, tmp_path):
    state = dict(timm_network(name).state_dict())
    torch.save(state, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'mmpretrain')
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'release')
    assert same(load(tmp_path / 'c.pth')['state_dict'], state)
    # And timm takes it as it is.
    import timm

    model = timm.create_model(name, checkpoint_path=str(tmp_path / 'c.pth')).eval()
    x = picture(1, 3, 64, 64)
    assert torch.equal(model(x), timm_network(name)(x))


def test_mmpretrain_to_release_and_back_is_bit_exact(tmp_path):
    state = dict(randomise(image_classifier()).state_dict())
    torch.save({'state_dict': state, 'meta': {}}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'release')
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'mmpretrain')
    assert same(load(tmp_path / 'c.pth')['state_dict'], state)


def test_the_converted_classifier_is_mmpretrains_own(source, tmp_path):
    path, _ = source
    convert(path, tmp_path / 'b.pth', 'mmpretrain')
    model = image_classifier().eval()
    model.load_state_dict(load(tmp_path / 'b.pth')['state_dict'], strict=True)
    ours = GhostNetClassifier(WIDTH, num_classes=10).eval()
    load_pretrained(ours, path)
    x = picture(2, 3, 64, 64)
    with torch.no_grad():
        logits = model.head(model.extract_feat(x))
        # A linear layer for a 1x1 convolution: another order of sums.
        assert torch.allclose(logits, ours(x), atol=1e-5)


@pytest.mark.parametrize('form', ['mmpretrain', 'release'])
def test_to_backbone_is_the_trunk_from_either_form(form, source, tmp_path):
    path, state = source
    convert(path, tmp_path / 'b.pth', form)
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'backbone')
    trunk = {n: v for n, v in state.items() if not n.startswith(('conv_h', 'classif'))}
    assert same(load(tmp_path / 'c.pth')['state_dict'], trunk)
    backbone = GhostNetV2(WIDTH, out_indices=(5,))
    backbone.load_state_dict(load(tmp_path / 'c.pth')['state_dict'], strict=True)


def test_a_detectors_backbone_is_taken_out_as_deep_as_it_is(tmp_path):
    backbone = GhostNetV2(WIDTH, out_indices=(1, 2, 3))
    state = {f'backbone.{name}': v for name, v in backbone.state_dict().items()}
    state['neck.lateral_convs.0.conv.weight'] = torch.ones(1)
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'backbone')
    assert same(load(tmp_path / 'b.pth')['state_dict'], dict(backbone.state_dict()))


@pytest.mark.parametrize(
    'dfc',
    [
        dict(kernel_size=7),
        dict(stages=(0, 3), kernel_size=(3, 9)),
        dict(position='output', downsample='none'),
        dict(position='both', downsample='conv', ratio=4),
    ],
    ids=str,
)
def test_an_ablated_network_is_whole_too(dfc, tmp_path):
    state = dict(GhostNetV2(WIDTH, dfc=dfc).state_dict())
    torch.save(state, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'backbone')
    assert same(load(tmp_path / 'b.pth')['state_dict'], state)


def test_mindspores_file_becomes_any_other(tmp_path):
    state = timm_network('ghostnetv2_100').state_dict()
    (tmp_path / 'a.ckpt').write_bytes(write_mindspore(mindspore_names(state)))
    meta = convert(tmp_path / 'a.ckpt', tmp_path / 'b.pth', 'release')
    assert meta['mmghost_weights']['dfc'] == dict(
        upsample='bilinear', align_corners=True
    )
    found = load(tmp_path / 'b.pth')['state_dict']
    assert found.keys() == {n for n in state if not n.endswith('num_batches_tracked')}
    assert all(torch.equal(found[name], state[name]) for name in found)
    load_pretrained(classifier('ghostnetv2_100'), tmp_path / 'b.pth')


def test_where_the_weights_came_from_travels_along(source, tmp_path):
    path, _ = source
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = dict(
        model='GhostNetV2',
        widen_factor=WIDTH,
        origin="the authors' release or timm",
        source='source.pth',
        source_sha256=digest,
        ema=False,
    )
    convert(path, tmp_path / 'b.pth', 'mmpretrain')
    assert load(tmp_path / 'b.pth')['meta']['mmghost_weights'] == expected
    convert(tmp_path / 'b.pth', tmp_path / 'c.pth', 'backbone')
    assert load(tmp_path / 'c.pth')['meta']['mmghost_weights'] == expected


def test_the_converted_mindspore_file_still_warns_of_its_dfc(tmp_path, log):
    state = timm_network('ghostnetv2_100').state_dict()
    (tmp_path / 'a.ckpt').write_bytes(write_mindspore(mindspore_names(state)))
    convert(tmp_path / 'a.ckpt', tmp_path / 'b.pth', 'release')
    load_pretrained(GhostNetV2(), tmp_path / 'b.pth')
    assert "dfc=dict(upsample='bilinear'" in log[-1]


def test_a_view_does_not_drag_its_storage_into_the_file(tmp_path):
    big = torch.zeros(50_000_000)
    state = GhostNetV1(WIDTH).state_dict()
    state['conv_stem.weight'] = big[: state['conv_stem.weight'].numel()].view(
        state['conv_stem.weight'].shape
    )
    torch.save(state, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', 'backbone')
    assert (
        (tmp_path / 'b.pth').stat().st_size < 5e6 < (tmp_path / 'a.pth').stat().st_size
    )


@pytest.mark.parametrize(
    ('form', 'change', 'says'),
    [
        ('onnx', {}, 'it is one of mmpretrain, backbone, release'),
        ('release', {'conv_head.weight': None}, 'use --to backbone'),
        ('backbone', {'bn1.bias': None}, 'it lacks bn1.bias'),
        (
            'backbone',
            {'blocks.4.0.extra': torch.ones(1)},
            'it has also blocks.4.0.extra',
        ),
        (
            'backbone',
            {'blocks.3.0.ghost1.short_conv.4.weight': None},
            'it lacks blocks.3.0.ghost1.short_conv.4.weight',
        ),
        (
            'release',
            {f'blocks.4.0.ghost1.short_conv.{n}.weight': None for n in range(6)},
            'it lacks blocks.4.0.ghost1.short_conv.0.weight',
        ),
        (
            'backbone',
            {'blocks.3.0.ghost1.short_conv.2.weight': torch.ones(20, 1, 1, 4)},
            'blocks.3.0.ghost1.short_conv.2.weight',
        ),
        (
            'backbone',
            {'blocks.3.0.ghost1.short_conv.4.weight': torch.ones(20, 1, 6, 1)},
            'dfc.kernel_size must be odd',
        ),
        (
            'backbone',
            {'blocks.4.0.ghost1.short_conv.8.weight': torch.ones(1)},
            'it has also blocks.4.0.ghost1.short_conv.8.weight',
        ),
        ('backbone', {'bn1.bias': torch.full((4,), float('nan'))}, 'NaN'),
        (
            'backbone',
            {'conv_stem.weight': torch.ones(5, 3, 3, 3)},
            'no width of GhostNet',
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(form, change, says, source, tmp_path):
    path, state = source
    state = {n: change.get(n, v) for n, v in {**state, **change}.items()}
    torch.save({n: v for n, v in state.items() if v is not None}, path)
    with pytest.raises(WeightsError) as error:
        convert(path, tmp_path / 'b.pth', form)
    assert says in str(error.value)
    assert not list(tmp_path.glob('b.pth*'))


def test_the_source_is_never_written_over(source):
    path, _ = source
    before = path.read_bytes()
    with pytest.raises(WeightsError, match='is the source itself'):
        convert(path, path, 'mmpretrain')
    assert path.read_bytes() == before


def test_the_door_converts_and_prints_one_line(source, tmp_path, door, capsys):
    path, _ = source
    door('convert_weights.py', path, tmp_path / 'b.pth', '--to', 'mmpretrain')
    assert 'b.pth: GhostNetV2, width 0.25' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='1'):
        door('convert_weights.py', tmp_path / 'c.pth', path, '--to', 'backbone')
    assert 'there is no such file' in capsys.readouterr().err
