"""Grad-CAM of classifiers, detectors and segmentors, by the package grad-cam."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from ..errors import UserError, near
from ..models.ghostnet import GhostNet


class ClassScores(nn.Module):
    """A model of one of the toolboxes as a map from pictures to one score a class.

    A classifier's scores are its logits. A detector's are, for each class, the highest
    logit at any position and anchor, or of any proposal. A segmentor's are, for each
    class, the mean logit over the pixels where the class wins (over all, where it does
    nowhere).

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, 3, H, W) to scores (N, classes)."""
        if hasattr(self.model, 'decode_head'):
            return self._of_pixels(self.model(x))
        if hasattr(self.model, 'roi_head'):
            return self._of_proposals(x)
        if hasattr(self.model, 'bbox_head'):
            return self._of_anchors(self.model(x))
        return self.model(x)

    def _of_pixels(self, logits: Tensor) -> Tensor:
        classes = logits.shape[1]
        wins = torch.nn.functional.one_hot(logits.argmax(1), classes).permute(
            0, 3, 1, 2
        )
        wins = wins + (wins.sum((2, 3), keepdim=True) == 0)
        return (logits * wins).sum((2, 3)) / wins.sum((2, 3))

    def _of_anchors(self, outputs: Any) -> Tensor:
        head = self.model.bbox_head
        levels = []
        for level in outputs[0]:
            n, _, height, width = level.shape
            if hasattr(head, 'num_attrib'):  # YOLOv3: box, objectness and classes
                level = level.reshape(n, -1, head.num_attrib, height * width)
                level = level[:, :, 5:] + level[:, :, 4:5]
            else:
                level = level.reshape(n, -1, head.cls_out_channels, height * width)
            levels.append(level.amax((1, 3)))
        return torch.stack(levels).amax(0)[:, : head.num_classes]

    def _of_proposals(self, x: Tensor) -> Tensor:
        from mmdet.structures import DetDataSample

        sample = DetDataSample(metainfo=_metainfo(x))
        features = self.model.extract_feat(x)
        proposals = self.model.rpn_head.predict(features, [sample], rescale=False)
        scores = self.model.roi_head.forward(features, proposals, [sample])[0]
        return scores[:, : self.model.roi_head.bbox_head.num_classes].amax(0)[None]


def stages_that_heads_see(backbone: nn.Module) -> list[nn.Module]:
    """List the stages of a backbone whose outputs it returns.

    Args:
        backbone: A network of this project; of another one, its last stage is taken.

    Returns:
        The modules, in the order of the network.
    """
    if isinstance(backbone, GhostNet):
        return [group for group in backbone.blocks if group.tap]
    layer = list(backbone.children())[-1]
    while isinstance(layer, nn.ModuleList):
        layer = layer[-1]
    return [layer]


def class_index(name: str, classes: Sequence[str] | None) -> int | None:
    """Find a class by its name, in whatever case, or by its index.

    Args:
        name: What the person named; empty for no class in particular.
        classes: The names of the model's classes, as far as they are known.

    Returns:
        The index; None for the empty name.

    Raises:
        UserError: If no class is called so.
    """
    if not name:
        return None
    if name.isdecimal():
        return int(name)
    names = {known.lower(): i for i, known in enumerate(classes or ())}
    if name.lower() not in names:
        raise UserError(f'there is no class {name!r}{near(name, names)}')
    return names[name.lower()]


def _metainfo(x: Tensor) -> dict[str, Any]:
    size = tuple(x.shape[2:])
    return dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0))


def grad_cam(
    model: nn.Module,
    x: Tensor,
    layers: Sequence[nn.Module],
    label: int | None = None,
) -> tuple[np.ndarray, int]:
    """Compute Grad-CAM: which regions raise the score of a class.

    Args:
        model: A classifier, detector or segmentor, in evaluation mode.
        x: One picture, (1, 3, H, W), normalised.
        layers: The layers that are looked at, see :func:`stages_that_heads_see`; of
            several, the mean.
        label: Index of the class; None for the one of the highest score.

    Returns:
        The map, (H, W) in [0, 1], and the index of the class.

    Raises:
        UserError: If the package grad-cam is missing, there is no such class, or a layer
            has more than one map for the picture.
    """
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise UserError(
            f'Grad-CAM needs the package grad-cam ({error}): '
            'pip install "mmghost[visualization]", or pip install grad-cam'
        ) from None
    scores = ClassScores(model)
    found = _scores(scores, x, layers)
    if label is None:
        label = int(found.argmax())
    if not 0 <= label < len(found):
        raise UserError(
            f'there is no class {label}: the model has {len(found)}, from 0 on'
        )
    frozen = [p for p in model.parameters() if not p.requires_grad]
    try:
        with GradCAM(model=scores, target_layers=list(layers)) as cam:
            # Gradients must pass through frozen stages. Only now: GradCAM has called
            # eval(), at which a backbone freezes them again.
            for parameter in frozen:
                parameter.requires_grad_(True)
            maps = cam(input_tensor=x, targets=[ClassifierOutputTarget(label)])
    finally:
        model.zero_grad(set_to_none=True)
        for parameter in frozen:
            parameter.requires_grad_(False)
    return maps[0], label


def _scores(scores: ClassScores, x: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """Compute the scores of a picture, and see that each layer has one map of it."""
    outputs: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(output))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            found = scores(x)[0]
    finally:
        for hook in hooks:
            hook.remove()
    if any(len(output) != len(x) for output in outputs):
        raise UserError(
            'a layer has several maps of the picture, of which only one would be seen; '
            'those of a dilated network are spread over phases: build it with '
            'output_stride=32, whose features are the same (docs/segmentation.md)'
        )
    return found
