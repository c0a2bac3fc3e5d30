"""The three toolboxes, and how their configs are read."""

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import UserError

_DISTRIBUTIONS = {
    'mmdet': 'onedl-mmdetection',
    'mmseg': 'onedl-mmsegmentation',
    'mmpretrain': 'onedl-mmpretrain',
}


def type_name(kind: Any) -> str:
    """Return the bare name of a config's ``type``: a name, a scoped name or a class."""
    if isinstance(kind, str):
        return kind.rsplit('.', 1)[-1]
    return getattr(kind, '__name__', '')


def scope_of(cfg: Config) -> str:
    """Return the toolbox of a config: its ``default_scope``, or the package of its model.

    Raises:
        UserError: If it is none of the three, or not installed.
    """
    kind = cfg.get('model', {}).get('type', '')
    module = kind if isinstance(kind, str) else getattr(kind, '__module__', '')
    scope = cfg.get('default_scope') or module.split('.')[0]
    if scope not in _DISTRIBUTIONS:
        raise UserError(
            f'default_scope = {cfg.get("default_scope")!r} in {cfg.filename}; these '
            f'tools are for configs of {", ".join(_DISTRIBUTIONS)}'
        )
    if importlib.util.find_spec(scope) is None:
        raise UserError(
            f'{cfg.filename} is a config of {scope}, which is not installed: pip install '
            f"{_DISTRIBUTIONS[scope]} (beside onedl-mmcv), or OpenMMLab's own release of it"
        )
    return scope


def find_class(registry: Registry, kind: Any, cfg: Config) -> type | None:
    """Return the class of a ``type`` in the scope of a config; None if there is none."""
    scope = cfg.get('default_scope') or scope_of(cfg)
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
