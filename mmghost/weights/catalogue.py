"""The published weights, from ``models.json``, and networks with them in one call."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import UserError, WeightsError, did_you_mean
from ..models import GhostNetClassifier, GhostNetV1, GhostNetV2, GhostNetV3
from ..models.ghostnet import GhostNet
from .loading import load_pretrained


@dataclass(frozen=True)
class Weights:
    """A published weight file."""

    tag: str  # who wrote it: release, timm, mindspore or mindcv
    url: str
    top1: list[tuple[float, str]]  # ImageNet accuracies in %, and their sources
    dfc: dict[str, Any] = field(default_factory=dict)  # what the backbone needs for it
    note: str = ''


@dataclass(frozen=True)
class Entry:
    """A network of the family."""

    name: str
    version: int
    width: float
    parameters: int  # of the classifier with 1000 classes
    macs: int  # of convolutions and linear layers at 224 px; V3's in deployed form
    weights: list[Weights]  # the preferred first


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """Return all networks by name."""
    data = json.loads(Path(__file__).with_name('models.json').read_text('utf-8'))
    for values in data.values():
        values['weights'] = [Weights(**item) for item in values['weights']]
    return {name: Entry(name, **values) for name, values in data.items()}


def entry(name: str) -> Entry:
    """Return a network by name; raise UserError if there is none."""
    if name not in entries():
        raise UserError(
            f'no model {name!r}{did_you_mean(name, entries())}; mmghost.list_models() '
            f'has {", ".join(entries())}'
        )
    return entries()[name]


def list_models(pretrained: bool = False) -> list[str]:
    """Return the names of the networks that :func:`mmghost.get_model` builds.

    Args:
        pretrained: Only those with published weights.
    """
    return [name for name, e in entries().items() if e.weights or not pretrained]


def get_model(
    name: str,
    pretrained: bool | str = False,
    num_classes: int = 1000,
    **kwargs: Any,
) -> GhostNet:
    """Build a classifier or a backbone, with weights if wanted.

    Args:
        name: One of :func:`mmghost.list_models`, such as ``'ghostnetv2-1.0'``.
        pretrained: False for random weights, True for the preferred published ones, a
            tag of them (``'release'``, ``'timm'``, ``'mindspore'``, ``'mindcv'``), or
            any file or URL.
        num_classes: Classes of the classifier. If the weights have others, the last
            layer stays random, and this is logged.
        **kwargs: Arguments of the network. With ``out_indices`` it is a backbone,
            without a GhostNetClassifier.

    Returns:
        The network, in training mode.

    Raises:
        UserError: If the name is unknown, or the weights cannot be fetched or loaded.

    Example:
        >>> import mmghost
        >>> backbone = mmghost.get_model('ghostnetv1-1.1', out_indices=(2, 3, 4))
        >>> backbone.out_channels
        (44, 124, 176)
    """
    found, checkpoint = entry(name), pretrained
    tags = {weights.tag: weights for weights in found.weights}
    if pretrained is True and not tags:
        raise WeightsError(f'{name}: no weights are published')
    tag = next(iter(tags)) if pretrained is True else pretrained
    if tag not in tags and any(
        tag == w.tag for e in entries().values() for w in e.weights
    ):
        has = ', '.join(tags) or 'none'
        raise WeightsError(
            f'{name}: no weights {tag!r} are published; there are: {has}'
        )
    if tag in tags:
        checkpoint = tags[tag].url
        if tags[tag].dfc:
            kwargs.setdefault('dfc', tags[tag].dfc)
    if 'out_indices' in kwargs:
        cls = (GhostNetV1, GhostNetV2, GhostNetV3)[found.version - 1]
        model: GhostNet = cls(found.width, **kwargs)
    else:
        version = (dict(dfc=None), {}, dict(branches=3))[found.version - 1]
        kwargs = {**version, 'num_classes': num_classes, **kwargs}
        model = GhostNetClassifier(found.width, **kwargs)
    if checkpoint not in (False, None):
        load_pretrained(model, checkpoint, new_classifier=True)
    return model
