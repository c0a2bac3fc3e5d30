"""The configs of this repository, and the parts of their names."""

import re
from copy import deepcopy
from functools import cache
from pathlib import Path

from mmengine.config import Config

from tests.helpers import of_the_tree

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
EVERY = [
    path.relative_to(CONFIGS).as_posix() for path in of_the_tree(CONFIGS.rglob('*.py'))
]
ALIASES = [name for name in EVERY if '/' not in name]
LONG = [name for name in EVERY if '/' in name]

# OpenMMLab's rule: {model}_{modules}_{training}_{data}, words of a part joined by
# hyphens. mmdet names the detector first, mmseg and mmpretrain the backbone.
BACKBONE = (
    r'(?:timm-)?[a-z]+(?:-v\d|v\d)?(?:-[a-z]+)?'
    r'(?:-(?P<width>\d\.\d))?(?:-d(?P<stride>8|16|32))?'
)
BATCH = r'(?P<gpus>\d+)xb(?P<batch>\d+)'
DATA = r'(?P<data>[a-z0-9]+(?:-[a-z]+)*)(?:-(?P<size>\d+(?:x\d+)?))?'
RULES = {
    'detection': (
        rf'(?P<model>retinanet|faster-rcnn|mask-rcnn|yolov3|ssdlite|rtmdet)_{BACKBONE}'
        rf'(?:_fpn|_light)?(?:_(?P<schedule>(?:adamw-)?1x)'
        rf'|_{BATCH}(?:-ms)?(?:-(?P<input>\d+))?-(?P<epochs>\d+)e)?_{DATA}'
    ),
    'segmentation': (
        rf'{BACKBONE}_(?P<model>deeplabv3plus|deeplabv3|lraspp|fpn)'
        rf'(?:_{BATCH}-(?P<iterations>\d+)k)?_{DATA}'
    ),
    'classification': (
        rf'{BACKBONE}(?:-mindspore)?(?:_{BATCH}(?:-[a-z0-9]+)*)?_{DATA}'
    ),
}


@cache
def _read(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def load(name: str) -> Config:
    """Load a config by its path below configs/."""
    return deepcopy(_read(name))


def parse(name: str) -> dict[str, str]:
    """Return the parts of a config's name."""
    folder, stem = name.removesuffix('.py').split('/')
    found = re.fullmatch(RULES[folder], stem)
    assert found, f'{name} does not follow OpenMMLab: {RULES[folder]}'
    return {key: value for key, value in found.groupdict().items() if value}


def data_of(loader: dict) -> dict:
    """Return the dataset of a loader, also inside of RepeatDataset."""
    dataset = loader['dataset']
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
