"""Whose names a file's weights have, and the same weights by the release's names.

The authors' release and timm share one naming, and it is also this project's:
``conv_stem``, ``blocks.S.B.ghost1…``, ``conv_head``, ``classifier``. Everybody else's is
translated to it, and from it for :mod:`mmghost.weights.converting`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import examples
from . import mindspore
from .errors import WeightsError

STEM = 'conv_stem.weight'
HEAD = ('conv_head', 'classifier')

# Which of several networks in one file is meant where no prefix is given.
_PREFERRED = ('', 'module.', 'backbone.', 'module.backbone.')

# Left in a file by thop, which counts operations; the authors' files have them.
_COUNTERS = ('total_ops', 'total_params')

# The heads of mmpretrain's StackedLinearClsHead with one hidden layer.
_MMPRETRAIN_HEAD = {
    'head.layers.0.fc.': 'conv_head.',
    'head.layers.1.fc.': 'classifier.',
}

_MINDSPORE_TRAINING = re.compile(
    r'(moments?\d?|moment[12]|accum|momentum|global_step|epoch_num|step_num|'
    r'learning_rate|beta[12]_power|scale_sense|current_iterator_step|'
    r'last_overflow_iterator_step)(\.|$)'
)


@dataclass
class Origin:
    """The GhostNet in a file.

    Args:
        kind: Who wrote it, in words.
        prefix: What its trunk's names began with in the file.
        state: The weights by the release's names.
        left_out: How many entries of each other part of the file are not in it.
    """

    kind: str
    prefix: str
    state: dict[str, Tensor]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def has_head(self) -> bool:
        """Whether it has the two layers behind the trunk."""
        return all(f'{name}.weight' in self.state for name in HEAD)


def recognise(
    state: Mapping[str, Any], source: str, prefix: str | None = None
) -> Origin:
    """Find the GhostNet in a state dict.

    Args:
        state: Weights by the file's names.
        source: What the file is called, for the messages.
        prefix: What the names of the trunk begin with, with or without a dot at the
            end, where there are several networks; None finds it.

    Returns:
        The network, by the release's names.

    Raises:
        WeightsError: If there is none, none under that prefix, or several.
    """
    names = [name for name in state if isinstance(name, str)]
    counters = [name for name in names if name.endswith(_COUNTERS)]
    # mmcv 1.x kept its running averages beside the weights, with dots made underscores.
    copies = [name for name in names if re.match(r'ema_\w+$', name)]
    dropped = {*counters, *copies}
    names = [name for name in names if name not in dropped]

    prefix = _choose(_prefixes(names), prefix, names, source)
    inside = {name[len(prefix) :]: name for name in names if name.startswith(prefix)}
    outside = [name for name in names if not name.startswith(prefix)]
    kind = ''
    if mindspore.is_named_so(set(inside)):
        kind = 'MindSpore'
        inside, rest = _from_mindspore(inside)
        outside += rest
    elif any(re.match(r'blocks_\d+\.', name) for name in inside):
        kind = "timm's features_only"
        inside = {
            re.sub(r'^blocks_(\d+)\.', r'blocks.\1.', n): o for n, o in inside.items()
        }

    found = {name: _tensor(state[old], old, source) for name, old in inside.items()}
    if prefix.endswith('backbone.'):
        base = prefix[: -len('backbone.')]
        head = _from_mmpretrain(state, base, source)
        found.update(head)
        if head:
            outside = [n for n in outside if not n.startswith(f'{base}head.layers.')]

    left_out = Counter(_part(name) for name in outside)
    if counters:
        left_out['counters of thop'] = len(counters)
    if copies:
        left_out["EMA copies of mmcv 1.x's hook"] = len(copies)
    kind = kind or _kind(prefix, found, left_out)
    return Origin(kind, prefix, found, dict(left_out))


def _prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the stem of each GhostNet."""
    return [
        name[: -len(STEM)]
        for name in names
        if name == STEM or name.endswith(f'.{STEM}')
    ]


def _choose(
    prefixes: list[str], wanted: str | None, names: list[str], source: str
) -> str:
    said = ' and '.join(repr(found) for found in prefixes)
    if not prefixes:
        holds = f'it has {examples(names)}' if names else 'it has no tensors'
        raise WeightsError(
            f'{source}: holds no GhostNet: no tensor is called {STEM}; {holds}'
        )
    if wanted is not None:
        wanted = f'{wanted.rstrip(".")}.' if wanted.strip('.') else ''
        for candidate in (wanted, f'module.{wanted}'):
            if candidate in prefixes:
                return candidate
        hint = '; without prefix= it is found by itself' if len(prefixes) == 1 else ''
        raise WeightsError(
            f'{source}: has no GhostNet under the prefix {wanted!r}; it has one under '
            f'{said}{hint}'
        )
    if len(prefixes) == 1:
        return prefixes[0]
    for candidate in _PREFERRED:
        if candidate in prefixes:
            return candidate
    raise WeightsError(
        f'{source}: has several GhostNets, under {said}; choose one with prefix='
    )


def _tensor(value: Any, name: str, source: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise WeightsError(
            f'{source}: {name} is a {type(value).__name__}, not a tensor'
        )
    return value.detach()


def _from_mindspore(inside: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Rename; state of the optimizer is no part of the network."""
    renamed, rest = {}, []
    for name, old in inside.items():
        if _MINDSPORE_TRAINING.match(name):
            rest.append('optimizer.' + old)
        else:
            renamed[mindspore.released_name(name) or name] = old
    return renamed, rest


def _from_mmpretrain(
    state: Mapping[str, Any], base: str, source: str
) -> dict[str, Tensor]:
    """Take the release's two last layers out of mmpretrain's head, if it is theirs."""
    layers = {
        name[len(base) :]: value
        for name, value in state.items()
        if isinstance(name, str) and name.startswith(f'{base}head.layers.')
    }
    expected = {
        f'{theirs}{leaf}': f'{ours}{leaf}'
        for theirs, ours in _MMPRETRAIN_HEAD.items()
        for leaf in ('weight', 'bias')
    }
    if layers.keys() != expected.keys():
        return {}
    found = {
        ours: _tensor(layers[theirs], f'{base}{theirs}', source)
        for theirs, ours in expected.items()
    }
    if found['conv_head.weight'].ndim == 2:
        # The release's layer behind the pooling is a 1x1 convolution.
        found['conv_head.weight'] = found['conv_head.weight'][:, :, None, None]
    return found


def to_mmpretrain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network from the release's names to those of mmpretrain's classifier.

    Args:
        state: By the release's names.

    Returns:
        The trunk under ``backbone.``; the head, where there is one, as that of
        ``StackedLinearClsHead`` with ``mid_channels=[1280]``.
    """
    renamed = {}
    for name, value in state.items():
        for theirs, ours in _MMPRETRAIN_HEAD.items():
            if name.startswith(ours):
                if name == 'conv_head.weight' and value.ndim == 4:
                    value = value[:, :, 0, 0]
                renamed[theirs + name[len(ours) :]] = value
                break
        else:
            renamed[f'backbone.{name}'] = value
    return renamed


def _part(name: str) -> str:
    """The part of a model that a tensor belongs to: the first of its names."""
    return re.sub(r'^module\.', '', name).split('.')[0]


def _kind(prefix: str, found: Mapping[str, Tensor], left_out: Counter) -> str:
    heads = [part for part in left_out if re.search(r'neck|head', part)]
    if 'timm_model.' in prefix:
        return "mmpretrain's wrapper of timm"
    if prefix.endswith('backbone.'):
        if 'conv_head.weight' in found or heads == ['head']:
            return 'a classifier of mmpretrain'
        if heads:
            return f'a detector or segmentor ({", ".join(heads)})'
        return 'a backbone'
    if any('thop' in part for part in left_out):
        return "the authors' release"
    if any(name.startswith(HEAD) for name in found):
        return "the authors' release or timm"
    return 'a backbone'
