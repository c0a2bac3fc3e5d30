"""Which toolbox a config is for, and what the doors must know about the three."""

import importlib.util
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch.nn as nn
from mmengine.config import Config

from ..errors import UserError


class Toolbox(NamedTuple):
    """A toolbox that configs are written for.

    Args:
        scope: Its name in ``default_scope``, and that of its package.
        task: What its models do.
        distributions: What to install, of the onedl stack and of OpenMMLab's own.
    """

    scope: str
    task: str
    distributions: tuple[str, str]


# fmt: off
TOOLBOXES = {
    box.scope: box
    for box in (
        Toolbox('mmdet', 'detection', ('onedl-mmdetection', 'mmdet')),
        Toolbox('mmseg', 'segmentation', ('onedl-mmsegmentation', 'mmsegmentation')),
        Toolbox('mmpretrain', 'classification', ('onedl-mmpretrain', 'mmpretrain')),
    )
}
# fmt: on


def type_name(kind: Any) -> str:
    """The bare name of a config's ``type``: of a string, a scoped one or a class."""
    if isinstance(kind, str):
        return kind.rsplit('.', 1)[-1]
    return getattr(kind, '__name__', '')


def toolbox_of(cfg: Config) -> Toolbox:
    """Tell which toolbox a config is for.

    Args:
        cfg: The config. Its ``default_scope`` decides; a config in OpenMMLab's new
            style, which has none, is known by the package of its model.

    Returns:
        The toolbox.

    Raises:
        UserError: If it is none of the three, or not installed.
    """
    scope = cfg.get('default_scope')
    if scope is None:
        kind = cfg.get('model', {}).get('type', '')
        place = kind if isinstance(kind, str) else getattr(kind, '__module__', '')
        scope = place.split('.')[0]
    if not isinstance(scope, str) or scope not in TOOLBOXES:
        raise UserError(
            f'default_scope = {cfg.get("default_scope")!r} in {cfg.filename}; these tools '
            f'serve configs of {", ".join(TOOLBOXES)}'
        )
    box = TOOLBOXES[scope]
    if importlib.util.find_spec(scope) is None:
        raise UserError(
            f'{cfg.filename} is a config of {scope}, which is not installed: '
            f'pip install {box.distributions[0]} (beside onedl-mmcv) or '
            f'pip install {box.distributions[1]} (beside mmcv or mmcv-lite)'
        )
    return box


def takes_rgb(preprocessor: nn.Module) -> bool:
    """Tell whether a data preprocessor turns pictures, loaded as BGR, into RGB.

    Args:
        preprocessor: That of a model of one of the toolboxes.
    """
    # mmpretrain's name, that of mmseg's releases, and mmengine's, which the others have.
    for name in ('to_rgb', 'channel_conversion', '_channel_conversion'):
        if hasattr(preprocessor, name):
            return bool(getattr(preprocessor, name))
    return False


def option_key(path: str) -> str:
    """Return a path in a config as a key of ``--cfg-options``: ``a[0].b`` is ``a.0.b``."""
    return re.sub(r'\[(\d+)\]', r'.\1', path)


def walk(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the dicts and lists of a config with their paths, outer ones first."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from walk(value, f'{path}[{i}]')
