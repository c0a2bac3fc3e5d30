"""Files of every origin load by name into backbones, and give their own numbers."""

import argparse
from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.model import PretrainedInit

from mmghost.errors import WeightsError
from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.weights import load_pretrained
from mmghost.weights.reading import HAS_SAFE_GLOBALS
from tests.helpers import image, randomize, relative_error
from tests.weights.conftest import WIDTH, filled, small_state, timm_network
from tests.weights.models import ALL
from tests.weights.writers import mindcv_names, mindspore_names, save


def equals(model, state):
    return all(
        torch.equal(value, state[name])
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')  # MindSpore has none
    )


# Origins. -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'network', 'found'),
    [
        ('ghostnet_050', dict(widen_factor=0.5, dfc=None), 'GhostNetV1 of width 0.5'),
        ('ghostnetv2_130', dict(widen_factor=1.3), 'GhostNetV2 of width 1.3'),
        ('ghostnetv3_100', dict(branches=3), 'GhostNetV3 of width 1.0'),
    ],
)
def test_timms_weights_give_timms_logits(name, network, found, tmp_path):
    reference, ours = timm_network(name), GhostNetClassifier(**network).eval()
    torch.save(reference.state_dict(), tmp_path / 'a.pth')
    report = load_pretrained(ours, tmp_path / 'a.pth')
    assert report.loaded == report.total and not report.left_out
    assert report.network.name == found
    x = image(1, 3, 64, 64).double()
    with torch.no_grad():
        # In double precision: timm adds V3's branches in another order.
        expected = deepcopy(reference).double()(x)
        assert relative_error(ours.double()(x), expected) < 1e-10


def prefixed(prefix, state):
    return {f'{prefix}{name}': value for name, value in state.items()}


def mmpretrain_names(state):
    """Rename as mmpretrain does, with a linear layer for the 1x1 convolution."""
    state = prefixed('backbone.', state)
    for i, name in enumerate(('conv_head', 'classifier')):
        weight = state.pop(f'backbone.{name}.weight')
        state[f'head.layers.{i}.fc.weight'] = weight.flatten(1)
        state[f'head.layers.{i}.fc.bias'] = state.pop(f'backbone.{name}.bias')
    return {'state_dict': state, 'meta': {}}


@pytest.mark.parametrize(
    ('name', 'content', 'network'),
    [
        ('a.pth.tar', lambda s: {'state_dict': prefixed('module.', s)}, {}),
        ('a.pth', lambda s: prefixed('module._orig_mod.', s), {}),
        ('a.safetensors', dict, {}),
        ('a.ckpt', mindspore_names, {}),
        ('a.ckpt', mindspore_names, dict(dfc=None)),
        ('a.ckpt', mindcv_names, dict(dfc=None)),
        ('a.pth', mmpretrain_names, {}),
    ],
    ids=['DDP', 'compiled', 'Hub', 'MindSpore V2', 'MindSpore V1', 'MindCV', 'mmpretrain'],
)  # fmt: skip
def test_every_kind_of_file_loads_bit_by_bit(name, content, network, tmp_path):
    state, ours = small_state(**network), GhostNetClassifier(WIDTH, **network)
    report = load_pretrained(ours, save(content(state), tmp_path / name))
    assert report.loaded == report.total and not report.left_out
    assert equals(ours, state)


def test_mindspores_optimizer_is_left_out(tmp_path):
    state = mindspore_names(small_state())
    state['moments.conv_stem.weight'] = state['conv_stem.weight']
    state['learning_rate'] = torch.ones(1)
    path = save(state, tmp_path / 'a.ckpt')
    report = load_pretrained(GhostNetClassifier(WIDTH), path)
    assert report.left_out == {'moments': 1, 'learning_rate': 1}


@pytest.mark.realdata
def test_a_file_of_mindspore_gives_mindspores_logits(realdata, log):
    folder = realdata / 'mindspore_1x'
    ours = GhostNetClassifier(dfc=dict(upsample='bilinear', align_corners=True)).eval()
    report = load_pretrained(ours, folder / 'ghostnetv2_1x.ckpt')
    assert (report.kind, report.loaded, report.total) == ('MindSpore', 642, 642)
    io = np.load(folder / 'io.npz')
    with torch.no_grad():
        logits = ours(torch.from_numpy(io['input'])).numpy()
    assert np.abs(logits - io['logits']).max() <= 1e-4  # other kernels
    assert len(log) == 1
    load_pretrained(GhostNetV2(), folder / 'ghostnetv2_1x.ckpt')
    assert "dfc=dict(upsample='bilinear', align_corners=True)" in log[-1]


def test_the_releases_files_load_with_thops_counters_left_out(tmp_path, log):
    state = dict(small_state())
    for name in ('', 'blocks.0.0.', 'blocks.3.0.ghost1.gate_fn.'):
        state[f'{name}total_ops'] = torch.zeros(1, dtype=torch.float64)
    torch.save(state, tmp_path / 'ck_ghostnetv2_10.pth.tar')
    load_pretrained(GhostNetV2(WIDTH), tmp_path / 'ck_ghostnetv2_10.pth.tar')
    assert log == [
        f'GhostNetV2: 633 of 633 tensors loaded from {tmp_path}/ck_ghostnetv2_10.pth.tar '
        "(the authors' release; GhostNetV2 of width 0.25); not part of this model: "
        'blocks.9 5, conv_head 2, classifier 2, counters of thop 3'
    ]


def test_the_authors_v3_file_loads_its_averaged_weights(tmp_path, log):
    """The layout of ghostnetv3-1.0.pth.tar: both states; branches end in `bn`."""
    state = timm_network('ghostnetv3_100').state_dict()
    names = {n: n.replace('bn1.', 'bn.') if '_rpr_' in n else n for n in state}
    averaged = {f'module.{names[n]}': v for n, v in state.items()}
    trained = {n: torch.zeros_like(v) for n, v in averaged.items()}
    path = tmp_path / 'ghostnetv3-1.0.pth.tar'
    torch.save({'state_dict': trained, 'state_dict_ema': averaged}, path)
    ours = GhostNetV3()
    report = load_pretrained(ours, path)
    assert report.loaded == report.total and 'EMA weights' in log[0]
    timm_weight = state['blocks.3.0.dw_rpr_scale.bn1.running_var']
    assert torch.equal(ours.blocks[3][0].conv_dw.scale.bn.running_var, timm_weight)


@pytest.mark.parametrize('out_indices', [(0,), (1, 2), (3,), (5,)])
def test_a_backbone_of_any_depth_takes_its_part(out_indices, tmp_path):
    torch.save(small_state(), tmp_path / 'a.pth')
    backbone = GhostNetV2(WIDTH, out_indices=out_indices)
    report = load_pretrained(backbone, tmp_path / 'a.pth')
    assert report.loaded == report.total


def test_a_deployed_file_loads_into_the_deployed_form(tmp_path):
    source = filled(GhostNetV2(WIDTH)).switch_to_deploy()
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    backbone = GhostNetV2(WIDTH, deploy=True)
    load_pretrained(backbone, tmp_path / 'a.pth')
    assert equals(backbone, source.state_dict())


def test_a_prefix_chooses_among_several_networks(tmp_path):
    teacher, student = small_state(GhostNetV1), GhostNetV1(WIDTH).state_dict()
    state = {f'teacher.backbone.{n}': v for n, v in teacher.items()}
    state |= {f'student.backbone.{n}': v for n, v in student.items()}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    for prefix, expected in (
        ('teacher.backbone', teacher),
        ('student.backbone.', student),
    ):
        backbone = GhostNetV1(WIDTH)
        load_pretrained(backbone, tmp_path / 'a.pth', prefix=prefix)
        assert equals(backbone, expected)


def test_timms_wrapper_of_mmpretrain_loads_as_deep_as_it_is(tmp_path):
    """Its features_only model has `blocks_3` for `blocks.3`."""
    timm = pytest.importorskip('timm')
    features = timm.create_model('ghostnetv2_100', features_only=True)
    state = {f'backbone.timm_model.{n}': v for n, v in features.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    report = load_pretrained(GhostNetV2(out_indices=(1, 2)), tmp_path / 'a.pth')
    assert report.loaded == report.total


@pytest.mark.skipif(
    not HAS_SAFE_GLOBALS, reason='torch < 2.6 refuses checkpoints of a training'
)
def test_a_checkpoint_of_a_timm_training_loads_its_averaged_weights(tmp_path):
    utils = pytest.importorskip('timm.utils')
    model = GhostNetClassifier(WIDTH)
    average = utils.ModelEmaV3(model)
    average.module.load_state_dict(small_state())
    utils.CheckpointSaver(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        args=argparse.Namespace(model='ghostnet', lr=0.1),
        model_ema=average,
        checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path),
    ).save_checkpoint(epoch=1, metric=np.float64(50.0))
    backbone = GhostNetV2(WIDTH)
    report = load_pretrained(backbone, tmp_path / 'last.pth.tar')
    assert report.kind.endswith('EMA weights')
    assert equals(backbone, small_state())


# init_cfg. ------------------------------------------------------------------------------


@pytest.fixture()
def weights(tmp_path):
    """Return the path of a classifier's weights."""
    torch.save(small_state(), tmp_path / 'weights.pth')
    return str(tmp_path / 'weights.pth')


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
def test_every_name_of_the_initializer_is_this_packages(kind, weights):
    backbone = GhostNetV2(WIDTH, init_cfg=dict(type=kind, checkpoint=weights))
    backbone.init_weights()
    assert equals(backbone, small_state())


def test_pretrained_weights_overwrite_other_initializers_in_any_order(weights):
    others = dict(type='Constant', layer='BatchNorm2d', val=7.0)
    pretrained = dict(type='Pretrained', checkpoint=weights)
    for init_cfg in ([others, pretrained], [pretrained, others]):
        backbone = GhostNetV2(WIDTH, init_cfg=init_cfg)
        backbone.init_weights()
        assert equals(backbone, small_state())


@pytest.mark.parametrize('model', ALL, ids=lambda model: model.__name__)
def test_every_toolbox_loads_the_release_into_its_backbone(model, weights, log):
    model = model(init_cfg=dict(type='Pretrained', checkpoint=weights))
    model.init_weights()
    assert equals(model.backbone, small_state())
    total = sum('num_batches' not in name for name in model.backbone.state_dict())
    assert f'{total} of {total} tensors loaded' in log[0]


def test_strict_false_loads_what_fits_and_logs_what_stayed_random(weights, log):
    init_cfg = dict(type='Pretrained', checkpoint=weights, strict=False)
    backbone = GhostNetV2(WIDTH, in_channels=1, init_cfg=init_cfg)
    before = backbone.conv_stem.weight.clone()
    backbone.init_weights()
    assert torch.equal(backbone.conv_stem.weight, before)
    assert torch.equal(backbone.bn1.weight, small_state()['bn1.weight'])
    assert '632 of 633 tensors loaded' in log[0]
    assert 'What the file lacks stayed random' in log[1] and 'conv_stem' in log[1]


@torch.no_grad()
def test_v3_folds_into_v2_where_batch_norms_are_held(tmp_path, log):
    v3 = randomize(GhostNetV3(WIDTH)).double().eval()
    torch.save(v3.state_dict(), tmp_path / 'v3.pth')
    x = image(2, 3, 64, 64).double()
    for held in (dict(norm_eval=True), dict(frozen_stages=6)):
        v2 = GhostNetV2(WIDTH, **held).double()
        load_pretrained(v2, tmp_path / 'v3.pth')
        assert 'branches folded' in log[-1]
        # In double precision; training mode, for the batch norms are held in it, too.
        for ours, wanted in zip(v2.train()(x), v3(x), strict=True):
            assert relative_error(ours, wanted) < 1e-11
    with pytest.raises(WeightsError, match=r"type='GhostNetV3'.*norm_eval=True"):
        load_pretrained(GhostNetV2(WIDTH), tmp_path / 'v3.pth')
