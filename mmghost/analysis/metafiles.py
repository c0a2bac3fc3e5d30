"""The model zoo for MIM: ``model-index.yml`` and a ``metafile.yml`` a folder of configs.

Nothing in them is typed: costs and figures are those of the ledger
(``reproduction.json``), weights those of ``mmghost/weights/models.json``, and everything
else is read from the configs.
"""

import ast
import re
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from ..checks.toolbox import type_name
from ..weights import catalogue
from . import reproduction
from .reproduction import Row, Table

INDEX = 'model-index.yml'
_HEAD = """\
# Made by tools/analysis_tools/reproduction.py from the configs and the ledger: do not edit.
"""
_NOTES = """\
# FLOPs are multiply-accumulates of convolutions and linear layers for one picture of the
# input size. Results are published ones, with their source, or measured ones, with the log
# that shows them; a model without any has none that is either.
"""

# The methods' papers: what OpenMMLab calls a collection. Title and number at arXiv.
COLLECTIONS = {
    'GhostNetV2': (
        'GhostNetV2: Enhance Cheap Operation with Long-Range Attention',
        '2211.12905',
    ),
    'GhostNet': ('GhostNet: More Features from Cheap Operations', '1911.11907'),
    'MobileNetV2': (
        'MobileNetV2: Inverted Residuals and Linear Bottlenecks',
        '1801.04381',
    ),
    'MobileNetV3': ('Searching for MobileNetV3', '1905.02244'),
    'RetinaNet': ('Focal Loss for Dense Object Detection', '1708.02002'),
    'Faster R-CNN': (
        'Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks',
        '1506.01497',
    ),
    'Mask R-CNN': ('Mask R-CNN', '1703.06870'),
    'YOLOv3': ('YOLOv3: An Incremental Improvement', '1804.02767'),
    'SSDLite': ('MobileNetV2: Inverted Residuals and Linear Bottlenecks', '1801.04381'),
    'RTMDet': (
        'RTMDet: An Empirical Study of Designing Real-Time Object Detectors',
        '2212.07784',
    ),
    'DeepLabV3': (
        'Rethinking Atrous Convolution for Semantic Image Segmentation',
        '1706.05587',
    ),
    'DeepLabV3+': (
        'Encoder-Decoder with Atrous Separable Convolution for Semantic Image '
        'Segmentation',
        '1802.02611',
    ),
    'LR-ASPP': ('Searching for MobileNetV3', '1905.02244'),
}
# Which of them a config is of: by its detector, its decode head or else its backbone.
_BY_TYPE = {
    'RetinaNet': 'RetinaNet',
    'FasterRCNN': 'Faster R-CNN',
    'MaskRCNN': 'Mask R-CNN',
    'YOLOV3': 'YOLOv3',
    'SingleStageDetector': 'SSDLite',
    'RTMDet': 'RTMDet',
    'ASPPHead': 'DeepLabV3',
    'DepthwiseSeparableASPPHead': 'DeepLabV3+',
    'GlobalLRASPPHead': 'LR-ASPP',
    'GhostNetV2': 'GhostNetV2',
    'GhostNetV1': 'GhostNet',
    'AttentionMobileNetV2': 'MobileNetV2',
    'MobileNetV3': 'MobileNetV3',
}
# What the last word of a config's name stands for.
_DATA = {
    'in1k': 'ImageNet-1k',
    'coco': 'COCO',
    'ade20k': 'ADE20K',
    'cityscapes': 'Cityscapes',
    'shapes': 'Shapes',
    'bccd': 'BCCD',
    'nuclei': 'Nuclei',
    'nuclei-semseg': 'Nuclei',
    'sign-digits': 'Sign Language Digits',
}
_TASKS = {
    'top-1, %': ('Image Classification', 'Top 1 Accuracy'),
    'box AP, %': ('Object Detection', 'box AP'),
    'mIoU, %': ('Semantic Segmentation', 'mIoU'),
}


def metafiles(configs: Path) -> dict[str, str]:
    """Make the files that MIM reads.

    Args:
        configs: The folder configs/.

    Returns:
        Their texts by their paths, relative to the folder that holds configs/.
    """
    names = {
        path.relative_to(configs).as_posix(): path
        for path in sorted(configs.rglob('*.py'))
        if '_base_' not in path.relative_to(configs).parts
    }
    rows = _rows()
    entries: dict[str, list[dict[str, Any]]] = {}
    for name, path in names.items():
        long_name = name if '/' in name else _alias_of(path)
        if long_name in rows:
            entry = _entry(name, Config.fromfile(str(path)), *rows[long_name])
            entries.setdefault(str(Path(name).parent), []).append(entry)
    files, declared = {}, set()
    for folder in sorted(entries, reverse=True):  # the aliases at the top come last
        used = dict.fromkeys(entry['In Collection'] for entry in entries[folder])
        content = {
            'Collections': [_collection(name) for name in used if name not in declared],
            'Models': entries[folder],
        }
        declared.update(used)
        path = (Path('configs') / folder / 'metafile.yml').as_posix()
        files[path] = _HEAD + _NOTES + _yaml({k: v for k, v in content.items() if v})
    files[INDEX] = _HEAD + _yaml({'Import': sorted(files)})
    return files


def write_metafiles(configs: Path) -> list[str]:
    """Write the files that MIM reads; see :func:`metafiles`.

    Returns:
        Their paths, relative to the folder that holds configs/.
    """
    files = metafiles(configs)
    for name, text in files.items():
        (configs.parent / name).write_text(text, encoding='utf-8')
    return list(files)


def _rows() -> dict[str, tuple[Table, Row]]:
    """Find the row of each config as it stands, without overrides."""
    found: dict[str, tuple[Table, Row]] = {}
    for table in reproduction.tables().values():
        for row in table.rows:
            # Others than the first repeat it, for a phone or in a table of choices.
            if row.config is not None and not row.options:
                found.setdefault(row.config, (table, row))
    return found


def _alias_of(path: Path) -> str:
    """Read which config a short name at the top of configs/ stands for.

    Returns:
        Nothing for a config that says more than that: one of a person's own.
    """
    statements = ast.parse(path.read_text(encoding='utf-8')).body
    if len(statements) != 1:
        return ''
    found = re.fullmatch(r"_base_ = '\./(.+)'", ast.unparse(statements[0]))
    return found.group(1) if found else ''


def _entry(name: str, cfg: Config, table: Table, row: Row) -> dict[str, Any]:
    """Describe a config as the item of a metafile."""
    method, parts = _architecture(cfg)
    data = _DATA.get(_data_word(row.config))
    height, width = row.shape
    metadata = {
        'Training Data': data,
        'Architecture': parts,
        **_schedule(cfg),
        'Parameters': row.model.params,
        'FLOPs': row.model.macs,
        'Input Size': f'{height}x{width}',
    }
    entry = {
        'Name': Path(name).stem,
        'In Collection': method,
        'Config': f'configs/{name}',
        'Metadata': {key: value for key, value in metadata.items() if value},
    }
    figure = _figure(row)
    if figure is not None:
        value, source = figure
        task, metric = _TASKS[table.metric]
        entry['Metadata']['Source of Results'] = source
        entry['Results'] = [
            {'Task': task, 'Dataset': data, 'Metrics': {metric: float(value)}}
        ]
    weights = _weights(cfg, row)
    if weights is not None:
        entry['Weights'] = weights
    return entry


def _architecture(cfg: Config) -> tuple[str, list[str]]:
    """Name a config's method and the parts that it is made of."""
    model = cfg.model
    head = type_name(model.get('decode_head', {}).get('type', ''))
    backbone = type_name(model.backbone.type)
    method = next(
        _BY_TYPE[kind]
        for kind in (type_name(model.type), head, backbone)
        if kind in _BY_TYPE
    )
    others = (model.backbone.get('attention'), model.get('neck'))
    parts = [backbone, *(type_name(part.type) for part in others if part), head]
    return method, [part for part in parts if part and part != 'GlobalAveragePooling']


def _data_word(config: str) -> str:
    """Cut the data set out of a config's name, as in ``..._1x_coco`` and ``-512x512``."""
    return re.sub(r'-\d+(x\d+)?$', '', Path(config).stem.split('_')[-1])


def _schedule(cfg: Config) -> dict[str, Any]:
    """Read how long a config trains, and with how many pictures a step."""
    if 'train_dataloader' not in cfg:
        return {}
    loader = cfg.train_dataloader
    times, dataset = 1, loader.dataset
    while 'dataset' in dataset:
        times *= dataset.get('times', 1)
        dataset = dataset.dataset
    epochs = cfg.train_cfg.get('max_epochs')
    batch = cfg.get('auto_scale_lr', {}).get('base_batch_size') or loader.batch_size
    return {
        'Epochs': epochs and epochs * times,
        'Iterations': cfg.train_cfg.get('max_iters'),
        'Batch Size': batch,
    }


def _figure(row: Row) -> tuple[float, str] | None:
    """Choose the figure of a row: ours, or the first that was seen in a source."""
    if row.measured is not None:
        one = row.measured
        return one['value'], f'mmghost, {one["date"]}, docs/logs/{one["log"]}'
    for value, source in row.published:
        if source != 'unconfirmed':
            return value, reproduction.sources()[source]
    return None


def _weights(cfg: Config, row: Row) -> str | None:
    """Find the published weights of a whole ImageNet classifier."""
    kind = {'GhostNetV1': 'ghostnetv1', 'GhostNetV2': 'ghostnetv2'}.get(
        type_name(cfg.model.backbone.type)
    )
    if _data_word(row.config) != 'in1k' or kind is None or not row.published:
        return None
    tag = 'mindspore' if 'mindspore' in row.config else 'release'
    known = catalogue.entries().get(f'{kind}-{cfg.model.backbone.widen_factor}')
    for weights in known.weights if known else ():
        if weights.tag == tag:
            return weights.url
    return None


def _collection(name: str) -> dict[str, Any]:
    """Describe a method."""
    title, number = COLLECTIONS[name]
    return {
        'Name': name,
        'Paper': {'Title': title, 'URL': f'https://arxiv.org/abs/{number}'},
    }


def _yaml(content: dict[str, Any]) -> str:
    """Write YAML with the keys in their order."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=88)
