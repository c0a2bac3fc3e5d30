"""The three toolboxes, and how their configs are read."""

import importlib.util
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import UserError


class Toolbox(NamedTuple):
    """A toolbox that configs are written for.

    Args:
        scope: Its name in ``default_scope``, which is also its package.
        task: What its models do.
        distributions: What to install, in the onedl stack and in OpenMMLab's own.
    """

    scope: str
    task: str
    distributions: tuple[str, str]


_ALL = (
    Toolbox('mmdet', 'detection', ('onedl-mmdetection', 'mmdet')),
    Toolbox('mmseg', 'segmentation', ('onedl-mmsegmentation', 'mmsegmentation')),
    Toolbox('mmpretrain', 'classification', ('onedl-mmpretrain', 'mmpretrain')),
)
TOOLBOXES = {box.scope: box for box in _ALL}


def type_name(kind: Any) -> str:
    """Return the bare name of a config's ``type``: a name, a scoped name or a class."""
    if isinstance(kind, str):
        return kind.rsplit('.', 1)[-1]
    return getattr(kind, '__name__', '')


def toolbox_of(cfg: Config) -> Toolbox:
    """Return the toolbox that a config is for.

    Args:
        cfg: The config. Its ``default_scope`` decides, or the package of its model in a
            config in the new, pure Python style.

    Raises:
        UserError: If it is none of the three, or not installed.
    """
    scope = cfg.get('default_scope')
    if scope is None:
        kind = cfg.get('model', {}).get('type', '')
        module = kind if isinstance(kind, str) else getattr(kind, '__module__', '')
        scope = module.split('.')[0]
    if scope not in TOOLBOXES:
        raise UserError(
            f'default_scope = {cfg.get("default_scope")!r} in {cfg.filename}; these '
            f'tools are for configs of {", ".join(TOOLBOXES)}'
        )
    box = TOOLBOXES[scope]
    if importlib.util.find_spec(scope) is None:
        raise UserError(
            f'{cfg.filename} is a config of {scope}, which is not installed: pip install '
            f'{box.distributions[0]} (beside onedl-mmcv) or {box.distributions[1]}'
        )
    return box


def find_class(registry: Registry, kind: Any, cfg: Config) -> type | None:
    """Return the class of a ``type`` in the scope of a config; None if there is none."""
    scope = cfg.get('default_scope') or toolbox_of(cfg).scope
    with registry.switch_scope_and_registry(scope) as found:
        return found.get(kind) if isinstance(kind, str) else kind


def takes_rgb(preprocessor: nn.Module) -> bool:
    """Return True if a data preprocessor turns images, loaded as BGR, into RGB."""
    # The names of mmpretrain, of mmseg's releases, and of mmengine for the others.
    names = ('to_rgb', 'channel_conversion', '_channel_conversion')
    return any(getattr(preprocessor, name, False) for name in names)


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
