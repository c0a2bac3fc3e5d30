"""init_cfg=dict(type='Pretrained') of a GhostNet is this package's, in every toolbox."""

import logging

import pytest
import torch
import torch.nn as nn
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, PretrainedInit
from mmengine.runner import Runner, save_checkpoint

import mmghost  # noqa: F401
from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError, load_pretrained
from tests.helpers import randomise
from tests.weights.models import ALL, deeplabv3, retinanet

WIDTH = 0.25


@pytest.fixture()
def weights(tmp_path):
    """Return the path of a classifier's weights, and their state dict."""
    state = randomise(GhostNetClassifier(WIDTH), seed=3).state_dict()
    torch.save(state, tmp_path / 'weights.pth')
    return str(tmp_path / 'weights.pth'), state


@pytest.fixture()
def quiet():
    """Keep mmengine from printing where each parameter came from."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(level)


def equals(backbone, state):
    return all(
        torch.equal(value, state[name]) for name, value in backbone.state_dict().items()
    )


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
def test_every_way_to_name_the_initialiser_is_taken(kind, weights, quiet):
    path, state = weights
    backbone = GhostNetV2(WIDTH, init_cfg=dict(type=kind, checkpoint=path))
    given = backbone.init_cfg
    backbone.init_weights()
    assert equals(backbone, state)
    assert backbone.is_init
    assert backbone.init_cfg is given


def test_other_initialisers_run_before_it_in_any_order(weights, quiet):
    path, state = weights
    others = dict(type='Constant', layer='BatchNorm2d', val=7.0)
    pretrained = dict(type='Pretrained', checkpoint=path)
    for init_cfg in ([others, pretrained], [pretrained, others]):
        backbone = GhostNetV2(WIDTH, init_cfg=init_cfg)
        backbone.init_weights()
        assert equals(backbone, state)


def test_without_it_initialisers_are_mmengines(quiet):
    backbone = GhostNetV2(
        WIDTH, init_cfg=dict(type='Constant', layer='Conv2d', val=0.5)
    )
    backbone.init_weights()
    assert (backbone.conv_stem.weight == 0.5).all()
    GhostNetV2(WIDTH).init_weights()


def test_mmengines_log_says_where_each_weight_came_from(weights, quiet):
    path, _ = weights
    backbone = GhostNetV2(WIDTH, init_cfg=dict(type='Pretrained', checkpoint=path))

    class Model(BaseModule):
        def __init__(self):
            super().__init__()
            self.backbone = backbone
            self.head = nn.Linear(2, 2)

        def _dump_init_info(self):
            self.said = {
                name: self._params_init_info[param]['init_info']
                for name, param in self.named_parameters()
            }

    model = Model()
    model.init_weights()
    assert model.said['backbone.conv_stem.weight'] == f'Pretrained: {path}'
    assert 'same before and after' in model.said['head.weight']


def test_frozen_stages_are_loaded_and_stay_frozen(weights, quiet):
    path, state = weights
    init_cfg = dict(type='Pretrained', checkpoint=path)
    backbone = GhostNetV2(WIDTH, frozen_stages=2, init_cfg=init_cfg)
    backbone.init_weights()
    assert equals(backbone, state)
    assert not backbone.conv_stem.weight.requires_grad
    assert not backbone.train().bn1.training


def test_strict_false_loads_what_fits_and_says_what_stayed_random(weights, quiet, log):
    path, state = weights
    init_cfg = dict(type='Pretrained', checkpoint=path, strict=False)
    backbone = GhostNetV2(WIDTH, in_channels=1, init_cfg=init_cfg)
    before = backbone.conv_stem.weight.clone()
    backbone.init_weights()
    assert torch.equal(backbone.conv_stem.weight, before)
    assert torch.equal(backbone.bn1.weight, state['bn1.weight'])
    assert '632 of 633 tensors loaded' in log[0]
    assert '1 of 633 tensors stayed random: conv_stem.weight' in log[1]


def test_the_line_in_the_log_says_n_of_n_and_what_is_left_out(weights, quiet, log):
    path, _ = weights
    backbone = GhostNetV2(WIDTH, init_cfg=dict(type='Pretrained', checkpoint=path))
    backbone.init_weights()
    assert len(log) == 1
    assert log[0] == (
        f"GhostNetV2: 633 of 633 tensors loaded from {path} (the authors' release or "
        'timm; GhostNetV2 of width 0.25); not part of this model: blocks.9 5, '
        'conv_head 2, classifier 2'
    )


def test_a_dfc_choice_with_weights_of_its_own_round_trips(tmp_path, quiet):
    dfc = dict(kernel_size=(9, 7, 5, 5), downsample='conv', position='both')
    source = GhostNetV2(WIDTH, dfc=dfc)
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    backbone = GhostNetV2(WIDTH, dfc=dfc)
    report = load_pretrained(backbone, tmp_path / 'a.pth')
    assert report.loaded == report.total
    assert equals(backbone, source.state_dict())


def test_kernel_sizes_of_every_stage_are_named_where_they_differ(tmp_path):
    source = GhostNetV2(WIDTH, dfc=dict(kernel_size=(9, 7, 5, 5)))
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='are 5, 7, 9; give kernel_size of dfc'):
        load_pretrained(GhostNetV2(WIDTH), tmp_path / 'a.pth')


# The toolboxes' models. ----------------------------------------------------------------


@pytest.mark.parametrize('model', ALL, ids=lambda m: m.__name__)
def test_the_releases_form_loads_into_every_kind_of_model(model, weights, quiet, log):
    path, state = weights
    model = model(init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    assert equals(model.backbone, state)
    assert ' of '.join([str(len(real(model.backbone)))] * 2) + ' tensors' in log[0]


def real(backbone):
    return [n for n in backbone.state_dict() if not n.endswith('num_batches_tracked')]


@pytest.mark.parametrize('source', ALL, ids=lambda m: m.__name__)
@pytest.mark.parametrize('prefix', [None, 'backbone'])
def test_every_kind_of_model_s_checkpoint_loads_into_every_other(
    source, prefix, tmp_path, quiet
):
    """With and without a prefix, which mmengine gets wrong in silence."""
    source = source()
    randomise(source.backbone, seed=4)
    path = str(tmp_path / 'epoch_1.pth')
    save_checkpoint({'meta': {}, 'state_dict': source.state_dict()}, path)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix=prefix)
    for target in (retinanet, deeplabv3):
        target = target(init_cfg=init_cfg)
        target.init_weights()
        assert equals(target.backbone, source.backbone.state_dict())


def test_a_training_with_a_bad_file_ends_before_its_first_iteration(tmp_path, quiet):
    torch.save(GhostNetV2(0.5).state_dict(), tmp_path / 'wide.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'wide.pth'))
    model = retinanet(init_cfg=init_cfg)
    steps = []
    model.train_step = lambda *args, **kwargs: steps.append(args)
    runner = Runner(
        model,
        str(tmp_path / 'work'),
        train_dataloader=dict(
            batch_size=1, sampler=dict(type='DefaultSampler'), dataset=[dict(x=1)]
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_scope='mmdet',
        experiment_name='bad_file',
    )
    with pytest.raises(WeightsError, match=r'the file is of width 0\.5'):
        runner.train()
    assert not steps


def test_ghostnetv1_takes_its_weights_too(tmp_path, quiet):
    source = GhostNetV1(WIDTH)
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    backbone = GhostNetV1(WIDTH, init_cfg=init_cfg)
    backbone.init_weights()
    assert equals(backbone, source.state_dict())
