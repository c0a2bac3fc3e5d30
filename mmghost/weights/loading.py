"""Load a weight file into a backbone, whole or not at all.

mmengine's own ``Pretrained`` loads what fits and warns about the rest: with a wrong
prefix a random network is trained. Here the file must have every tensor of the backbone,
in its shape, and no unknown one.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import Tensor

from ..errors import WeightsError, examples
from ..models.dfc import DFCAttention
from ..registry import WEIGHT_INITIALIZERS, register
from .networks import COUNTER, Network, infer_network
from .origins import MINDSPORE, recognize, without_branches
from .reading import read

_PARTS = re.compile(r'(conv_stem|bn1|blocks\.\d|conv_head|classifier)\.')
# What to do with a file of another form of the network.
_REMEDIES = dict(
    norms='has batch norms; load it without deploy=True, then call switch_to_deploy()',
    folded='is deployed; run it with deploy=True; to train, load its source',
    branches="has branches; load it into type='GhostNetV3' without deploy=True; a GhostNetV2 "
    'takes it only where its batch norms are held (norm_eval=True)',
)


@dataclass
class Report:
    """What was loaded from a weight file."""

    source: str  # as given by the user
    kind: str  # who wrote it
    network: Network  # that in the file
    loaded: int  # tensors of the model that were loaded, of `total`
    total: int  # tensors of the model, without batch counters
    left_out: dict[str, int]  # tensors of the file for parts that the model lacks

    def __str__(self) -> str:
        line = (
            f'{self.loaded} of {self.total} tensors loaded from {self.source} '
            f'({self.kind}; {self.network.name})'
        )
        parts = ', '.join(f'{name} {count}' for name, count in self.left_out.items())
        return line + (f'; not part of this model: {parts}' if parts else '')


class Fit:
    """Comparison of the weights of a model and of a file, by name, without counters."""

    def __init__(
        self, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> None:
        self.wanted = {n: v for n, v in wanted.items() if not n.endswith(COUNTER)}
        self.state = {n: v for n, v in state.items() if not n.endswith(COUNTER)}
        self.missing = [n for n in self.wanted if n not in self.state]
        self.misshapen = [
            name
            for name, value in self.wanted.items()
            if name in self.state and self.state[name].shape != value.shape
        ]
        self.unfit = {*self.missing, *self.misshapen}
        self.usable = [name for name in self.wanted if name not in self.unfit]
        self.unknown = [name for name in self.state if name not in self.wanted]

    def __str__(self) -> str:
        text = f'{len(self.usable)} of {len(self.wanted)} tensors fit'
        for name in self.misshapen[:1]:
            there, here = (tuple(s[name].shape) for s in (self.state, self.wanted))
            text += f'; {len(self.misshapen)} of another shape '
            text += f'({name} is {there} in the file, {here} here)'
        for names, what in ((self.missing, 'missing'), (self.unknown, 'unknown')):
            text += f'; {len(names)} {what} ({examples(names)})' if names else ''
        return text


class _NetworkFit(Fit):
    """Comparison of two GhostNets, of which one may have parts that the other lacks."""

    def __init__(
        self, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> None:
        super().__init__(wanted, state)
        self.here, self.there = infer_network(self.wanted), infer_network(self.state)
        built, more = {_part(name) for name in self.wanted}, self.unknown
        self.unknown = [n for n in more if _part(n) in built or not _PARTS.match(n)]
        self.left_out = Counter(map(_part, more)) - Counter(map(_part, self.unknown))
        # Whether one is deployed, or has branches, and the other is not.
        self.other_form = len({self.here.form, self.there.form} - {None}) > 1


def _part(name: str) -> str:
    """Return the part of the network that a weight belongs to, such as ``blocks.3``."""
    return re.match(r'blocks\.\d+|[^.]*', name)[0]


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str | os.PathLike,
    prefix: str | None = None,
    strict: bool = True,
    new_classifier: bool = False,
) -> Report:
    """Load a weight file into a backbone or classifier of this package.

    Args:
        backbone: A backbone or a GhostNetClassifier.
        checkpoint: A file of the authors, timm, MindSpore, mmpretrain, mmdet, mmseg or
            of a bare backbone, see :func:`.reading.read`.
        prefix: Prefix of the trunk's names, where a file has several networks.
        strict: Whether the file must have every tensor of the model and no unknown one.
            If not, what fits is loaded, and what stayed random is logged.
        new_classifier: Whether the last layer may be for other classes than the file's.
            It stays random then.

    Returns:
        What was loaded. It has been logged already.

    Raises:
        WeightsError: If the file cannot be read, does not fit, or holds values that are
            not finite. The model is unchanged then.
    """
    file = read(checkpoint)
    origin = recognize(file.state, file.source, prefix)
    state, own = origin.state, backbone.state_dict()
    fit = _NetworkFit(own, state)
    held = backbone.norm_eval or not any(p.requires_grad for p in backbone.parameters())
    forms = fit.there.form, fit.here.form, fit.here.version
    if held and forms == ('branches', 'norms', 2):
        # Batch norms that train would move on from statistics that are not the network's.
        origin.kind += ', branches folded'
        state = without_branches(state)
        fit = _NetworkFit(own, state)
    may_lack = ('classifier.weight', 'classifier.bias') if new_classifier else ()
    whole = fit.unfit <= {*may_lack} and not fit.unknown
    name = type(backbone).__name__
    if fit.other_form or not fit.usable or (strict and not whole):
        partly = strict and fit.usable and not fit.other_form
        remedy = '; strict=False loads what fits' if partly else ''
        raise WeightsError(
            f'{file.source}: does not fit this {name}{_reason(fit)}. {fit}. Nothing was '
            f'loaded{remedy}'
        )
    check_numbers({name: state[name] for name in fit.usable}, file.source)
    counters = [n for n in own if n.endswith(COUNTER) and n in state]
    chosen = {n: state[n] for n in (*fit.usable, *counters)}
    backbone.load_state_dict(chosen, strict=False)
    report = Report(
        file.source,
        origin.kind + (', EMA weights' if 'ema' in file.container else ''),
        fit.there,
        loaded=len(fit.usable),
        total=len(fit.wanted),
        left_out={**fit.left_out, **origin.left_out},
    )
    print_log(f'{name}: {report}', 'current')
    if fit.unfit or fit.unknown:
        warning = f'{name}: {fit}. What the file lacks stayed random'
        print_log(warning, 'current', level=logging.WARNING)
    warn_of_gates(backbone, file.meta, origin.kind)
    return report


def warn_of_gates(model: nn.Module, meta: Mapping[str, Any], kind: str) -> None:
    """Warn if weights are MindSpore's, and the model's gates are not.

    Args:
        model: A model with a GhostNet.
        meta: What is noted beside the weights: a converted file has its origin there.
        kind: Who wrote the file.
    """
    writer = meta.get('mmghost_weights', {}).get('origin', kind)
    gates = [m for m in model.modules() if isinstance(m, DFCAttention)]
    other = any((g.upsample, g.align_corners) != ('bilinear', True) for g in gates)
    if writer == MINDSPORE and other:
        warning = (
            'MindSpore upsamples the gate bilinearly: without '
            "dfc=dict(upsample='bilinear', align_corners=True) these weights give other "
            'features than there'
        )
        name = type(model).__name__
        print_log(f'{name}: {warning}', 'current', level=logging.WARNING)


def check_numbers(state: Mapping[str, Tensor], source: str) -> None:
    """Raise WeightsError unless all weights are finite floating point numbers."""
    for name, value in state.items():
        if not value.is_floating_point() or value.is_meta:
            raise WeightsError(
                f'{source}: {name} holds {value.dtype}, not floating point weights'
            )
        if bad := value.numel() - int(torch.isfinite(value).sum()):
            raise WeightsError(
                f'{source}: {name} has {bad} of {value.numel()} values that are NaN or '
                'infinite: the training that wrote it diverged'
            )


def _reason(fit: _NetworkFit) -> str:
    """Return the likeliest reason, or an empty string."""
    here, there = fit.here, fit.there
    # Networks cut before the first attention are the same in V1 and V2.
    both_tell = min(there.groups, here.groups) > 2
    foldable = there.form == 'branches' and (here.form == 'folded' or here.version == 2)
    if there.version != here.version and both_tell and not foldable:
        dfc = '' if 3 in (there.version, here.version) else ' and its default dfc'
        return f": the file is a {there.name}; use type='GhostNetV{there.version}'{dfc}"
    if fit.other_form:
        return f': the file {_REMEDIES[there.form]}'
    if there.width != here.width:
        return f': the file is a {there.name}; set widen_factor={there.width}'
    if there.dfc_kernels != here.dfc_kernels and both_tell:
        kernels = ', '.join(map(str, there.dfc_kernels)) or 'none'
        return f': the kernel sizes of its DFC attention are {kernels}; set them in dfc'
    if there.groups < here.groups:
        last = f'blocks.{there.groups - 1}'
        return f': the file ends with {last}; leave later stages out of out_indices'
    if {_part(name) for name in fit.missing} == {'conv_head', 'classifier'}:
        return ': the file has no classifier; load it into a backbone'
    if there.num_classes and here.num_classes and there.num_classes != here.num_classes:
        return f': the file is for {there.num_classes} classes, not {here.num_classes}'
    return ''


@register(WEIGHT_INITIALIZERS)
class PretrainedGhostNet:
    """Initializer of ``init_cfg=dict(type='Pretrained')``, see :func:`load_pretrained`.

    ``map_location`` is accepted for compatibility: files are read on the CPU.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | None = None,
        prefix: str | None = None,
        strict: bool = True,
        map_location: Any = 'cpu',
    ) -> None:
        if not checkpoint:
            raise WeightsError(
                "init_cfg of type 'Pretrained' needs checkpoint=, a file or URL; for "
                'random weights set init_cfg=None'
            )
        self.options = dict(checkpoint=checkpoint, prefix=prefix, strict=strict)

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a backbone."""
        report = load_pretrained(module, **self.options)
        if hasattr(module, '_params_init_info'):  # for mmengine's log of all weights
            update_init_info(module, init_info=f'Pretrained: {report.source}')
