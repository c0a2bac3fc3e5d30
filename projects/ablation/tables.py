"""The rows of the paper's tables 5 to 10: a config each, and what differs from it."""

from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
GHOSTNETV2 = 'configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
OURS = 'projects/ablation/configs'


class Row(NamedTuple):
    """A network of a table.

    Attributes:
        config: Its ImageNet training, relative to the root of the clone.
        dfc: What its DFC attention has in place of the release's choices; None for no
            attention.
    """

    config: str
    dfc: dict[str, Any] | None

    @property
    def options(self) -> dict[str, Any]:
        """What to override in the config, by dotted keys."""
        if self.dfc is None:
            return {'model.backbone.dfc': None}
        return {f'model.backbone.dfc.{key}': value for key, value in self.dfc.items()}

    def load(self) -> Config:
        """Load the config."""
        cfg = Config.fromfile(str(ROOT / self.config))
        cfg.merge_from_dict(self.options)
        return cfg


def dfc(**choices: Any) -> Row:
    """Return the row of GhostNetV2 1.0 with choices of DFC attention."""
    return Row(GHOSTNETV2, choices)


NONE = Row(GHOSTNETV2, None)  # GhostNetV1
BILINEAR = dict(upsample='bilinear')
TITLES = {
    '5': 'attention in MobileNetV2',
    '6': 'kernel size of DFC, one or by stage',
    '7': 'stages that have DFC, by the stride of its input',
    '8': 'what DFC enhances: the expanded features or the output',
    '9': 'gate, before or after up-sampling',
    '10': 'down- and up-sampling',
}
# Not known to be in the paper: `equations` of 6; `both` of 8; `conv-nearest` and `full-size`
# of 10.
TABLES: dict[str, dict[str, Row]] = {
    '5': {
        'none': Row(f'{OURS}/mobilenet-v2_8xb128_in1k.py', {}),
        'se': Row(f'{OURS}/mobilenet-v2-se_8xb128_in1k.py', {}),
        'cbam': Row(f'{OURS}/mobilenet-v2-cbam_8xb128_in1k.py', {}),
        'ca': Row(f'{OURS}/mobilenet-v2-ca_8xb128_in1k.py', {}),
        'dfc': Row(f'{OURS}/mobilenet-v2-dfc_8xb128_in1k.py', {}),
    },
    '6': {
        'none': NONE,
        '3': dfc(kernel_size=3),
        '5': dfc(),
        '7': dfc(kernel_size=7),
        '9-7-5-5': dfc(kernel_size=[9, 7, 5, 5]),
        '11-9-7-7': dfc(kernel_size=[11, 9, 7, 7]),
        'equations': Row(f'{OURS}/ghostnetv2-unshared_8xb128_in1k.py', {}),
    },
    '7': {
        'none': NONE,
        'stage-1': dfc(stages=[1]),
        'stage-2': dfc(stages=[2]),
        'stage-3': dfc(stages=[3]),
        'stage-4': dfc(stages=[4]),
        'stages-1-to-4': dfc(),
        'stages-0-to-4': dfc(stages=[0, 1, 2, 3, 4]),
    },
    '8': {
        'none': NONE,
        'expanded': dfc(),
        'output': dfc(position='output'),
        'both': dfc(position='both'),
    },
    '9': {
        'none': dfc(gate='none'),
        'sigmoid-before': dfc(),
        'hard-sigmoid-before': dfc(gate='hard_sigmoid'),
        'clip-before': dfc(gate='clip'),
        'sigmoid-after': dfc(gate_position='after'),
        'hard-sigmoid-after': dfc(gate='hard_sigmoid', gate_position='after'),
        'clip-after': dfc(gate='clip', gate_position='after'),
    },
    '10': {
        'avg-nearest': dfc(),
        'max-nearest': dfc(downsample='max'),
        'conv-nearest': dfc(downsample='conv'),
        'avg-bilinear': dfc(**BILINEAR),
        'avg-bilinear-aligned': dfc(**BILINEAR, align_corners=True),  # MindSpore's
        'avg-bicubic': dfc(upsample='bicubic'),
        'max-bilinear': dfc(downsample='max', **BILINEAR),
        'max-bicubic': dfc(downsample='max', upsample='bicubic'),
        'full-size': dfc(downsample='none'),
    },
}
