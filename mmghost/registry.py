"""Registries of mmghost, children of mmengine's root registries.

:func:`register` adds a class to mmengine's root registry, so that ``type='GhostNetV2'``
is found from every toolbox after ``import mmghost``, and to mmghost's own registry, so
that ``type='mmghost.GhostNetV2'`` is found without an import.
"""

from collections.abc import Callable
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry


def _child(parent: Registry, folder: str) -> Registry:
    places = [f'mmghost.{folder}']
    return Registry(parent.name, parent=parent, scope='mmghost', locations=places)


MODELS = _child(root.MODELS, 'models')
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'weights')
TRANSFORMS = _child(root.TRANSFORMS, 'recipes')
OPTIMIZERS = _child(root.OPTIMIZERS, 'recipes')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'recipes')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'recipes')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'recipes')
HOOKS = _child(root.HOOKS, 'engine')


def register(registry: Registry) -> Callable[[Any], Any]:
    """Return a decorator that registers a class in a registry and in its parent.

    Args:
        registry: One of the registries of this module.

    Example:
        >>> from mmghost.registry import MODELS, register
        >>> @register(MODELS)
        ... class MyNeck(torch.nn.Module):
        ...     pass
    """

    def add(cls: Any) -> Any:
        registry.register_module(module=cls)
        registry.parent.register_module(module=cls)
        return cls

    return add
