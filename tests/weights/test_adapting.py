"""Files of other origins as checkpoints of the toolboxes' models."""

import cv2
import numpy as np
import pytest
import torch
from mmengine import fileio
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner, load_checkpoint

from mmghost.engine.checkpoints import check_fit
from mmghost.engine.launch import load_config, prepare_test
from mmghost.errors import UserError
from mmghost.models import GhostNetClassifier, GhostNetV2
from mmghost.weights import WeightsError, adapt_checkpoint
from tests.helpers import randomise
from tests.weights.models import deeplabv3, image_classifier, mask_rcnn, retinanet
from tests.weights.writers import mindspore_names, write_mindspore

WIDTH = 0.25


@pytest.fixture(scope='module')
def state():
    """Return the weights of a classifier by the release's names."""
    return randomise(GhostNetClassifier(WIDTH, num_classes=10), seed=3).state_dict()


def test_a_release_file_becomes_a_classifiers_checkpoint(state):
    model = image_classifier()
    checkpoint = dict(state)
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    assert torch.equal(model.backbone.conv_stem.weight, state['conv_stem.weight'])
    hidden = model.head.layers[0].fc.weight
    assert torch.equal(hidden, state['conv_head.weight'][:, :, 0, 0])


@pytest.mark.parametrize('model', [retinanet, mask_rcnn, deeplabv3])
def test_a_release_file_becomes_a_detectors_backbone(model, state, log):
    model = model()
    checkpoint = {'state_dict': dict(state)}
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    trunk = {f'backbone.{name}' for name in model.backbone.state_dict()}
    assert checkpoint['state_dict'].keys() == trunk
    assert '10 are not part of it' in log[0]  # the last convolution and the head


@pytest.mark.parametrize('model', [retinanet, image_classifier])
def test_its_own_checkpoint_is_left_alone(model):
    model = model()
    checkpoint = {'meta': {}, 'state_dict': model.state_dict()}
    before = dict(checkpoint)
    assert not adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint == before and checkpoint['state_dict'] is before['state_dict']
    ddp = {f'module.{name}': v for name, v in model.state_dict().items()}
    assert not adapt_checkpoint(model, {'state_dict': ddp}, 'a.pth')


@pytest.mark.parametrize('key', ['state_dict_ema', 'model_ema'])
def test_averaged_weights_are_taken_where_its_own_checkpoint_has_both(key, log):
    model = retinanet()
    averaged = {f'module.{n}': v + 1 for n, v in model.state_dict().items()}
    checkpoint = {'state_dict': model.state_dict(), key: averaged}
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    assert log == [f'a.pth: weights are taken from {key!r}']
    taken = checkpoint['state_dict']
    assert taken.keys() == model.state_dict().keys()
    assert all(torch.equal(taken[n], v + 1) for n, v in model.state_dict().items())


def test_what_mmengine_resumes_from_is_left_alone():
    model = retinanet()
    state = model.state_dict()
    averaged = {name: value + 1 for name, value in state.items()}
    checkpoint = {'message_hub': {}, 'state_dict': state, 'state_dict_ema': averaged}
    assert not adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint['state_dict'] is state


@pytest.mark.parametrize('key', ['state_dict', None])
@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('', '_orig_mod.'),
        ('', 'module._orig_mod.'),
        ('backbone.', 'backbone._orig_mod.'),
    ],
)
def test_a_checkpoint_of_a_compiled_model_keeps_all_its_parts(old, new, key):
    model = retinanet()
    state = {
        new + name[len(old) :] if name.startswith(old) else name: value
        for name, value in randomise(model, seed=4).state_dict().items()
    }
    checkpoint = {key: state} if key else dict(state)
    assert adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint['state_dict'].keys() == model.state_dict().keys()
    check_fit(model, checkpoint, 'a.pth')


@pytest.mark.parametrize('model', [retinanet, deeplabv3])
def test_a_model_inside_another_is_not_cut_down_to_its_trunk(model):
    model = model()
    state = {f'detector.{name}': value for name, value in model.state_dict().items()}
    checkpoint = {'state_dict': state}
    assert not adapt_checkpoint(model, checkpoint, 'a.pth')
    assert checkpoint['state_dict'] is state
    with pytest.raises(UserError, match='0 of'):
        check_fit(model, checkpoint, 'a.pth', strict=False)


def test_what_is_left_out_of_a_file_is_logged(state, log):
    content = {f'net.backbone.{name}': value for name, value in state.items()}
    content['net.text_encoder.weight'] = torch.ones(1)
    assert adapt_checkpoint(retinanet(), content, 'a.pth')
    assert 'left out: 1 of net' in log[0]


def test_other_peoples_models_and_files_are_left_alone(state):
    assert not adapt_checkpoint(torch.nn.Linear(2, 2), dict(state), 'a.pth')
    assert not adapt_checkpoint(GhostNetV2(WIDTH), dict(state), 'a.pth')
    resnet = {'conv1.weight': torch.ones(1)}
    assert not adapt_checkpoint(image_classifier(), resnet, 'a.pth')


def test_mmengine_reads_mindspores_ckpt_for_a_classifier(state, tmp_path):
    path = tmp_path / 'ghostnetv2_1x.ckpt'
    path.write_bytes(write_mindspore(mindspore_names(state)))
    model = image_classifier()
    load_checkpoint(model, str(path), strict=True)
    assert torch.equal(model.backbone.conv_stem.weight, state['conv_stem.weight'])
    assert torch.equal(model.head.layers[1].fc.bias, state['classifier.bias'])


def test_mmengine_reads_mindspores_ckpt_from_a_url(state, server, torch_home):
    content = write_mindspore(mindspore_names(state))
    model = image_classifier()
    load_checkpoint(model, server.serve('ghostnetv2_1x.ckpt', content), strict=True)
    assert torch.equal(model.backbone.conv_stem.weight, state['conv_stem.weight'])


def test_mmengine_reads_safetensors(tmp_path):
    path = tmp_path / 'model.safetensors'
    pytest.importorskip('safetensors.torch').save_file(
        {'weight': torch.ones(2, 2)}, path
    )
    model = torch.nn.Linear(2, 2, bias=False)
    load_checkpoint(model, str(path), strict=True)
    assert (model.weight == 1).all()


def test_ckpt_files_of_others_are_read_as_torchs(tmp_path, server, torch_home):
    torch.save({'state_dict': {'weight': torch.ones(2, 2)}}, tmp_path / 'a.ckpt')
    url = server.serve('a.ckpt', (tmp_path / 'a.ckpt').read_bytes())
    for source in (str(tmp_path / 'a.ckpt'), url):
        model = torch.nn.Linear(2, 2, bias=False)
        load_checkpoint(model, source, strict=True)
        assert (model.weight == 1).all()
    for name in ('b.ckpt', 'b.pth'):
        with pytest.raises(WeightsError, match='there is no such file'):
            load_checkpoint(model, str(tmp_path / name))


@pytest.fixture()
def imagenet(tmp_path):
    """Return a folder with four pictures in ImageNet's layout."""
    (tmp_path / 'val').mkdir()
    (tmp_path / 'meta').mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = rng.integers(0, 255, (8, 10, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (300, 270 + 20 * i), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / 'val' / f'{i}.png'), picture)
    (tmp_path / 'meta' / 'val.txt').write_text(
        ''.join(f'{i}.png 0\n' for i in range(4))
    )
    return tmp_path


def test_the_mindspore_config_evaluates_a_ckpt_as_mindspore_does(imagenet, root):
    dfc = dict(upsample='bilinear', align_corners=True)
    network = randomise(GhostNetClassifier(dfc=dfc), seed=5).eval()
    network.classifier.weight.data.mul_(0.1)  # or one class would have score 1
    path = imagenet / 'ghostnetv2_1x.ckpt'
    path.write_bytes(write_mindspore(mindspore_names(network.state_dict())))
    cfg = load_config(
        str(root / 'configs' / 'classification' / 'ghostnetv2-1.0-mindspore_in1k.py'),
        work_dir=str(imagenet / 'work'),
    )
    cfg.test_dataloader.update(batch_size=4, num_workers=0)
    cfg.test_dataloader.dataset.data_root = str(imagenet)
    runner = Runner.from_cfg(prepare_test(cfg, str(path)))
    runner.test_evaluator.metrics.append(DumpResults(str(imagenet / 'out.pkl')))
    assert 'accuracy/top1' in runner.test()
    scores = np.stack(
        [result['pred_score'] for result in fileio.load(imagenet / 'out.pkl')]
    )

    x = torch.stack([prepared(imagenet / 'val' / f'{i}.png') for i in range(4)])
    with torch.no_grad():
        expected = network(x).softmax(1).numpy()
    # Rounding of the same operators, in batches of four and with another mean.
    assert np.abs(scores - expected).max() < 1e-4
    assert np.abs(expected[0] - expected[1]).max() > 1e-2


def prepared(path):
    """Prepare a picture as MindSpore's own evaluation does, written out by hand."""
    picture = cv2.imread(str(path))[:, :, ::-1]
    height, width = picture.shape[:2]
    short = min(height, width)
    size = (256 * width // short, 256 * height // short)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    top, left = (picture.shape[0] - 224) // 2, (picture.shape[1] - 224) // 2
    picture = picture[top : top + 224, left : left + 224]
    mean = np.array([0.485, 0.456, 0.406]) * 255
    std = np.array([0.229, 0.224, 0.225]) * 255
    return torch.from_numpy((picture - mean) / std).float().permute(2, 0, 1)
