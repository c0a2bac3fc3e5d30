"""The model zoo for MIM: model-index.yml and a metafile.yml for each folder of configs.

Costs and figures are those of the ledger, weights those of ``mmghost/weights/models.json``,
and the rest is read from the configs. ``python -m dev.ledger`` writes them.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from mmghost.checks.toolbox import type_name
from mmghost.weights import catalogue

ROOT = Path(__file__).resolve().parents[1]

# As in reproduction.json, see ledger.py.
Row = dict[str, Any]
Table = dict[str, Any]

HEAD = '# Written by `python -m dev.ledger`: do not edit.\n'
NOTES = """\
# FLOPs are multiply-accumulates of convolutions and linear layers for one image of the input
# size. Results are published ones with their source, or measured ones with their log.
"""

# A collection of OpenMMLab is a method: its name, the title and arXiv number of its paper.
MOBILENETV2 = 'MobileNetV2: Inverted Residuals and Linear Bottlenecks', '1801.04381'
MOBILENETV3 = 'Searching for MobileNetV3', '1905.02244'
FASTER_RCNN = (
    'Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks',
    '1506.01497',
)
RTMDET = (
    'RTMDet: An Empirical Study of Designing Real-Time Object Detectors',
    '2212.07784',
)
DEEPLABV3 = (
    'Rethinking Atrous Convolution for Semantic Image Segmentation',
    '1706.05587',
)
DEEPLABV3PLUS = (
    'Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation',
    '1802.02611',
)
GHOSTNETV2 = (
    'GhostNetV2: Enhance Cheap Operation with Long-Range Attention',
    '2211.12905',
)
# By the type of the model, of its decode head or else of its backbone.
COLLECTIONS = {
    'RetinaNet': ('RetinaNet', 'Focal Loss for Dense Object Detection', '1708.02002'),
    'FasterRCNN': ('Faster R-CNN', *FASTER_RCNN),
    'MaskRCNN': ('Mask R-CNN', 'Mask R-CNN', '1703.06870'),
    'YOLOV3': ('YOLOv3', 'YOLOv3: An Incremental Improvement', '1804.02767'),
    'SingleStageDetector': ('SSDLite', *MOBILENETV2),
    'RTMDet': ('RTMDet', *RTMDET),
    'ASPPHead': ('DeepLabV3', *DEEPLABV3),
    'DepthwiseSeparableASPPHead': ('DeepLabV3+', *DEEPLABV3PLUS),
    'FPNHead': ('Semantic FPN', 'Panoptic Feature Pyramid Networks', '1901.02446'),
    'GlobalLRASPPHead': ('LR-ASPP', *MOBILENETV3),
    'GhostNetV2': ('GhostNetV2', *GHOSTNETV2),
    'GhostNetV3': (
        'GhostNetV3',
        'GhostNetV3: Exploring the Training Strategies for Compact Models',
        '2404.11202',
    ),
    'GhostNetV1': (
        'GhostNet',
        'GhostNet: More Features from Cheap Operations',
        '1911.11907',
    ),
    'MobileNetV3': ('MobileNetV3', *MOBILENETV3),
    'MobileNetV2': ('MobileNetV2', *MOBILENETV2),
}
# By the last word of the config's name.
DATASETS = {
    'in1k': 'ImageNet-1k',
    'coco': 'COCO',
    'ade20k': 'ADE20K',
    'cityscapes': 'Cityscapes',
    'shapes': 'Shapes',
    'bccd': 'BCCD',
    'nuclei': 'Nuclei',
    'nuclei-semseg': 'Nuclei',
    'sign-digits': 'Sign Language Digits',
    'tiny-imagenet': 'Tiny ImageNet',
    'camvid': 'CamVid',
}
TASKS = {
    'top-1, %': ('Image Classification', 'Top 1 Accuracy'),
    'box AP, %': ('Object Detection', 'box AP'),
    'mIoU, %': ('Semantic Segmentation', 'mIoU'),
}


def metafiles(data: dict[str, Any]) -> dict[str, str]:
    """Return the texts of the files that MIM reads, by their paths in the clone.

    Args:
        data: The ledger, see :func:`.ledger.read`.
    """
    configs = ROOT / 'configs'
    rows: dict[str, tuple[Table, Row]] = {}
    for table in data['tables']:
        for row in table['rows']:
            # Rows behind the first repeat it, for a phone for example.
            if 'config' in row and not row.get('options'):
                rows.setdefault(row['config'], (table, row))
    entries: dict[str, list[dict[str, Any]]] = {}
    papers: dict[str, dict[str, Any]] = {}
    for path in sorted(configs.rglob('*.py')):
        name = path.relative_to(configs).as_posix()
        alias = re.findall(r"^_base_ = '\./(.+)'$", path.read_text('utf-8'), re.M)
        row = rows.get(name if '/' in name else ''.join(alias))
        if '_base_' in path.relative_to(configs).parts or row is None:
            continue  # a base, or a config of the user
        cfg = Config.fromfile(str(path))
        kinds = [cfg.model, cfg.model.get('decode_head', {}), cfg.model.backbone]
        names = [type_name(part.get('type', '')) for part in kinds]
        method, title, number = next(COLLECTIONS[n] for n in names if n in COLLECTIONS)
        papers[method] = dict(Title=title, URL=f'https://arxiv.org/abs/{number}')
        folder = (Path('configs') / name).parent.as_posix()
        entry = describe(name, method, cfg, *row, data['sources'])
        entries.setdefault(folder, []).append(entry)
    files, declared = {}, set()
    for folder in sorted(entries, reverse=True):  # the aliases at the top come last
        used = dict.fromkeys(entry['In Collection'] for entry in entries[folder])
        new = [dict(Name=m, Paper=papers[m]) for m in used if m not in declared]
        declared.update(used)
        content = {'Collections': new} if new else {}
        content['Models'] = entries[folder]
        files[f'{folder}/metafile.yml'] = HEAD + NOTES + dump(content)
    files['model-index.yml'] = HEAD + dump({'Import': sorted(files)})
    return files


def dump(content: dict[str, Any]) -> str:
    """Return YAML with the keys in their order."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=88)


def describe(
    name: str,
    method: str,
    cfg: Config,
    table: Table,
    row: Row,
    sources: dict[str, str],
) -> dict[str, Any]:
    """Return a config's item of a metafile."""
    word = re.sub(r'-\d+(x\d+)?$', '', Path(row['config']).stem.split('_')[-1])
    model = cfg.model
    parts = (model.backbone, model.get('neck'), model.get('decode_head'))
    kinds = [type_name(part.type) for part in parts if part]
    params, macs = row['cost']['model']
    metadata = {
        'Training Data': DATASETS.get(word),
        'Architecture': [kind for kind in kinds if kind != 'GlobalAveragePooling'],
        **schedule(cfg),
        'Parameters': params,
        'FLOPs': macs,
        'Input Size': '{}x{}'.format(*row['cost']['shape']),
    }
    entry = {
        'Name': Path(name).stem,
        'In Collection': method,
        'Config': f'configs/{name}',
        'Metadata': {key: value for key, value in metadata.items() if value},
    }
    measured = row.get('measured')
    seen = [(v, sources[s]) for v, s in row.get('published', []) if s != 'unconfirmed']
    if measured:
        log = f'mmghost, {measured["date"]}, docs/logs/{measured["log"]}'
        seen.insert(0, (measured['value'], log))
    if seen and not row.get('other_recipe'):
        (value, source), (task, metric) = seen[0], TASKS[table['metric']]
        entry['Metadata']['Source of Results'] = source
        metrics = {metric: float(value)}
        entry['Results'] = [dict(Task=task, Dataset=DATASETS[word], Metrics=metrics)]
    if word == 'in1k' and row.get('published'):
        tag = 'mindspore' if 'mindspore' in name else 'release'
        kind = type_name(model.backbone.type).lower()
        known = catalogue.entries().get(f'{kind}-{model.backbone.widen_factor}')
        urls = [w.url for w in (known.weights if known else ()) if w.tag == tag]
        if urls:
            entry['Weights'] = urls[0]
    return entry


def schedule(cfg: Config) -> dict[str, Any]:
    """Return how long a config trains, and with how many images a step."""
    if 'train_dataloader' not in cfg:
        return {}
    times, dataset = 1, cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        times *= dataset.get('times', 1)
        dataset = dataset.dataset
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    return {
        'Epochs': cfg.train_cfg.get('max_epochs', 0) * times,
        'Iterations': cfg.train_cfg.get('max_iters'),
        'Batch Size': (batch or cfg.train_dataloader.batch_size) * steps,
    }
