"""Networks with their published weights in one call, for people outside a config."""

from pathlib import Path
from typing import Any

from ..errors import near
from ..models import GhostNetClassifier, GhostNetV1, GhostNetV2
from ..models.ghostnet import GhostNet
from . import catalogue
from .errors import WeightsError
from .loading import load_pretrained


def get_model(
    name: str,
    pretrained: bool | str = False,
    num_classes: int = 1000,
    **kwargs: Any,
) -> GhostNet:
    """Build a classifier or a backbone, with weights if wanted.

    Args:
        name: One of :func:`mmghost.list_models`, such as ``'ghostnetv2-1.0'``.
        pretrained: False for random weights; True for the published ones; whose form of
            them (``'release'``, ``'timm'``, ``'mindspore'``); or any file or URL.
        num_classes: Of the classifier. Where it is not that of the weights, the last
            layer stays random, and this is logged.
        **kwargs: Arguments of the network. With ``out_indices`` it is a backbone
            (GhostNetV1 or GhostNetV2), without one a GhostNetClassifier.

    Returns:
        The network, in training mode.

    Raises:
        UserError: If the name is not known, or the weights cannot be had or loaded.

    Example:
        >>> import mmghost, torch
        >>> model = mmghost.get_model('ghostnetv2-1.0').eval()
        >>> model(torch.rand(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
        >>> backbone = mmghost.get_model('ghostnetv1-1.1', out_indices=(2, 3, 4))
        >>> backbone.out_channels
        (44, 124, 176)
    """
    entry = catalogue.entry(name)
    weights = _choose(entry, pretrained)
    if isinstance(weights, catalogue.Weights) and entry.version == 2 and weights.dfc:
        kwargs.setdefault('dfc', weights.dfc)
    if 'out_indices' in kwargs:
        cls = GhostNetV1 if entry.version == 1 else GhostNetV2
        model: GhostNet = cls(entry.width, **kwargs)
    else:
        if entry.version == 1:
            kwargs.setdefault('dfc', None)
        model = GhostNetClassifier(entry.width, num_classes=num_classes, **kwargs)
    if weights is not None:
        checkpoint = weights if isinstance(weights, str) else weights.url
        load_pretrained(model, checkpoint, new_classifier=True)
    return model


def _choose(
    entry: catalogue.Entry, pretrained: bool | str
) -> catalogue.Weights | str | None:
    if pretrained is False or pretrained is None:
        return None
    tags = [weights.tag for weights in entry.weights]
    if pretrained is True:
        if not tags:
            raise WeightsError(
                f'{entry.name}: no weights are published; mmghost.list_models('
                'pretrained=True) names the models that have some'
            )
        return entry.weights[0]
    if not isinstance(pretrained, str):
        raise WeightsError(
            f'pretrained={pretrained!r}: it is True, False, a file or URL'
            + (f', or one of {", ".join(map(repr, tags))}' if tags else '')
        )
    if pretrained in tags:
        return entry.weights[tags.index(pretrained)]
    hint = near(pretrained, tags, 1)
    if hint and not Path(pretrained).exists():
        raise WeightsError(f'pretrained={pretrained!r}: there is no such file{hint}')
    return pretrained
