"""Registries of mmghost, children of mmengine's root registries.

:func:`register` adds a class to mmengine's root registry, so that ``type='GhostNetV2'``
is found from every toolbox after ``import mmghost``, and to mmghost's own registry, so
that ``type='mmghost.GhostNetV2'`` is found without an import.
"""

from collections.abc import Callable
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry


def _child(name: str, parent: Registry, location: str) -> Registry:
    return Registry(name, parent=parent, scope='mmghost', locations=[location])


MODELS = _child('model', root.MODELS, 'mmghost.models')
WEIGHT_INITIALIZERS = _child(
    'weight initializer', root.WEIGHT_INITIALIZERS, 'mmghost.weights'
)
TRANSFORMS = _child('transform', root.TRANSFORMS, 'mmghost.recipes')
OPTIMIZERS = _child('optimizer', root.OPTIMIZERS, 'mmghost.recipes')
OPTIM_WRAPPERS = _child('optimizer wrapper', root.OPTIM_WRAPPERS, 'mmghost.recipes')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor',
    root.OPTIM_WRAPPER_CONSTRUCTORS,
    'mmghost.recipes',
)
PARAM_SCHEDULERS = _child(
    'parameter scheduler', root.PARAM_SCHEDULERS, 'mmghost.recipes'
)
HOOKS = _child('hook', root.HOOKS, 'mmghost.engine')


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
