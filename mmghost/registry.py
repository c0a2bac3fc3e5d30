"""Registries of mmghost, children of mmengine's root registries.

A class registered with :func:`register` stands in two places: in mmengine's root
registry, so that plain ``type='GhostNetV2'`` is found from the scope of every toolbox
once ``mmghost`` is imported, and in mmghost's own registry, so that
``type='mmghost.GhostNetV2'`` is found without importing anything (mmengine imports
``mmghost.registry`` and the ``locations`` below by itself).
"""

from collections.abc import Callable

from mmengine import registry as root
from mmengine.registry import Registry

MODELS = Registry(
    'model', parent=root.MODELS, scope='mmghost', locations=['mmghost.models']
)
TRANSFORMS = Registry(
    'transform', parent=root.TRANSFORMS, scope='mmghost', locations=['mmghost.datasets']
)
HOOKS = Registry(
    'hook', parent=root.HOOKS, scope='mmghost', locations=['mmghost.engine']
)
OPTIMIZERS = Registry(
    'optimizer', parent=root.OPTIMIZERS, scope='mmghost', locations=['mmghost.engine']
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=root.OPTIM_WRAPPERS,
    scope='mmghost',
    locations=['mmghost.engine'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmghost',
    locations=['mmghost.engine'],
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    parent=root.PARAM_SCHEDULERS,
    scope='mmghost',
    locations=['mmghost.engine'],
)
METRICS = Registry(
    'metric',
    parent=root.METRICS,
    scope='mmghost',
    locations=['mmghost.engine.confusion'],
)


def register(registry: Registry) -> Callable[[type], type]:
    """Register a class in one of mmghost's registries and in its parent.

    Args:
        registry: One of the registries of this module.

    Returns:
        A class decorator.

    Example:
        >>> from mmghost.registry import MODELS, register
        >>> @register(MODELS)
        ... class MyNeck(torch.nn.Module):
        ...     pass
    """

    def add(cls: type) -> type:
        registry.register_module(module=cls)
        registry.parent.register_module(module=cls)
        return cls

    return add
