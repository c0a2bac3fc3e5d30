"""Deploy mode: batch norms folded into convolutions, activations taken along."""

from collections import Counter
from collections.abc import Iterator

import torch
import torch.nn as nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models.classifier import GhostNetClassifier
from ..models.dfc import DFCAttention
from ..models.fused_conv import FusedConv2d, can_fuse
from ..models.ghost_module import GhostModule
from ..models.ghostnet import ConvNormAct, GhostBottleneck, GhostNet
from ..models.layers import SqueezeExcite
from ..models.mobilenetv2 import ConvBNAct

# A module, and the names in it of a convolution, the normalisation and the activation
# that follow it; None for what does not follow.
_Chain = tuple[nn.Module, str, str | None, str | None]


def fold(model: nn.Module) -> int:
    """Fold the batch norms of a model into the convolutions before them, in place.

    Every GhostNet in it is folded whole, and every ``ConvModule`` of mmcv (which necks
    and heads are built of). What does not fold exactly stays as it is: normalisations
    that depend on their input, convolutions that several normalisations share, and
    those that are more than ``nn.Conv2d``.

    Args:
        model: A backbone, classifier, detector or segmentor. Its state dict has the
            names of before, without those of the folded batch norms and with a ``bias``
            for each convolution; parameters that were folded ask for no gradient.

    Returns:
        How many batch norms were folded; 0 for a model folded before.
    """
    chains = [chain for module in model.modules() for chain in _chains(module)]
    uses = Counter(id(parent.get_submodule(conv)) for parent, conv, *_ in chains)
    folded = 0
    for parent, conv_name, norm_name, act_name in chains:
        conv = parent.get_submodule(conv_name)
        norm = parent.get_submodule(norm_name) if norm_name else None
        if type(conv) is not nn.Conv2d or uses[id(conv)] > 1:
            continue  # folded before, more than a convolution, or shared
        if conv.padding_mode != 'zeros' or isinstance(conv.padding, str):
            continue
        if norm is not None and not isinstance(norm, nn.Identity):
            if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
                continue
            conv = folded_conv(conv, norm)
            setattr(parent, norm_name, nn.Identity())
            folded += 1
        act = parent.get_submodule(act_name) if act_name else None
        if act is not None and can_fuse(act):
            setattr(parent, act_name, nn.Identity())
        else:
            act = None
        fused = FusedConv2d(conv, act).train(conv.training)
        setattr(parent, conv_name, fused)
    for module in model.modules():
        if isinstance(module, GhostNet):
            module.deploy = True
            module.requires_grad_(False)
    return folded


@torch.no_grad()
def folded_conv(conv: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d:
    """Return a convolution that computes ``norm(conv(x))`` of inference."""
    weight = conv.weight
    # In double precision: what is rounded is the product, once.
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double()
    bias = shift * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    out = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        device='meta',
    )
    out.weight = nn.Parameter(
        (weight.double() * scale[:, None, None, None]).to(weight.dtype)
    )
    out.bias = nn.Parameter(bias.to(weight.dtype))
    return out.train(conv.training)


def _chains(module: nn.Module) -> Iterator[_Chain]:
    """Name the convolutions of a module with what follows them directly."""
    if isinstance(module, GhostNet):
        yield module, 'conv_stem', 'bn1', 'act1'
        if isinstance(module, GhostNetClassifier):
            yield module, 'conv_head', None, 'act2'
    elif isinstance(module, ConvNormAct):
        yield module, 'conv', 'bn1', 'act1'
    elif isinstance(module, GhostBottleneck):
        if module.conv_dw is not None:
            yield module, 'conv_dw', 'bn_dw', None
        if len(module.shortcut):
            yield module.shortcut, '0', '1', None
            yield module.shortcut, '2', '3', None
    elif isinstance(module, GhostModule):
        for half in (module.primary_conv, module.cheap_operation):
            yield half, '0', '1', '2' if len(half) > 2 else None
    elif isinstance(module, DFCAttention):
        if isinstance(module.reduce, nn.Sequential):
            yield module.reduce, '0', '1', None
        yield module, '0', '1', None
        yield module, '2', '3', None
        yield module, '4', '5', 'gate' if module.gate_position == 'before' else None
    elif isinstance(module, SqueezeExcite):
        yield module, 'conv_reduce', None, 'act'
        yield module, 'conv_expand', None, 'gate'
    elif isinstance(module, ConvBNAct):
        yield module, 'conv', 'bn', 'activate' if len(module) > 2 else None
    elif _is_conv_module(module):
        act = 'activate' if module.with_activation else None
        yield module, 'conv', module.norm_name, act


def _is_conv_module(module: nn.Module) -> bool:
    from mmcv.cnn import ConvModule

    return (
        type(module) is ConvModule
        and module.order == ('conv', 'norm', 'act')
        and module.with_norm
        and not module.with_explicit_padding
        and not module.with_spectral_norm
    )
