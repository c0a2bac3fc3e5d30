"""The release's, timm's and MindSpore's files as checkpoints of the toolboxes' models.

``load_from=`` in a config and the CHECKPOINT of tools/test.py are read by mmengine, which
knows only its own names: a classifier would be evaluated with random weights.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch.nn as nn
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..models.ghostnet import GhostNet
from .errors import WeightsError
from .origins import STEM, Origin, recognise, to_mmpretrain
from .pickles import load_training
from .reading import CONTAINERS, MINDSPORE, TORCH, format_of, local_path, read


def adapt_checkpoint(model: nn.Module, checkpoint: dict[str, Any], source: str) -> bool:
    """Rename a checkpoint's weights to those of a model with a GhostNet in it.

    Args:
        model: A classifier, detector or segmentor, not wrapped.
        checkpoint: What mmengine read. Its ``state_dict`` is replaced, by averaged
            weights where it has both, unless it is this model's already, holds no
            GhostNet, or has this model's other parts under other names: those would be
            lost.
        source: The file's name, for the messages.

    Returns:
        Whether it was replaced.

    Raises:
        WeightsError: If the file holds several GhostNets.
    """
    places = [
        name for name, module in model.named_modules() if isinstance(module, GhostNet)
    ]
    if len(places) != 1 or not places[0].endswith('backbone'):
        return False
    # What mmengine resumes from has its weights, averaged or not, in one place.
    keys = ('state_dict',) if 'message_hub' in checkpoint else CONTAINERS
    key = next((k for k in keys if isinstance(checkpoint.get(k), Mapping)), None)
    state = checkpoint[key] if key else checkpoint
    ours = f'{places[0]}.{STEM}'
    plain = {_unwrapped(name): name for name in state if isinstance(name, str)}
    if ours in plain:
        elsewhere = key not in (None, 'state_dict')
        if not elsewhere and not any('_orig_mod.' in name for name in plain.values()):
            return False  # DDP's `module.` is known to mmengine too
        if elsewhere:
            print_log(f'{source}: weights are taken from {key!r}', 'current')
        _replace(checkpoint, key, {name: state[old] for name, old in plain.items()})
        return True
    if not any(name == STEM or name.endswith(f'.{STEM}') for name in plain):
        return False
    origin = recognise(state, source)
    if _has_other_parts(model, places[0], origin, plain.values()):
        return False
    renamed = to_mmpretrain(origin.state)
    base = places[0][: -len('backbone')]
    if base:
        renamed = {base + name: value for name, value in renamed.items()}
    wanted = model.state_dict().keys()
    others = [name for name in renamed if name not in wanted]
    print_log(
        f'{source}: {len(renamed) - len(others)} tensors of {origin.kind} renamed for '
        f'this {type(model).__name__}'
        + (f'; {len(others)} are not part of it' if others else '')
        + (f'; left out: {_counted(origin.left_out)}' if origin.left_out else ''),
        'current',
    )
    for name in others:
        del renamed[name]
    _replace(checkpoint, key, renamed)
    return True


def _replace(checkpoint: dict[str, Any], key: str | None, state: dict) -> None:
    """Put other weights into a checkpoint, which has them under a key or is them."""
    if key is None:
        checkpoint.clear()
    checkpoint['state_dict'] = state


def _unwrapped(name: str) -> str:
    """A tensor's name without what DDP and torch.compile put before it."""
    return re.sub(r'^(module\.)+', '', name.replace('_orig_mod.', ''))


def _has_other_parts(
    model: nn.Module, place: str, origin: Origin, names: Iterable[str]
) -> bool:
    """Whether a file holds neck or head of a model beside its trunk.

    Args:
        model: The model.
        place: Of its GhostNet.
        origin: That in the file.
        names: Of all tensors in the file.
    """
    if not origin.prefix.endswith('backbone.'):
        return False
    before = origin.prefix[: -len('backbone.')]
    base = place[: -len('backbone')]
    wanted = {n for n in model.state_dict() if not n.startswith(f'{place}.')}
    theirs = {base + n[len(before) :] for n in names if n.startswith(before)}
    # mmpretrain's own head is renamed together with the trunk.
    known = {base + n for n in to_mmpretrain(origin.state)}
    return bool(wanted & theirs - known)


def _counted(parts: Mapping[str, int]) -> str:
    return ', '.join(f'{count} of {name}' for name, count in parts.items())


def adopt_form(
    model: nn.Module, state: Mapping[str, Any], source: str, trains: bool = False
) -> None:
    """Bring the GhostNets of a model into the form of the weights for them.

    Args:
        model: A classifier, detector or segmentor, not wrapped.
        state: Weights by the model's names.
        source: The file's name, for the message.
        trains: Whether the model is to be trained.

    Raises:
        WeightsError: If it is, and the weights are those of a deployed network.
    """
    for place, module in model.named_modules():
        if not isinstance(module, GhostNet) or module.deploy:
            continue
        if f'{place}.conv_stem.bias'.lstrip('.') not in state:
            continue
        if trains:
            raise WeightsError(
                f'{source}: holds a deployed network, its batch norms folded into the '
                'convolutions; to train, take the file that it was made from'
            )
        module.switch_to_deploy()


def load_from_mmghost(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint for mmengine: torch's, MindSpore's or a safetensors file.

    Torch's files are read whole, so that a training can resume, but by this package's
    own reader: mmengine's falls back to one that runs what the file says.

    Args:
        filename: A path, an http(s) URL, or what else :func:`.reading.read` takes.
            MindSpore's weights are returned by the names of mmpretrain's classifier,
            safetensors' by their own.
        map_location: As for :func:`torch.load`.

    Raises:
        WeightsError: If there is no such file, it cannot be read, or it would run code.
    """
    with local_path(filename) as path:
        if format_of(path, filename) == TORCH:
            return load_training(path, filename, map_location)
    file = read(filename)
    if file.format != MINDSPORE:
        return dict(state_dict=dict(file.state))
    state: dict[str, Tensor] = to_mmpretrain(recognise(file.state, filename).state)
    return dict(state_dict=state, meta=dict(mmghost_weights=dict(origin=MINDSPORE)))


def register() -> None:
    """Have mmengine read checkpoints through this package, wherever they are.

    What is left to mmengine are the names of its own tables (``open-mmlab://``,
    ``torchvision://``): the files behind those are its authors'.
    """
    schemes = ['', 'http://', 'https://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://']
    CheckpointLoader.register_scheme(schemes, load_from_mmghost, force=True)
