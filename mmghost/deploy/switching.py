"""Checkpoints of whole models with their backbone in deploy mode."""

from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch.nn.modules.batchnorm import _BatchNorm

from ..engine.predict import Predictor
from ..errors import UserError
from ..models.ghostnet import GhostNet
from ..version import __version__
from ..weights.converting import save

# Of the largest value, in double precision, where rounding leaves some 1e-14. In single
# precision no bound could tell a fault from rounding: what that leaves, in both forms
# alike, depends on the weights (3e-6 to 1e-4 have been seen).
TOLERANCE = 1e-10
_META = ('dataset_meta', 'cfg', 'mmghost_weights')


@dataclass
class Switched:
    """What became of a checkpoint.

    Args:
        folded: How many batch norms were folded.
        left: How many are left, in necks and heads.
        difference: The largest between the backbone's maps in double precision,
            relative to the largest value.
        rounding: The same in the precision of the weights.
    """

    folded: int
    left: int
    difference: float
    rounding: float


def switch_checkpoint(
    cfg: Config, checkpoint: str, out: str, size: tuple[int, int] = (224, 224)
) -> Switched:
    """Write a checkpoint whose GhostNet has its batch norms folded.

    Necks and heads stay as they are, so that the file loads wherever the config's model
    is built: the backbone knows such weights and switches itself.

    Args:
        cfg: A config of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        out: The file to write.
        size: Height and width in px of the noise that both forms are compared on.

    Returns:
        What was folded, and how near the results are.

    Raises:
        UserError: If there is no GhostNet in the model, the checkpoint does not fit or
            is deployed already, the file cannot be written, or the forms differ.
    """
    model = Predictor(cfg, checkpoint, 'cpu').model
    places = [m for m in model.modules() if isinstance(m, GhostNet)]
    if not places:
        raise UserError(f'{cfg.filename}: its model has no GhostNet to switch')
    if all(place.deploy for place in places):
        raise UserError(f'{checkpoint}: is in deploy mode already')
    deployed = deepcopy(model)
    switched = [m for m in deployed.modules() if isinstance(m, GhostNet)]
    differences, roundings = [], []
    for place, copy in zip(places, switched, strict=True):
        exact = deepcopy(place).double()
        folded = deepcopy(exact).switch_to_deploy()
        differences.append(_difference(exact, folded, size))
        if not differences[-1] <= TOLERANCE:  # NaN is refused too
            raise UserError(
                f'{checkpoint}: in deploy mode its maps differ by '
                f'{differences[-1]:.1e} of the largest value, in double precision, more '
                f'than {TOLERANCE:.0e}: not written'
            )
        # What is written is what was compared, each weight rounded once.
        copy.switch_to_deploy().load_state_dict(folded.state_dict())
        roundings.append(_difference(place, copy, size))
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    meta = content.get('meta') or {}
    kept = {key: meta[key] for key in _META if key in meta}
    kept.update(mmghost_version=__version__, mmghost_deploy=True)
    state = {name: value.contiguous() for name, value in deployed.state_dict().items()}
    save(dict(meta=kept, state_dict=state), out, checkpoint)
    left = _norms(deployed)
    return Switched(_norms(model) - left, left, max(differences), max(roundings))


def _norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@torch.no_grad()
def _difference(backbone: GhostNet, deployed: GhostNet, size: tuple[int, int]) -> float:
    """Compare the maps of two backbones on noise: the largest relative difference."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, backbone.in_channels, *size, generator=generator)
    image = image.to(next(backbone.parameters()).dtype)
    differences = [
        (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)
        for ours, theirs in zip(
            deployed.forward_trunk(image), backbone.forward_trunk(image), strict=True
        )
    ]
    return float(torch.stack(differences).max())
