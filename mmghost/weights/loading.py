"""Load a weight file into a backbone, whole or not at all.

mmengine's own ``Pretrained`` loads what happens to fit and warns of the rest: with a
wrong prefix that is nothing, and a random network is trained. Here every tensor of the
backbone must be in the file, in its shape, and every tensor of the file must be known.
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
from mmengine.model import PretrainedInit, update_init_info
from torch import Tensor

from ..errors import examples, near
from ..models.dfc import DFCAttention
from .errors import WeightsError
from .networks import LAST_GROUP, Network, describe, stage_of_group
from .origins import Origin, recognise
from .reading import MINDSPORE, read

# The batch counters of normalisations are loaded where a file has them. No evaluation
# needs them, and MindSpore has none.
_COUNTER = 'num_batches_tracked'


@dataclass
class Report:
    """What became of a weight file.

    Args:
        source: The file.
        kind: Who wrote it, in words.
        network: What it holds.
        loaded: How many tensors of the model were loaded, of ``total``.
        total: How many tensors the model has, without batch counters.
        left_out: How many tensors of the file belong to which parts that are not built.
        stayed_random: Tensors of the model that the file does not have (or, in the same
            shape, not).
    """

    source: str
    kind: str
    network: Network
    loaded: int
    total: int
    left_out: dict[str, int] = field(default_factory=dict)
    stayed_random: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """One line."""
        line = (
            f'{self.loaded} of {self.total} tensors loaded from {self.source} '
            f'({self.kind}; {self.network.name})'
        )
        if self.left_out:
            parts = ', '.join(
                f'{part} {count}' for part, count in self.left_out.items()
            )
            line += f'; not part of this model: {parts}'
        return line


@dataclass
class _Fit:
    """How a file's weights and a model's compare, by name."""

    wanted: dict[str, Tensor]
    state: dict[str, Tensor]
    may_lack: tuple[str, ...] = ()
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        built = {_part(name) for name in self.wanted}
        for name in self.wanted:
            if name not in self.state:
                self.missing.append(name)
            elif self.state[name].shape != self.wanted[name].shape:
                self.misshapen.append(name)
        for name in self.state:
            if name in self.wanted or name.endswith(_COUNTER):
                continue
            if _part(name) in built or not _is_ghostnet(_part(name)):
                self.unknown.append(name)
            else:
                self.left_out[_part(name)] += 1

    @property
    def usable(self) -> list[str]:
        lacking = {*self.missing, *self.misshapen}
        return [name for name in self.wanted if name not in lacking]

    def __bool__(self) -> bool:
        lacking = {*self.missing, *self.misshapen} - {*self.may_lack}
        return not (lacking or self.unknown)


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str | os.PathLike,
    prefix: str | None = None,
    strict: bool = True,
    new_classifier: bool = False,
) -> Report:
    """Load a weight file into a backbone or classifier of this package.

    Args:
        backbone: A GhostNetV1, GhostNetV2 or GhostNetClassifier.
        checkpoint: A path, an http(s) URL or what mmengine's file backends open: the
            authors' files, timm's, MindSpore's, a checkpoint of mmpretrain, mmdet or
            mmseg with such a backbone, or a bare backbone's.
        prefix: What the names of the trunk begin with, in a file with several networks.
        strict: Whether the file must have every tensor of the model and no unknown one.
            Without, what fits is loaded, and what stayed random is logged.
        new_classifier: Whether the last layer of a GhostNetClassifier may be for other
            classes than the file's. It stays random then.

    Returns:
        What was loaded. It has been logged already.

    Raises:
        WeightsError: If the file cannot be read, does not fit, or holds numbers that
            are not finite. The model is as it was then.
    """
    file = read(checkpoint)
    origin = recognise(file.state, file.source, prefix)
    network = describe(origin.state)
    fit = _Fit(
        {
            name: value
            for name, value in backbone.state_dict().items()
            if not name.endswith(_COUNTER)
        },
        origin.state,
        may_lack=('classifier.weight', 'classifier.bias') if new_classifier else (),
    )
    if not fit and (strict or not fit.usable):
        raise WeightsError(_refusal(file.source, fit, network, backbone, origin))
    check_numbers({name: origin.state[name] for name in fit.usable}, file.source)

    # A counter that is none is as good as one that is missing.
    counters = [
        name
        for name, value in backbone.state_dict().items()
        if name.endswith(_COUNTER)
        and name in origin.state
        and origin.state[name].shape == value.shape
        and origin.state[name].dtype == value.dtype
        and not origin.state[name].is_meta
    ]
    chosen = [*fit.usable, *counters]
    backbone.load_state_dict(
        {name: origin.state[name] for name in chosen}, strict=False
    )
    report = Report(
        file.source,
        origin.kind + _averaged(file.container),
        network,
        loaded=len(fit.usable),
        total=len(fit.wanted),
        left_out={**fit.left_out, **origin.left_out},
        stayed_random=sorted([*fit.missing, *fit.misshapen]),
    )
    name = type(backbone).__name__
    print_log(f'{name}: {report}', 'current')
    for warning in _warnings(
        fit, report, file.format == MINDSPORE, file.meta, backbone
    ):
        print_log(f'{name}: {warning}', 'current', level=logging.WARNING)
    return report


def check_numbers(state: Mapping[str, Tensor], source: str) -> None:
    """Check that weights are finite floating point numbers.

    Raises:
        WeightsError: Naming a tensor that is not, or a negative variance.
    """
    for name, value in state.items():
        if value.is_meta:
            raise WeightsError(f'{source}: {name} has a shape, but no numbers')
        if value.is_quantized or value.is_sparse or not value.is_floating_point():
            kind = str(value.dtype).removeprefix('torch.')
            raise WeightsError(
                f'{source}: {name} is of type {kind}; weights are floating point '
                'numbers. A quantised file cannot be loaded'
            )
        finite = torch.isfinite(value)
        if not finite.all():
            bad = int((~finite).sum())
            raise WeightsError(
                f'{source}: {name} has {bad} of {value.numel()} numbers that are NaN '
                'or infinite: the training that wrote it had diverged'
            )
        if name.endswith('running_var') and (value < 0).any():
            raise WeightsError(f'{source}: {name} has negative variances')


def _averaged(container: str) -> str:
    return ', EMA weights' if 'ema' in container else ''


def _part(name: str) -> str:
    """The part of GhostNet that a tensor belongs to: ``blocks.3``, ``conv_head``."""
    parts = name.split('.')
    return '.'.join(parts[:2]) if parts[0] == 'blocks' else parts[0]


def _is_ghostnet(part: str) -> bool:
    groups = {f'blocks.{i}' for i in range(LAST_GROUP + 1)}
    return part in groups | {'conv_stem', 'bn1', 'conv_head', 'classifier'}


def _warnings(
    fit: _Fit,
    report: Report,
    mindspore: bool,
    meta: Mapping[str, Any],
    model: nn.Module,
) -> list[str]:
    """What to know although the weights are loaded."""
    found = []
    if report.stayed_random:
        found.append(
            f'{len(report.stayed_random)} of {report.total} tensors stayed random: '
            f'{examples(report.stayed_random)}'
        )
    if fit.unknown:
        found.append(
            f'{len(fit.unknown)} tensors of the file are unknown here: '
            f'{examples(fit.unknown)}'
        )
    gates = [module for module in model.modules() if isinstance(module, DFCAttention)]
    origin = meta.get('mmghost_weights')
    mindspore |= isinstance(origin, dict) and origin.get('origin') == MINDSPORE
    if mindspore and any(
        (gate.upsample, gate.align_corners) != ('bilinear', True) for gate in gates
    ):
        found.append(
            "MindSpore's network up-samples its gate bilinearly: without "
            "dfc=dict(upsample='bilinear', align_corners=True) these weights give other "
            'features than there'
        )
    return found


# Why a file does not fit. -------------------------------------------------------------


def _refusal(
    source: str, fit: _Fit, network: Network, model: nn.Module, origin: Origin
) -> str:
    """Put in words why a file does not fit, with what to do."""
    name = type(model).__name__
    here = describe(fit.wanted)
    why = _why(fit, network, here, name, origin.has_head)
    details = []
    if fit.misshapen:
        first = fit.misshapen[0]
        details.append(
            f'{len(fit.misshapen)} of another shape ({first} is '
            f'{tuple(fit.state[first].shape)} in the file, '
            f'{tuple(fit.wanted[first].shape)} here)'
        )
    if fit.missing:
        details.append(f'{len(fit.missing)} missing ({examples(fit.missing)})')
    if fit.unknown:
        details.append(f'{len(fit.unknown)} unknown ({examples(fit.unknown)})')
    text = (
        f'{source}: does not fit this {name}: {why}. {len(fit.usable)} of '
        f'{len(fit.wanted)} tensors fit; {"; ".join(details)}.'
    )
    if fit.usable:
        text += (
            ' Nothing was loaded; strict=False (in init_cfg) loads what fits and leaves '
            'the rest random'
        )
    return text


def _why(fit: _Fit, there: Network, here: Network, name: str, has_head: bool) -> str:
    """The likeliest reason, from the shapes and names on both sides."""
    if there.folded and not here.folded:
        return (
            'the file is a deployed network, its batch norms folded into the '
            'convolutions; set deploy=True to run it as it is, or, to train, take the '
            'file that it was made from'
        )
    if here.folded and not there.folded:
        return (
            'this one was built with deploy=True and has no batch norms, the file has '
            'them; build it without, load the file, then call switch_to_deploy()'
        )
    # Where both are cut before the first attention, there is no telling.
    comparable = min(there.groups, here.groups) > 2
    if comparable and there.has_dfc and not here.has_dfc:
        return (
            f'the file is a {there.name}, this one has no DFC attention; use '
            "type='GhostNetV2' with its own dfc"
        )
    if comparable and here.has_dfc and not there.has_dfc:
        return (
            f"the file is a {there.name}, without DFC attention; use type='GhostNetV1'"
        )
    if there.width != here.width:
        use = '' if there.width is None else f'; set widen_factor={there.width}'
        return f'the file is of {there.width_name}, this one of {here.width_name}{use}'
    if there.dfc_kernels != here.dfc_kernels and comparable:
        kernels = ', '.join(map(str, there.dfc_kernels))
        if len(there.dfc_kernels) > 1:
            return (
                f'the kernel sizes of its DFC attention are {kernels}; give kernel_size '
                'of dfc as many as it has stages, as the file was trained with'
            )
        return (
            f'the kernel size of its DFC attention is {kernels}; set '
            f'dfc=dict(kernel_size={kernels})'
        )
    if there.groups < here.groups:
        if not there.groups:
            return 'the file has no bottlenecks at all'
        last = stage_of_group(there.groups - 1)
        return (
            f'the network in the file ends at stage {last}, this one at stage '
            f'{stage_of_group(here.groups - 1)}; leave later stages out of out_indices'
        )
    if there.has_batch_norm != here.has_batch_norm:
        words = {True: 'batch norm', False: 'a normalisation without statistics'}
        return (
            f'the file has {words[there.has_batch_norm]}, this one '
            f'{words[here.has_batch_norm]}: norm_cfg differs'
        )
    lacks = {_part(n) for n in fit.missing}
    if lacks and lacks <= {'conv_head', 'classifier'} and not has_head:
        return (
            'the file has no classifier; load it into a backbone, or take another file'
        )
    if there.in_channels != here.in_channels:
        return (
            f'the file is for pictures of {there.in_channels} channels, this one for '
            f'{here.in_channels}'
        )
    if there.num_classes and here.num_classes and there.num_classes != here.num_classes:
        return (
            f'the file tells {there.num_classes} classes apart, this one '
            f'{here.num_classes}'
        )
    return 'their tensors differ'


# What init_cfg=dict(type='Pretrained') becomes. -----------------------------------------

_KEYS = ('type', 'checkpoint', 'prefix', 'strict', 'map_location')


class PretrainedGhostNet:
    """Initialiser that loads through :func:`load_pretrained`.

    Args:
        checkpoint: As there.
        prefix: As there.
        strict: As there.
        map_location: Taken and not used: files are read on the CPU, and the weights
            copied to where the backbone is.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        strict: bool = True,
        map_location: Any = 'cpu',
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.strict = strict

    def __call__(self, module: nn.Module) -> None:
        """Load the weights, and note that for mmengine's log of initialisations."""
        load_pretrained(module, self.checkpoint, self.prefix, self.strict)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'Pretrained: {self.checkpoint}')


def strict_init_cfg(
    init_cfg: dict[str, Any] | list[dict[str, Any]] | None,
) -> dict[str, Any] | list[dict[str, Any]] | None:
    """Have ``type='Pretrained'`` of an init_cfg loaded by this package.

    Args:
        init_cfg: A backbone's.

    Returns:
        The same with :class:`PretrainedGhostNet` in place of mmengine's initialiser,
        moved to the end: mmengine, too, lets pretrained weights overwrite the others.

    Raises:
        ValueError: If it has an unknown key or no checkpoint.
    """
    if not init_cfg:
        return init_cfg
    cfgs = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg)
    pretrained = [cfg for cfg in cfgs if _is_pretrained(cfg)]
    for cfg in pretrained:
        for key in cfg:
            if key not in _KEYS:
                raise ValueError(
                    f"init_cfg of type 'Pretrained' has no key {key!r}{near(key, _KEYS)}; "
                    f'it has {", ".join(_KEYS[1:])}'
                )
        if 'checkpoint' not in cfg:
            raise ValueError("init_cfg of type 'Pretrained' needs the key checkpoint")
    return [
        *(cfg for cfg in cfgs if not _is_pretrained(cfg)),
        *({**cfg, 'type': PretrainedGhostNet} for cfg in pretrained),
    ]


def _is_pretrained(cfg: Any) -> bool:
    kind = cfg.get('type') if isinstance(cfg, dict) else None
    if isinstance(kind, str):
        return kind.rsplit('.', 1)[-1] in ('Pretrained', 'PretrainedInit')
    return kind is PretrainedInit
