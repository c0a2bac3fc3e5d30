"""int8 keeps the score of trained networks, whichever images calibrate it."""

import importlib.util
from copy import deepcopy
from pathlib import Path

import pytest

from mmghost.deploy.converters import check_packages
from mmghost.deploy.export import export_files
from mmghost.deploy.quantize import quantize
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.realdata, pytest.mark.timeout(1800)]
# Config, settings, size of the files and largest loss in points: from scratch, five to
# ten minutes of a core each. Networks that have not learned much lose more.
EIGHT_EPOCHS = {
    'train_cfg.max_epochs': 8,
    'train_cfg.val_interval': 8,
    'param_scheduler.1.end': 8,
    'param_scheduler.1.T_max': 8,
}
CLASSIFIER = 'classification/ghostnetv2-1.0_sign-digits.py'
RETINANET = 'detection/retinanet_ghostnetv2-1.0_bccd-320.py'
MASK_RCNN = 'detection/mask-rcnn_ghostnetv2-1.0_light_nuclei-256.py'
SEGMENTOR = 'segmentation/ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'
NETWORKS = {
    'classifier': (CLASSIFIER, {}, (96, 96), 1.0),
    'retinanet': (RETINANET, EIGHT_EPOCHS, (256, 320), 0.5),
    'mask-rcnn': (MASK_RCNN, EIGHT_EPOCHS, (256, 256), 1.0),
    'segmentor': (SEGMENTOR, {}, (256, 256), 1.0),
}


@pytest.fixture
def trained(request, root, realdata, pytestconfig, monkeypatch):
    """Return config, checkpoint, size and loss; `pytest --cache-clear` trains anew."""
    name, options, size, loss = NETWORKS[request.param]
    folder = pytestconfig.cache.mkdir('int8') / request.param
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    if not Path('data').exists():
        Path('data').symlink_to(realdata)
    cfg = load_config(str(root / 'configs' / name), options, str(folder))
    if not Path('last_checkpoint').exists():
        run_train(prepare_train(deepcopy(cfg)))
    if request.param == 'segmentor':  # nuclei are in images of many sizes
        resize = dict(type='Resize', scale=size, keep_ratio=False)
        cfg.test_dataloader.dataset.pipeline.insert(1, resize)
    return cfg, Path('last_checkpoint').read_text(), size, loss


@pytest.mark.parametrize('target', ['onnx', 'openvino', 'litert'])
@pytest.mark.parametrize('trained', NETWORKS, indirect=True)
def test_int8_loses_no_point_over_three_draws_of_images(trained, target, tmp_path):
    try:
        check_packages(target)
    except UserError as error:
        pytest.skip(str(error))
    if target == 'openvino' and not importlib.util.find_spec('nncf'):
        pytest.skip('nncf is not installed')
    if target == 'litert' and MASK_RCNN in trained[0].filename:
        pytest.skip('detectors of two stages go to ONNX and OpenVINO')
    cfg, checkpoint, size, loss = trained
    (export,) = export_files(cfg, checkpoint, [target], str(tmp_path), size=size)
    for seed in range(3):
        _, before, after = quantize(
            deepcopy(cfg), export.path, max_drop=loss, seed=seed
        )
        for metric, value in after.items():
            print(f'{target}, draw {seed}: {metric} {value:.4f}, {before[metric]:.4f}')
