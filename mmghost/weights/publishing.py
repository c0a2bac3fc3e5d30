"""Make the checkpoint of a training fit to be handed on."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from ..version import __version__
from .converting import save
from .errors import WeightsError
from .loading import check_numbers
from .reading import read

# What of a training's notes is worth keeping. `dataset_meta` has the class names, which
# tests and demos need; the config is the name of the recipe.
_META = ('dataset_meta', 'cfg', 'epoch', 'iter', 'mmengine_version', 'mmghost_weights')


def publish(source: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write the weights of a checkpoint alone, with their hash in the file's name.

    Averaged weights (EMA) are taken where there are any: timm keeps them as
    ``state_dict_ema``; mmengine's EMAHook writes them as ``state_dict`` in the first
    place. Optimizer, schedules, log and the other copy are left out.

    Args:
        source: A checkpoint of any of the toolboxes, of any model.
        target: The file to write; ``-`` and the first eight digits of its sha256 are
            put before its ending.

    Returns:
        The file written.

    Raises:
        WeightsError: If the checkpoint cannot be read, has numbers that are not finite,
            or cannot be written.
    """
    file = read(source)
    state = {}
    for name, value in file.state.items():
        name = re.sub(r'^(module\.|_orig_mod\.)+', '', str(name))
        if isinstance(value, Tensor) and not name.endswith(
            ('total_ops', 'total_params')
        ):
            state[name] = value.detach().clone().contiguous()
    if not state:
        raise WeightsError(f'{file.source}: holds no weights')
    check_numbers(
        {name: value for name, value in state.items() if value.is_floating_point()},
        file.source,
    )
    meta: dict[str, Any] = {key: file.meta[key] for key in _META if key in file.meta}
    meta['mmghost_version'] = __version__
    meta['source_sha256'] = file.sha256

    target = Path(target)
    if target.suffix != '.pth':
        raise WeightsError(f'{target}: the name of a published file ends in .pth')
    partial = target.with_name(f'.{target.name}')
    save({'meta': meta, 'state_dict': state}, partial, file.source)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    stem = target.stem.removesuffix(f'-{file.sha256[:8]}')  # of what it is made from
    return partial.replace(target.with_name(f'{stem}-{digest[:8]}.pth'))
