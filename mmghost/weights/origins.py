"""Recognize whose names the weights in a file have, and rename them.

This project's names are those of the authors' release and of timm: ``conv_stem``,
``blocks.S.B.ghost1…``, ``conv_head``, ``classifier``; the branches of GhostNetV3 are
named as in :class:`mmghost.models.layers.RepConv`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError, examples
from ..models.folding import folded_branches
from ..models.layers import RepConv
from . import mindspore
from .networks import COUNTER

STEM = 'conv_stem.weight'
HEAD = ('conv_head', 'classifier')
MINDSPORE = 'MindSpore'

# Layers of mmpretrain's StackedLinearClsHead with one hidden layer.
_MMPRETRAIN = {'head.layers.0.fc.': 'conv_head.', 'head.layers.1.fc.': 'classifier.'}
EPS = 1e-5  # of batch norm, in torch, timm and the release
# Layers with branches: timm's and the authors' prefixes, and this project's names.
_BRANCHED = {
    'primary_rpr_': 'primary_conv.0.',
    'cheap_rpr_': 'cheap_operation.0.',
    'dw_rpr_': 'conv_dw.',
}


@dataclass
class Origin:
    """The GhostNet in a file."""

    kind: str  # who wrote it
    prefix: str  # prefix of the trunk's names in the file
    state: dict[str, Tensor]  # by this project's names
    left_out: dict[str, int]  # number of other entries of the file, by part


def unwrapped(name: str) -> str:
    """Return a name without the prefixes of DDP and ``torch.compile``."""
    return re.sub(r'^(module\.)+', '', name.replace('_orig_mod.', ''))


def recognize(
    state: Mapping[str, Any], source: str, prefix: str | None = None
) -> Origin:
    """Find the GhostNet in a state dict.

    Args:
        state: Weights by the names in the file ``source``.
        source: The file as given by the user.
        prefix: Prefix of the trunk's names, where a file has several networks.

    Raises:
        WeightsError: If there is none, none with that prefix, or several.
    """
    names = {unwrapped(name): name for name in state if isinstance(name, str)}
    # thop counts operations in buffers; the authors' files have them.
    counters = [n for n in names if n.endswith(('total_ops', 'total_params'))]
    for name in counters:
        del names[name]
    prefix = _choose(list(names), prefix, source)
    inside = {n[len(prefix) :]: n for n in names if n.startswith(prefix)}
    kind = ''
    if 'bn1.gamma' in inside:
        kind = MINDSPORE
        inside = {mindspore.released_name(n): old for n, old in inside.items()}
        inside.pop(None, None)
    elif any(name.startswith('blocks_') for name in inside):
        kind = "timm's features_only"
        inside = {re.sub(r'^blocks_', 'blocks.', n): old for n, old in inside.items()}
    inside = {_branch_name(name): old for name, old in inside.items()}
    # mmpretrain's head, where it has just the release's last two layers.
    base = prefix.removesuffix('backbone.')
    head = {
        f'{ours}{leaf}': f'{base}{theirs}{leaf}'
        for theirs, ours in _MMPRETRAIN.items()
        for leaf in ('weight', 'bias')
    }
    layers = {name for name in names if name.startswith(f'{base}head.layers.')}
    if prefix.endswith('backbone.') and layers == {*head.values()}:
        inside.update(head)

    found = {}
    for name, old in inside.items():
        value = state[names[old]]
        if not isinstance(value, Tensor):
            what = type(value).__name__
            raise WeightsError(f'{source}: {old} is a {what}, not a tensor')
        if name == 'conv_head.weight' and value.ndim == 2:  # mmpretrain's is linear
            value = value[:, :, None, None]
        found[name] = value.detach()
    left_out = Counter(n.split('.')[0] for n in names.keys() - {*inside.values()})
    if counters:
        left_out['counters of thop'] = len(counters)
    return Origin(kind or _kind(prefix, found, left_out), prefix, found, left_out)


def _choose(names: list[str], wanted: str | None, source: str) -> str:
    """Return the prefix of the one GhostNet that is meant."""
    prefixes = [n.removesuffix(STEM) for n in names if f'.{n}'.endswith(f'.{STEM}')]
    if not prefixes:
        has = f'it has {examples(names)}' if names else 'it has no tensors'
        raise WeightsError(f'{source}: has no GhostNet: no tensor {STEM}; {has}')
    found = ' and '.join(map(repr, prefixes))
    if wanted is not None:
        wanted = f'{unwrapped(wanted).rstrip(".")}.'.lstrip('.')
        if wanted not in prefixes:
            raise WeightsError(
                f'{source}: has no GhostNet with the prefix {wanted!r}; it has {found}'
            )
        return wanted
    preferred = next(p for p in ('', 'backbone.', prefixes[0]) if p in prefixes)
    if len(prefixes) > 1 and preferred not in ('', 'backbone.'):
        raise WeightsError(
            f'{source}: has several GhostNets, {found}; choose one with prefix= of '
            'init_cfg, or --prefix of convert_weights.py'
        )
    return preferred


def _branch_name(name: str) -> str:
    """Return this project's name of a weight in a branch of GhostNetV3.

    ``primary_rpr_conv.0.bn1.bias`` (timm; the authors have ``bn``) is
    ``primary_conv.0.convs.0.bn.bias`` here.
    """
    for theirs, ours in _BRANCHED.items():
        if theirs in name:
            name = name.replace(f'{theirs}conv.', f'{ours}convs.').replace(theirs, ours)
            return name.replace('.bn1.', '.bn.')
    return name


def without_branches(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold the branches of GhostNetV3 into the convolutions of a GhostNetV2.

    The batch norm behind such a convolution has mean 0 and variance 1, and adds the bias.

    Raises:
        WeightsError: If a weight of a branch is missing.
    """
    branched = re.compile(r'(.+)\.((?:convs\.\d+|scale|skip)\..+)')
    out, places = {}, {}
    for name, value in state.items():
        found = branched.fullmatch(name)
        if found:
            places.setdefault(found[1], {})[found[2]] = value
        else:
            out[name] = value
    for place, part in places.items():
        convs = sorted(name for name in part if re.match(r'convs\.\d+\.conv', name))
        channels, depth, kernel, _ = part[convs[0]].shape
        groups = channels if depth == 1 else 1
        grid = (depth * groups, channels, kernel, 1, groups, 'skip.weight' in part)
        module = RepConv(len(convs), *grid, None, dict(type='BN')).eval()
        lost = module.to(part[convs[0]].dtype).load_state_dict(part, strict=False)[0]
        if lost := [f'{place}.{name}' for name in lost if not name.endswith(COUNTER)]:
            raise WeightsError(f'the branches of the file lack {examples(lost)}')
        conv = folded_branches(module)
        norm = re.sub(r'\.0$', '.1', place.replace('conv_dw', 'bn_dw'))
        ones = torch.ones_like(conv.bias)
        out |= {
            f'{place}.weight': conv.weight,
            f'{norm}.weight': ones,
            f'{norm}.bias': conv.bias,
            f'{norm}.running_mean': ones * 0,
            f'{norm}.running_var': ones - EPS,
        }
    return {name: value.detach() for name, value in out.items()}


def to_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network to the names of timm, which are the release's for V1 and V2."""
    renamed = {}
    for name, value in state.items():
        for theirs, ours in _BRANCHED.items():
            if re.search(rf'\.{re.escape(ours)}(convs|scale|skip)\.', name):
                name = name.replace(f'{ours}convs.', f'{theirs}conv.')
                name = name.replace(ours, theirs).replace('.bn.', '.bn1.')
        renamed[name] = value
    return renamed


def to_mmpretrain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network to the names of mmpretrain's ImageClassifier.

    The trunk comes under ``backbone.``; the head, if any, is that of
    ``StackedLinearClsHead`` with ``mid_channels=[1280]``.
    """
    theirs = {ours: theirs for theirs, ours in _MMPRETRAIN.items()}
    renamed = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition('.')
        value = value.flatten(1) if name == 'conv_head.weight' else value
        renamed[theirs.get(f'{layer}.', f'backbone.{layer}.') + leaf] = value
    return renamed


def _kind(prefix: str, found: Mapping[str, Tensor], left_out: Counter) -> str:
    heads = [part for part in left_out if re.search('neck|head', part)]
    has_head = any(name.startswith(HEAD) for name in found)
    if prefix.endswith('backbone.') and (has_head or heads):
        if has_head or heads == ['head']:
            return 'a classifier of mmpretrain'
        return f'a detector or segmentor with {", ".join(sorted(heads))}'
    if 'counters of thop' in left_out:
        return "the authors' release"
    return "the authors' release or timm" if has_head else 'a backbone'
