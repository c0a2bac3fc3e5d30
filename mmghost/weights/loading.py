"""Load a weight file into a backbone, whole or not at all.

mmengine's own ``Pretrained`` loads what fits and warns about the rest: with a wrong
prefix a random network is trained. Here the file must have every tensor of the backbone,
in its shape, and no unknown one.
"""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import Tensor

from ..errors import WeightsError, did_you_mean, examples
from ..models.dfc import DFCAttention
from ..models.ghostnet import FORMS, REMEDIES
from ..registry import WEIGHT_INITIALIZERS, register
from .networks import COUNTER, LAST_GROUP, Network, infer_network
from .origins import MINDSPORE, Origin, recognize
from .reading import WeightFile, read


@dataclass
class Report:
    """What was loaded from a weight file.

    Args:
        source: The file as given by the user.
        kind: Who wrote it.
        network: The network in it.
        loaded: Number of tensors of the model that were loaded, of ``total``.
        total: Number of tensors of the model, without batch counters.
        left_out: Number of tensors of the file for parts that the model does not have.
        stayed_random: Tensors of the model that the file does not have in their shape.
    """

    source: str
    kind: str
    network: Network
    loaded: int
    total: int
    left_out: dict[str, int] = field(default_factory=dict)
    stayed_random: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line for a log."""
        line = (
            f'{self.loaded} of {self.total} tensors loaded from {self.source} '
            f'({self.kind}; {self.network.name})'
        )
        if self.left_out:
            parts = ', '.join(f'{name} {n}' for name, n in self.left_out.items())
            line += f'; not part of this model: {parts}'
        return line


class _Fit:
    """Comparison of the weights of a file and a model, by name."""

    def __init__(self, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]):
        parts = {_part(name) for name in wanted}
        self.missing = [name for name in wanted if name not in state]
        self.misshapen = [
            name
            for name, value in wanted.items()
            if name in state and state[name].shape != value.shape
        ]
        unfit = {*self.missing, *self.misshapen}
        self.usable = [name for name in wanted if name not in unfit]
        more = [n for n in state if n not in wanted and not n.endswith(COUNTER)]
        self.unknown = [n for n in more if _part(n) in parts or _part(n) not in _PARTS]
        unknown = {*self.unknown}
        self.left_out = Counter(_part(n) for n in more if n not in unknown)


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
        WeightsError: If the file cannot be read, does not fit, or holds numbers that
            are not finite. The model is unchanged then.
    """
    file = read(checkpoint)
    origin = recognize(file.state, file.source, prefix)
    state, network = origin.state, infer_network(origin.state)
    own = backbone.state_dict()
    wanted = {name: value for name, value in own.items() if not name.endswith(COUNTER)}
    here = infer_network(wanted)
    fit = _Fit(wanted, state)

    may_lack = ('classifier.weight', 'classifier.bias') if new_classifier else ()
    whole = not fit.unknown and {*fit.missing, *fit.misshapen} <= {*may_lack}
    other_form = None not in (network.form, here.form) and network.form != here.form
    if other_form or (not whole and (strict or not fit.usable)):
        raise WeightsError(_refusal(file.source, fit, backbone, here, origin, network))
    check_numbers({name: state[name] for name in fit.usable}, file.source)

    counters = [n for n in own if n.endswith(COUNTER) and n in state]
    chosen = {name: state[name] for name in (*fit.usable, *counters)}
    backbone.load_state_dict(chosen, strict=False)

    report = Report(
        file.source,
        origin.kind + (', EMA weights' if 'ema' in file.container else ''),
        network,
        loaded=len(fit.usable),
        total=len(wanted),
        left_out={**fit.left_out, **origin.left_out},
        stayed_random=sorted([*fit.missing, *fit.misshapen]),
    )
    name = type(backbone).__name__
    print_log(f'{name}: {report}', 'current')
    for warning in _warnings(fit, report, file, backbone):
        print_log(f'{name}: {warning}', 'current', level=logging.WARNING)
    return report


def check_numbers(state: Mapping[str, Tensor], source: str) -> None:
    """Check that weights are finite floating point numbers.

    Raises:
        WeightsError: If a tensor is not; its name is in the message.
    """
    for name, value in state.items():
        if not value.is_floating_point() or value.is_quantized or value.is_meta:
            raise WeightsError(
                f'{source}: {name} holds {value.dtype}, not floating point weights'
            )
        bad = value.numel() - int(torch.isfinite(value).sum())
        if bad:
            raise WeightsError(
                f'{source}: {name} has {bad} of {value.numel()} values that are NaN or '
                'infinite: the training that wrote it diverged'
            )


_PARTS = {'conv_stem', 'bn1', 'conv_head', 'classifier'} | {
    f'blocks.{i}' for i in range(LAST_GROUP + 1)
}


def _part(name: str) -> str:
    """Return the part of the network that a weight belongs to, such as ``blocks.3``."""
    parts = name.split('.')
    return '.'.join(parts[: 2 if parts[0] == 'blocks' else 1])


def _warnings(
    fit: _Fit, report: Report, file: WeightFile, model: nn.Module
) -> list[str]:
    found = []
    if report.stayed_random:
        found.append(
            f'{len(report.stayed_random)} of {report.total} tensors stayed random: '
            f'{examples(report.stayed_random)}'
        )
    if fit.unknown:
        found.append(f'unknown tensors of the file: {examples(fit.unknown)}')
    origin = file.meta.get('mmghost_weights', dict(origin=report.kind))
    if origin['origin'] == MINDSPORE and any(
        (gate.upsample, gate.align_corners) != ('bilinear', True)
        for gate in model.modules()
        if isinstance(gate, DFCAttention)
    ):
        found.append(
            'MindSpore upsamples the gate bilinearly: without '
            "dfc=dict(upsample='bilinear', align_corners=True) these weights give other "
            'features than there'
        )
    return found


def _refusal(
    source: str,
    fit: _Fit,
    model: nn.Module,
    here: Network,
    origin: Origin,
    there: Network,
) -> str:
    """Return why a file does not fit, and what to do."""
    name, details = type(model).__name__, []
    if fit.misshapen:
        first = fit.misshapen[0]
        details.append(
            f'{len(fit.misshapen)} of another shape ({first} is '
            f'{tuple(origin.state[first].shape)} in the file, '
            f'{tuple(model.state_dict()[first].shape)} here)'
        )
    if fit.missing:
        details.append(f'{len(fit.missing)} missing ({examples(fit.missing)})')
    if fit.unknown:
        details.append(f'{len(fit.unknown)} unknown ({examples(fit.unknown)})')
    total = len(fit.usable) + len(fit.misshapen) + len(fit.missing)
    return (
        f'{source}: does not fit this {name}{_why(fit, there, here, origin)}. '
        f'{len(fit.usable)} of {total} tensors fit; {"; ".join(details)}. Nothing was '
        'loaded; strict=False in init_cfg loads what fits and leaves the rest random'
    )


def _why(fit: _Fit, there: Network, here: Network, origin: Origin) -> str:
    """Return the likeliest reason, or an empty string."""
    # Networks cut before the first attention are the same in V1 and V2.
    both_tell = min(there.groups, here.groups) > 2
    if there.version != here.version and both_tell and here.form != 'folded':
        return f": the file is a {there.name}; use type='GhostNetV{there.version}'"
    if None not in (there.form, here.form) and there.form != here.form:
        return f': the file has {FORMS[there.form]}; {REMEDIES[there.form]}'
    if there.width != here.width:
        return f': the file is a {there.name}; set widen_factor={there.width}'
    if there.dfc_kernels != here.dfc_kernels and both_tell:
        kernels = ', '.join(map(str, there.dfc_kernels)) or 'none'
        return f': the kernel sizes of its DFC attention are {kernels}; set them in dfc'
    if there.groups < here.groups:
        return (
            f': the file ends at stage {there.stage}, this one at stage {here.stage}; '
            'leave later stages out of out_indices'
        )
    if {_part(n) for n in fit.missing} == {'conv_head', 'classifier'}:
        return ': the file has no classifier; load it into a backbone'
    if there.num_classes and here.num_classes and there.num_classes != here.num_classes:
        return f': the file is for {there.num_classes} classes, not {here.num_classes}'
    return ''


@register(WEIGHT_INITIALIZERS)
class PretrainedGhostNet:
    """Initializer of ``init_cfg=dict(type='Pretrained')``, see :func:`load_pretrained`.

    Args:
        checkpoint: The file.
        prefix: Prefix of the trunk's names in the file.
        strict: Whether the file must fit exactly.
        map_location: Accepted for compatibility: files are read on the CPU.
        **unknown: Keys that do not exist.

    Raises:
        WeightsError: If a key is unknown, or ``checkpoint`` is missing.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | None = None,
        prefix: str | None = None,
        strict: bool = True,
        map_location: Any = 'cpu',
        **unknown: Any,
    ) -> None:
        keys = ('checkpoint', 'prefix', 'strict', 'map_location')
        for key in unknown:
            raise WeightsError(
                f"init_cfg of type 'Pretrained' has no key {key!r}"
                f'{did_you_mean(key, keys)}; it has {", ".join(keys)}'
            )
        if not checkpoint:
            raise WeightsError(
                "init_cfg of type 'Pretrained' needs checkpoint=; for random weights "
                'set init_cfg=None'
            )
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.strict = strict

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a backbone."""
        load_pretrained(module, self.checkpoint, self.prefix, self.strict)
        if hasattr(module, '_params_init_info'):  # for mmengine's log of all weights
            update_init_info(module, init_info=f'Pretrained: {self.checkpoint}')
