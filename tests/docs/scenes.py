"""What a reader of a page has already: data, pictures, weights, trainings of before.

A page takes some things as given (``CONFIG``, ``picture.jpg``, ``work_dirs/x/epoch_12.pth``).
Each function here puts those of one page into a clone.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

import mmghost
from mmghost.datasets import make_shapes
from mmghost.weights import catalogue
from mmghost.weights.reading import cached_path
from tests.docs.clone import Clone
from tests.docs.pages import ROOT
from tests.helpers import randomise

SHAPES = 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py'
SEGMENTOR = 'configs/segmentation/ghostnetv2-1.0-d16_deeplabv3plus_shapes.py'
CLASSES = list(Config.fromfile(ROOT / SHAPES).metainfo.classes)
SCENES: dict[str, Callable[[Clone], None]] = {}


def scene(page: str) -> Callable:
    """Enter a function under the page that it sets up."""

    def enter(function: Callable[[Clone], None]) -> Callable[[Clone], None]:
        SCENES[page] = function
        return function

    return enter


def shapes(folder: Path, **arguments) -> None:
    """Draw a few shapes."""
    few = dict(train=16, val=8, size=128, progress=False)
    make_shapes(folder, **{**few, **arguments})


def own_pictures(clone: Clone) -> None:
    """Put ``picture.jpg`` and a folder of three pictures into the clone."""
    data = clone.folder / 'data' / 'some'
    shapes(data, only='coco', train=2, val=3)
    pictures = sorted((data / 'coco' / 'val2017').iterdir())
    shutil.copy2(pictures[0], clone.folder / 'picture.jpg')
    (clone.folder / 'folder').mkdir()
    for picture in pictures:
        shutil.copy2(picture, clone.folder / 'folder')


def untrained(config: str, path: Path, seed: int = 0) -> None:
    """Write a checkpoint of a config's model, with random weights that do something."""
    cfg = Config.fromfile(ROOT / config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(seed)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model)
    randomise(model.backbone)
    if hasattr(model, 'bbox_head'):  # at first it finds nothing anywhere
        torch.nn.init.zeros_(model.bbox_head.retina_cls.bias)
    model.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = dict(epoch=1, iter=1, dataset_meta=dict(classes=list(cfg.metainfo.classes)))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)


def detector(clone: Clone, *paths: str) -> None:
    """Set up the demo's data and a checkpoint of its detector, as CONFIG and CHECKPOINT."""
    own_pictures(clone)
    shapes(clone.folder / 'data' / 'shapes', only='coco', classes=CLASSES, train=64)
    for path in ('shapes.pth', *paths):
        untrained(SHAPES, clone.folder / path)
    clone.words.update(CONFIG=SHAPES, CHECKPOINT='shapes.pth', PICTURE='picture.jpg')


def published_weights(cache: Path) -> None:
    """Fill a cache of downloads with files of the right names and random numbers.

    Args:
        cache: What ``TORCH_HOME`` names.
    """
    published = (('ghostnetv2-1.0', 'release'), ('ghostnetv2-1.3', 'timm'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TORCH_HOME', str(cache))
        for name, tag in published:
            state = randomise(mmghost.get_model(name)).state_dict()
            for weights in catalogue.entry(name).weights:
                if weights.tag == tag:
                    write_weights(state, cached_path(weights.url))


def write_weights(state: dict, path: Path) -> None:
    """Write a state dict in the form that a file's name promises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.safetensors':
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)


@scene('docs/get_started.md')
def _get_started(clone: Clone) -> None:
    training = clone.folder / 'demo_output' / 'training'
    detector(clone, f'{training}/best_coco_bbox_mAP_epoch_4.pth')
    Config.fromfile(ROOT / SHAPES).dump(training / Path(SHAPES).name)


@scene('docs/configs.md')
def _configs(clone: Clone) -> None:
    detector(clone)
    mine = clone.folder / 'configs' / 'mine.py'
    mine.write_text(f"_base_ = './{SHAPES.removeprefix('configs/')}'\n")


@scene('docs/finetune.md')
def _finetune(clone: Clone) -> None:
    own_pictures(clone)
    mine = clone.folder / 'data' / 'mine'
    shapes(mine / 'all', only='coco', train=192, val=8, size=96)
    for split in ('train', 'val'):
        shutil.copytree(
            mine / 'all' / 'coco' / f'{split}2017', mine / 'images', dirs_exist_ok=True
        )
        labels = mine / 'all' / 'coco' / 'annotations' / f'instances_{split}2017.json'
        shutil.copy2(labels, mine / f'{split}.json')


@scene('docs/installation.md')
def _installation(clone: Clone) -> None:
    detector(clone)
    clone.words['MMDET'] = str(Path(mmdet.__path__[0]) / '.mim')


@scene('docs/deployment.md')
def _deployment(clone: Clone) -> None:
    detector(clone)
    untrained(SEGMENTOR, clone.folder / 'deeplabv3.pth')
    clone.run(
        f'python tools/deployment/export_onnx.py {SEGMENTOR} deeplabv3.pth --out deeplabv3.onnx'
    )
    (clone.folder / 'runtime').symlink_to('mmghost/deploy/runtime')


@scene('docs/segmentation.md')
def _segmentation(clone: Clone) -> None:
    own_pictures(clone)


@scene('docs/weights.md')
def _weights(clone: Clone) -> None:
    torch.save(
        randomise(mmghost.get_model('ghostnetv2-1.0')).state_dict(),
        clone.folder / 'ck_ghostnetv2_10.pth.tar',
    )
    untrained(SHAPES, clone.folder / 'work_dirs' / 'x' / 'epoch_12.pth')
    v1 = clone.folder / 'work_dirs' / 'v1' / 'epoch_12.pth'
    v1.parent.mkdir()
    torch.save(randomise(mmghost.get_model('ghostnetv1-1.0')).state_dict(), v1)


@scene('docs/ablations.md')
def _ablations(clone: Clone) -> None:
    detector(clone, 'demo_output/training/best_coco_bbox_mAP_epoch_4.pth')
    # The page asks about positions of a photograph, and of Shapes' larger pictures.
    picture = clone.folder / 'picture.jpg'
    Image.open(picture).resize((640, 426)).save(picture)
