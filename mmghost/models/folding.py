"""Batch norms, and the branches of GhostNetV3, folded into convolutions."""

import itertools
from collections import Counter
from copy import deepcopy

import torch.nn as nn
import torch.nn.functional as F
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .layers import RepConv


def fold(model: nn.Module) -> None:
    """Fold each batch norm of a model into the convolution before it, in place.

    A convolution and a batch norm that are neighboring children of one module are
    folded, also those of mmcv's ConvModule; the batch norm becomes an ``nn.Identity``.
    Convolutions that are used more than once, and normalizations without running
    statistics, stay. The outputs in evaluation mode are the same up to rounding.

    Args:
        model: A backbone, classifier, detector or segmentor.
    """
    uses = Counter(id(child) for m in model.modules() for child in m.children())
    for module in list(model.modules()):
        children = list(module.named_children())
        for name, child in children:
            norm = isinstance(child, RepConv) and child.convs[0].bn
            if getattr(norm, 'running_mean', None) is not None:
                setattr(module, name, folded_branches(child))
        # mmcv's ConvModule registers its norm behind the convolution in every order.
        if getattr(module, 'order', None) not in (None, ('conv', 'norm', 'act')):
            continue
        for (name, conv), (norm_name, norm) in itertools.pairwise(children):
            if (
                type(conv) is nn.Conv2d
                and isinstance(norm, _BatchNorm)
                and norm.track_running_stats
                and uses[id(conv)] == 1
            ):
                setattr(module, name, folded_conv(conv, norm))
                setattr(module, norm_name, nn.Identity())


def folded_conv(conv: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d:
    """Return a convolution that computes ``norm(conv(x))`` of evaluation mode.

    Folding is done in double precision, so that each weight is rounded once.
    """
    pair = deepcopy(conv).double().eval(), deepcopy(norm).double().eval()
    fused = fuse_conv_bn_eval(*pair).train(conv.training)
    return fused.to(conv.weight.dtype).requires_grad_(False)


def folded_branches(module: RepConv) -> nn.Conv2d:
    """Return the convolution that a RepConv computes in evaluation mode."""
    branches = [(branch.conv, branch.bn) for branch in module.convs]
    if module.scale is not None:
        branches.append((module.scale.conv, module.scale.bn))
    if module.skip is not None:
        identity = deepcopy(module.scale.conv)  # depthwise: one weight for each channel
        nn.init.ones_(identity.weight)
        branches.append((identity, module.skip))
    out, *rest = (folded_conv(conv.double(), norm) for conv, norm in deepcopy(branches))
    for conv in rest:
        pad = (out.kernel_size[0] - conv.kernel_size[0]) // 2
        out.weight += F.pad(conv.weight, [pad] * 4)
        out.bias += conv.bias
    return out.to(module.convs[0].conv.weight.dtype).train(module.training)
