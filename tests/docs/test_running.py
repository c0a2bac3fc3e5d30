"""Run the blocks of each page, in order, in a copy of the clone: ``make test-docs``.

A page takes some things as given: data, images, weights, earlier trainings. Each function
under GIVEN makes those of one page.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmghost
from mmghost.datasets import make_shapes
from mmghost.weights import catalogue
from mmghost.weights.reading import cached_path
from tests.docs.pages import ROOT, Block, pages, runnable
from tests.helpers import randomize

SHAPES = 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py'
# The Chinese README has the English one's blocks (test_readme.py).
RUN = [page for page in pages() if page != 'README_zh-CN.md' and runnable(page)]
CONFIGS = [b for page in RUN for b in runnable(page) if 'config on' in b.marks]


class Clone:
    """A folder like a clone, and what is run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / 'configs', folder / 'configs')  # pages write there
        for name in ('mmghost', 'tools', 'dev', 'projects', 'requirements', 'Makefile'):
            (folder / name).symlink_to(ROOT / name)
        (folder / '.venv').symlink_to(sys.prefix)
        mmdet_files = f'{mmdet.__path__[0]}/.mim'
        self.words = dict(CONFIG=SHAPES, CHECKPOINT='shapes.pth', MMDET=mmdet_files)
        self.names: dict = {'__name__': 'page'}
        path = f'{sys.prefix}/bin{os.pathsep}{os.environ["PATH"]}'
        self.env = {**os.environ, 'PATH': path, 'PYTHONPATH': str(folder)}

    def run(self, script: str) -> None:
        """Run a bash script with the words in capitals replaced."""
        for word, meant in self.words.items():
            script = re.sub(rf'(?<![\w/]){word}(?![\w])', meant, script)
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', script],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=900,  # more than any block takes on one slow core
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    def follow(self, block: Block) -> None:
        """Do what a block of a page says."""
        if 'saved as' in block.marks:
            path = self.folder / block.marks['saved as']
            path.write_text(block.text)
            build(Config.fromfile(path))
        elif 'config on' in block.marks:
            build(put_on_base(block, self.folder))
        elif block.language == 'bash':
            self.run(block.text)
        else:
            exec(compile(block.text, str(block), 'exec'), self.names)
            backbone = self.names.pop('backbone', None)
            if isinstance(backbone, dict) and 'model_name' not in backbone:
                backbone.pop('init_cfg', None)  # tested with the weights
                assert MODELS.build(backbone)(torch.rand(2, 3, 64, 64))


def put_on_base(block: Block, folder: Path) -> Config:
    """Return the config of a block, merged into the one that its mark names."""
    toolbox, _, name = block.marks['config on'].partition('::')
    (package,) = importlib.util.find_spec(toolbox).submodule_search_locations
    base = f'_base_ = {str(Path(package) / ".mim/configs" / name)!r}\n'
    path = folder / f'block_{block.line}.py'
    path.write_text(base + re.sub(r'^_base_ = .*\n', '', block.text, flags=re.M))
    return Config.fromfile(path)


def build(cfg: Config) -> nn.Module:
    """Build a config's model and extract the features of an image."""
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.pop('init_cfg', None)  # tested with the weights
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    maps = model.extract_feat(torch.rand(2, 3, 128, 128))
    for name, head in model.named_children():
        if name in ('bbox_head', 'decode_head', 'auxiliary_head', 'head'):
            head(maps)
    return model


def untrained(config: str, path: Path) -> None:
    """Write a checkpoint of a config's model with random weights."""
    cfg = Config.fromfile(ROOT / config)
    model = build(cfg)
    randomize(model.backbone)
    if hasattr(model, 'bbox_head'):  # initially it detects nothing
        nn.init.zeros_(model.bbox_head.retina_cls.bias)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = dict(epoch=1, iter=1, dataset_meta=dict(classes=list(cfg.metainfo.classes)))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)


def images_and_detector(clone: Clone) -> None:
    """Make an image, a folder of images, the demo's data and a detector of it."""
    few = dict(only='coco', size=128, progress=False)
    classes = list(Config.fromfile(ROOT / SHAPES).metainfo.classes)
    data = clone.folder / 'data/shapes'
    make_shapes(data, classes=classes, train=64, val=8, **few)
    folder = clone.folder / 'folder'
    folder.mkdir()
    for path in sorted((data / 'coco/val2017').iterdir())[:3]:
        shutil.copy2(path, folder)
        shutil.copy2(path, clone.folder / 'image.jpg')
    untrained(SHAPES, clone.folder / 'shapes.pth')
    base = f"_base_ = './{SHAPES.removeprefix('configs/')}'\n"
    (clone.folder / 'configs/mine.py').write_text(base)


def get_started(clone: Clone) -> None:
    training = clone.folder / 'demo_output/training'
    untrained(SHAPES, training / 'best_coco_bbox_mAP_epoch_4.pth')
    Config.fromfile(ROOT / SHAPES).dump(training / Path(SHAPES).name)


def finetune(clone: Clone) -> None:
    (clone.folder / 'configs/mine.py').unlink()
    mine = clone.folder / 'data/mine'
    make_shapes(mine / 'all', only='coco', train=192, val=8, size=96, progress=False)
    for split in ('train', 'val'):
        images = mine / f'all/coco/{split}2017'
        shutil.copytree(images, mine / 'images', dirs_exist_ok=True)
        labels = mine / f'all/coco/annotations/instances_{split}2017.json'
        shutil.copy2(labels, mine / f'{split}.json')


def deployment(clone: Clone) -> None:
    config = 'configs/segmentation/ghostnetv2-1.0-d16_deeplabv3plus_shapes.py'
    untrained(config, clone.folder / 'deeplabv3.pth')
    export = f'python tools/deployment/export_onnx.py {config} deeplabv3.pth'
    clone.run(f'{export} --out deeplabv3.onnx')
    (clone.folder / 'runtime').symlink_to('mmghost/deploy/runtime')


def classifier(name: str, path: Path) -> None:
    """Write weights in the release's form with random numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(randomize(mmghost.get_model(name)).state_dict(), path)


def weights(clone: Clone) -> None:
    classifier('ghostnetv2-1.0', clone.folder / 'ck_ghostnetv2_10.pth.tar')
    classifier('ghostnetv1-1.0', clone.folder / 'work_dirs/v1/epoch_12.pth')
    untrained(SHAPES, clone.folder / 'work_dirs/x/epoch_12.pth')


GIVEN = {
    'docs/get_started.md': get_started,
    'docs/finetune.md': finetune,
    'docs/deployment.md': deployment,
    'docs/weights.md': weights,
}


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_the_config_of_the_page_builds(block, tmp_path):
    build(put_on_base(block, tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the longest page trains, exports and quantizes
@pytest.mark.parametrize('page', RUN)
def test_the_blocks_of_the_page_run(page, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'downloads'))
    for name in ('ghostnetv2-1.0', 'ghostnetv2-1.3'):
        classifier(name, cached_path(catalogue.entry(name).weights[0].url))
    clone = Clone(tmp_path / 'mmghost')
    monkeypatch.chdir(clone.folder)
    monkeypatch.syspath_prepend(str(clone.folder))
    images_and_detector(clone)
    GIVEN.get(page, lambda clone: None)(clone)
    failed = []
    for block in runnable(page):
        try:
            clone.follow(block)
        except Exception as error:  # the others are worth knowing too
            failed.append(f'{block}: {type(error).__name__}: {error}')
    assert not failed, '\n\n'.join(failed)
