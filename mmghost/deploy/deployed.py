"""Write checkpoints of whole models with their GhostNet in the deployed form."""

from copy import deepcopy

import torch
from mmengine.config import Config

from ..engine.checkpoints import read_checkpoint
from ..engine.predict import Predictor
from ..errors import UserError
from ..models.ghostnet import GhostNet
from ..version import __version__
from ..weights.converting import save

# Of the largest value, in double precision, where rounding leaves about 1e-14. Single
# precision cannot tell an error from rounding: 3e-6 to 1e-4, depending on the weights.
TOLERANCE = 1e-10
_META = ('dataset_meta', 'cfg', 'mmghost_weights')


def deploy_checkpoint(
    cfg: Config, checkpoint: str, out: str, size: tuple[int, int] = (224, 224)
) -> float:
    """Fold the batch norms of a checkpoint's GhostNet into its convolutions.

    Neck and head stay as they are. The file loads into the config's model with
    ``model.backbone.deploy=True``, which mmghost's tools set by themselves.

    Args:
        cfg: A config of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        out: The file to write.
        size: Height and width in px of the noise that both forms are compared on.

    Returns:
        Largest difference of the backbone's maps in double precision, relative to the
        largest value.

    Raises:
        UserError: If the model has no GhostNet, the checkpoint does not fit or is
            deployed already, the file cannot be written, or the forms differ.
    """
    model = Predictor(cfg, checkpoint, 'cpu').model
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, GhostNet):
        raise UserError(f'{cfg.filename}: model.backbone is not a GhostNet')
    if backbone.deploy:
        raise UserError(f'{checkpoint}: is in the deployed form already')
    exact = deepcopy(backbone).double()
    folded = deepcopy(exact).switch_to_deploy()
    difference = compare(exact, folded, size)
    if not difference <= TOLERANCE:  # also NaN
        raise UserError(
            f'{checkpoint}: the maps of the deployed form differ by {difference:.1e} of '
            f'the largest value, more than {TOLERANCE:.0e}: not written'
        )
    model.backbone = folded.to(next(backbone.parameters()).dtype)
    meta = read_checkpoint(checkpoint).get('meta') or {}
    kept = {key: meta[key] for key in _META if key in meta}
    kept.update(mmghost_version=__version__, mmghost_deploy=True)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save(dict(meta=kept, state_dict=state), out, checkpoint)
    return difference


@torch.no_grad()
def compare(exact: GhostNet, folded: GhostNet, size: tuple[int, int]) -> float:
    """Return the largest relative difference of the maps of two backbones on noise."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, exact.in_channels, *size, generator=generator).double()
    differences = [
        (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)
        for ours, theirs in zip(folded(image), exact(image), strict=True)
    ]
    return float(torch.stack(differences).max())
