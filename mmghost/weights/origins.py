"""Recognize whose names the weights in a file have, and rename them.

This project's names are those of the authors' release and of timm: ``conv_stem``,
``blocks.S.B.ghost1…``, ``conv_head``, ``classifier``. The branches of GhostNetV3 have
names of their own, see :func:`_branch`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import WeightsError, examples
from . import mindspore

STEM = 'conv_stem.weight'
HEAD = ('conv_head', 'classifier')
MINDSPORE = 'MindSpore'

# Layers of mmpretrain's StackedLinearClsHead with one hidden layer.
_MMPRETRAIN_HEAD = {
    'head.layers.0.fc.': 'conv_head.',
    'head.layers.1.fc.': 'classifier.',
}
# Branches of GhostNetV3: timm's and the authors' names, and this project's.
_BRANCHED = {
    'primary_rpr_': 'primary_conv.0.',
    'cheap_rpr_': 'cheap_operation.0.',
    'dw_rpr_': 'conv_dw.',
}


@dataclass
class Origin:
    """The GhostNet in a file.

    Args:
        kind: Who wrote it, for messages.
        prefix: Prefix of the trunk's names in the file.
        state: The weights by this project's names.
        left_out: Number of entries of the file that are not in ``state``, by part.
    """

    kind: str
    prefix: str
    state: dict[str, Tensor]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def has_head(self) -> bool:
        """Whether it has the two layers behind the trunk."""
        return all(f'{name}.weight' in self.state for name in HEAD)


def unwrapped(name: str) -> str:
    """Return a name without the prefixes of DDP and ``torch.compile``."""
    return re.sub(r'^(module\.)+', '', name.replace('_orig_mod.', ''))


def recognize(
    state: Mapping[str, Any], source: str, prefix: str | None = None
) -> Origin:
    """Find the GhostNet in a state dict.

    Args:
        state: Weights by the file's names.
        source: The file as given by the user, for messages.
        prefix: Prefix of the trunk's names, with or without a dot at its end, where a
            file has several networks.

    Raises:
        WeightsError: If there is none, none with that prefix, or several.
    """
    names = {unwrapped(name): name for name in state if isinstance(name, str)}
    # thop counts operations in buffers; the authors' files have them.
    counters = [n for n in names if n.endswith(('total_ops', 'total_params'))]
    for name in counters:
        del names[name]

    prefix = _choose(list(names), prefix, source)
    inside = {n[len(prefix) :]: old for n, old in names.items() if n.startswith(prefix)}
    outside = [name for name in names if not name.startswith(prefix)]
    kind = ''
    if 'bn1.gamma' in inside:
        kind = MINDSPORE
        outside += [n for n in inside if mindspore.released_name(n) is None]
        renamed = {mindspore.released_name(n): old for n, old in inside.items()}
        inside = {name: old for name, old in renamed.items() if name}
    elif any(name.startswith('blocks_') for name in inside):
        kind = "timm's features_only"
        inside = {re.sub(r'^blocks_', 'blocks.', n): old for n, old in inside.items()}
    inside = {_branch(name): old for name, old in inside.items()}

    found = {name: _tensor(state[old], old, source) for name, old in inside.items()}
    if prefix.endswith('backbone.'):
        base = prefix.removesuffix('backbone.') + 'head.layers.'
        layers = {n: _tensor(state[names[n]], n, source) for n in names if base in n}
        head = _from_mmpretrain(layers, prefix)
        found.update(head)
        outside = [name for name in outside if not (head and name in layers)]
    left_out = Counter(name.split('.')[0] for name in outside)
    if counters:
        left_out['counters of thop'] = len(counters)
    return Origin(kind or _kind(prefix, found, left_out), prefix, found, dict(left_out))


def _choose(names: list[str], wanted: str | None, source: str) -> str:
    """Return the prefix of the one GhostNet that is meant."""
    prefixes = [n.removesuffix(STEM) for n in names if f'.{n}'.endswith(f'.{STEM}')]
    found = ' and '.join(map(repr, prefixes))
    if not prefixes:
        has = f'it has {examples(names)}' if names else 'it has no tensors'
        raise WeightsError(
            f'{source}: has no GhostNet: no tensor is named {STEM}; {has}'
        )
    if wanted is not None:
        wanted = f'{unwrapped(wanted).rstrip(".")}.'.lstrip('.')
        if wanted not in prefixes:
            raise WeightsError(
                f'{source}: has no GhostNet with the prefix {wanted!r}; it has {found}'
            )
        return wanted
    if len(prefixes) > 1:
        prefixes = [p for p in ('', 'backbone.') if p in prefixes][:1]
    if not prefixes:
        raise WeightsError(
            f'{source}: has several GhostNets, {found}; choose one with prefix='
        )
    return prefixes[0]


def _tensor(value: Any, name: str, source: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise WeightsError(
            f'{source}: {name} is a {type(value).__name__}, not a tensor'
        )
    return value.detach()


def _branch(name: str) -> str:
    """Return this project's name of a weight in a branch of GhostNetV3.

    ``ghost1.primary_rpr_conv.0.bn1.bias`` (timm; the authors have ``bn``) is
    ``ghost1.primary_conv.0.convs.0.bn.bias`` here, ``cheap_rpr_scale`` is
    ``cheap_operation.0.scale`` and ``dw_rpr_conv`` is ``conv_dw.convs``.
    """
    for theirs, ours in _BRANCHED.items():
        if f'.{theirs}' in name:
            name = name.replace(f'{theirs}conv.', f'{ours}convs.')
            return name.replace(theirs, ours).replace('.bn1.', '.bn.')
    return name


def to_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network to the names of timm, which are the release's for V1 and V2."""
    renamed = {}
    for name, value in state.items():
        for theirs, ours in _BRANCHED.items():
            if re.search(rf'\.{re.escape(ours)}(convs|scale|skip)\.', name):
                name = name.replace(ours, theirs).replace('_convs.', '_conv.')
                name = name.replace('.bn.', '.bn1.')
        renamed[name] = value
    return renamed


def _from_mmpretrain(layers: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the release's last two layers from mmpretrain's head, if it has just them."""
    base = prefix.removesuffix('backbone.')
    names = {
        f'{base}{theirs}{leaf}': f'{ours}{leaf}'
        for theirs, ours in _MMPRETRAIN_HEAD.items()
        for leaf in ('weight', 'bias')
    }
    if layers.keys() != names.keys():
        return {}
    found = {names[name]: value for name, value in layers.items()}
    # The release's hidden layer is a 1x1 convolution.
    hidden = found['conv_head.weight']
    found['conv_head.weight'] = hidden[:, :, None, None] if hidden.ndim == 2 else hidden
    return found


def to_mmpretrain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network to the names of mmpretrain's ImageClassifier.

    Args:
        state: The weights by this project's names.

    Returns:
        The trunk under ``backbone.``; the head, if any, as ``StackedLinearClsHead``
        with ``mid_channels=[1280]``.
    """
    renamed = {}
    for name, value in state.items():
        if name == 'conv_head.weight' and value.ndim == 4:
            value = value[:, :, 0, 0]
        if name.startswith(HEAD):
            for theirs, ours in _MMPRETRAIN_HEAD.items():
                name = name.replace(ours, theirs)
        else:
            name = f'backbone.{name}'
        renamed[name] = value
    return renamed


def _kind(prefix: str, found: Mapping[str, Tensor], left_out: Counter) -> str:
    heads = [part for part in left_out if re.search('neck|head', part)]
    if 'timm_model.' in prefix:
        return "mmpretrain's wrapper of timm"
    if prefix.endswith('backbone.') and ('conv_head.weight' in found or heads):
        if 'conv_head.weight' in found or heads == ['head']:
            return 'a classifier of mmpretrain'
        return f'a detector or segmentor with {", ".join(heads)}'
    if 'counters of thop' in left_out:
        return "the authors' release"
    if any(name.startswith(HEAD) for name in found):
        return "the authors' release or timm"
    return 'a backbone'
