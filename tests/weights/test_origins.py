"""Files of every origin load as they are, and give their own network's numbers."""

import numpy as np
import pytest
import torch

from mmghost.models import GhostNetV1, GhostNetV2
from mmghost.weights import load_pretrained
from tests.helpers import picture
from tests.weights.conftest import WIDTHS, classifier, timm_network
from tests.weights.writers import mindspore_names, write_mindspore

# The same operators in the same order, but for timm's fused batch norm and activation.
TOLERANCE = 1e-5
# MindSpore computes with other kernels.
MINDSPORE_TOLERANCE = 1e-4


def save_state(model, folder):
    torch.save(model.state_dict(), folder / 'model.pth')
    return folder / 'model.pth'


def save_wrapped(model, folder):
    torch.save({'epoch': 3, 'state_dict': model.state_dict()}, folder / 'model.pth.tar')
    return folder / 'model.pth.tar'


def save_ddp(model, folder):
    state = {f'module.{name}': value for name, value in model.state_dict().items()}
    torch.save({'state_dict': state}, folder / 'model.pth')
    return folder / 'model.pth'


def save_earlier_format(model, folder):
    path = folder / 'model.pth'
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    return path


def save_safetensors(model, folder):
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file(model.state_dict(), folder / 'model.safetensors')
    return folder / 'model.safetensors'


def save_by_timms_trainer(model, folder):
    """timm keeps its command line beside the weights, and the EMA beside them."""
    from argparse import Namespace

    from timm.utils import CheckpointSaver, ModelEmaV3

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    saver = CheckpointSaver(
        model,
        optimizer,
        args=Namespace(model='ghostnet', lr=0.1),
        model_ema=ModelEmaV3(model),
        checkpoint_dir=str(folder),
        recovery_dir=str(folder),
    )
    saver.save_checkpoint(epoch=1, metric=50.0)
    return folder / 'last.pth.tar'


FORMS = [
    save_state,
    save_wrapped,
    save_ddp,
    save_earlier_format,
    save_safetensors,
    save_by_timms_trainer,
]


@pytest.mark.parametrize('name', WIDTHS)
def test_timms_file_of_every_width_gives_timms_logits(name, tmp_path):
    reference = timm_network(name)
    ours = classifier(name)
    report = load_pretrained(ours, save_state(reference, tmp_path))
    assert report.loaded == report.total
    x = picture(1, 3, 96, 96)
    with torch.no_grad():
        assert (ours(x) - reference(x)).abs().max() <= TOLERANCE
    version, width = WIDTHS[name]
    assert report.network.name == f'GhostNetV{version} of width {width}'


@pytest.mark.parametrize('save', FORMS, ids=lambda save: save.__name__[5:])
def test_every_form_of_file_loads_bit_by_bit(save, tmp_path):
    reference = timm_network('ghostnetv2_100')
    ours = classifier('ghostnetv2_100')
    load_pretrained(ours, save(reference, tmp_path))
    found = ours.state_dict()
    for name, value in reference.state_dict().items():
        assert torch.equal(found[name], value), name


def test_the_authors_file_loads_with_its_counters_left_out(release):
    backbone = GhostNetV2()
    report = load_pretrained(backbone, release)
    assert report.kind == "the authors' release"
    assert report.loaded == report.total == 633
    assert report.left_out == {
        'blocks.9': 5,
        'conv_head': 2,
        'classifier': 2,
        'counters of thop': 8,
    }
    reference = timm_network('ghostnetv2_100').state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, reference[name]), name


@pytest.mark.parametrize('out_indices', [(0,), (1, 2), (3,), (4,), (5,), range(6)])
def test_a_backbone_of_any_depth_takes_its_part(release, out_indices):
    report = load_pretrained(GhostNetV2(out_indices=out_indices), release)
    assert report.loaded == report.total


def test_half_precision_weights_are_taken_in_single(tmp_path):
    state = timm_network('ghostnetv2_100').state_dict()
    halves = {n: v.half() if v.is_floating_point() else v for n, v in state.items()}
    torch.save(halves, tmp_path / 'a.pth')
    backbone = GhostNetV2()
    load_pretrained(backbone, tmp_path / 'a.pth')
    assert backbone.conv_stem.weight.dtype == torch.float32
    assert torch.equal(backbone.conv_stem.weight, halves['conv_stem.weight'].float())


@pytest.mark.realdata
def test_mindspores_file_gives_mindspores_logits(realdata):
    folder = realdata / 'mindspore_1x'
    ours = classifier(
        'ghostnetv2_100', dfc=dict(upsample='bilinear', align_corners=True)
    )
    report = load_pretrained(ours, folder / 'ghostnetv2_1x.ckpt')
    assert (report.kind, report.loaded, report.total) == ('MindSpore', 642, 642)
    io = np.load(folder / 'io.npz')
    with torch.no_grad():
        logits = ours(torch.from_numpy(io['input'])).numpy()
    assert np.abs(logits - io['logits']).max() <= MINDSPORE_TOLERANCE


@pytest.mark.realdata
def test_mindspores_file_in_the_releases_network_is_warned_of(realdata, log):
    load_pretrained(GhostNetV2(), realdata / 'mindspore_1x' / 'ghostnetv2_1x.ckpt')
    assert "dfc=dict(upsample='bilinear', align_corners=True)" in log[-1]


def test_ema_weights_are_preferred(tmp_path):
    plain = timm_network('ghostnet_100').state_dict()
    averaged = {
        name: value + 1 if value.is_floating_point() else value
        for name, value in plain.items()
    }
    torch.save(
        {'state_dict': plain, 'state_dict_ema': averaged}, tmp_path / 'model.pth.tar'
    )
    backbone = GhostNetV1()
    report = load_pretrained(backbone, tmp_path / 'model.pth.tar')
    assert report.kind.endswith('EMA weights')
    assert torch.equal(backbone.conv_stem.weight, averaged['conv_stem.weight'])


def test_the_copies_of_mmcv_1s_ema_hook_are_left_out(tmp_path):
    state = {f'backbone.{n}': v for n, v in GhostNetV1().state_dict().items()}
    state['ema_backbone_conv_stem_weight'] = torch.zeros(16, 3, 3, 3)
    torch.save({'state_dict': state, 'meta': {}}, tmp_path / 'a.pth')
    report = load_pretrained(GhostNetV1(), tmp_path / 'a.pth')
    assert report.left_out == {"EMA copies of mmcv 1.x's hook": 1}


@pytest.mark.parametrize('prefix', ['student.backbone', 'student.backbone.'])
def test_a_prefix_chooses_among_several_networks(prefix, tmp_path):
    teacher, student = GhostNetV1(), GhostNetV1()
    state = {f'teacher.backbone.{n}': v for n, v in teacher.state_dict().items()}
    state |= {f'student.backbone.{n}': v for n, v in student.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    backbone = GhostNetV1()
    load_pretrained(backbone, tmp_path / 'a.pth', prefix=prefix)
    assert torch.equal(backbone.conv_stem.weight, student.conv_stem.weight)


def test_what_timms_wrapper_in_mmpretrain_trained_loads(tmp_path):
    """Its features_only model calls `blocks.3` `blocks_3`."""
    timm = pytest.importorskip('timm')
    features = timm.create_model('ghostnetv2_100', features_only=True)
    state = {f'backbone.timm_model.{n}': v for n, v in features.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    backbone = GhostNetV2(out_indices=(1, 2))
    report = load_pretrained(backbone, tmp_path / 'a.pth')
    assert report.loaded == report.total
    weight = state['backbone.timm_model.blocks_4.0.ghost1.primary_conv.0.weight']
    assert torch.equal(backbone.blocks[4][0].ghost1.primary_conv[0].weight, weight)


def test_mindspores_v1_names_are_translated(tmp_path):
    """The zoo's GhostNet has the same names as its GhostNetV2, without short_conv."""
    reference = timm_network('ghostnet_100')
    path = tmp_path / 'ghostnet_1x.ckpt'
    path.write_bytes(write_mindspore(mindspore_names(reference.state_dict())))
    ours = classifier('ghostnet_100')
    report = load_pretrained(ours, path)
    assert report.loaded == report.total
    expected = reference.state_dict()
    for name, value in ours.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(value, expected[name]), name
