"""Files of the release, timm and MindSpore as checkpoints of a toolbox's model.

``load_from`` in a config and CHECKPOINT of tools/test.py are loaded by mmengine, which
matches names only: a classifier would be evaluated with random weights.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch.nn as nn
from mmengine.logging import print_log

from ..models.ghostnet import GhostNet
from .loading import check_numbers, warn_of_gates
from .networks import COUNTER
from .origins import STEM, recognize, to_mmpretrain, unwrapped
from .reading import CONTAINERS


def adapt_checkpoint(model: nn.Module, checkpoint: dict[str, Any], source: str) -> bool:
    """Rename the weights in a checkpoint to those of a model with a GhostNet.

    The checkpoint is left alone if it is the model's own, has no GhostNet, or has other
    parts of the model under another prefix, which would be lost.

    Args:
        model: A classifier, detector or segmentor, not wrapped.
        checkpoint: What mmengine read. Its ``state_dict`` is replaced, by averaged
            weights (EMA) if it has any.
        source: Name of the file, for messages.

    Returns:
        Whether ``state_dict`` was replaced.

    Raises:
        WeightsError: If the checkpoint has several GhostNets, or the weights renamed are
            not finite numbers.
    """
    places = [n for n, m in model.named_modules() if isinstance(m, GhostNet)]
    if len(places) != 1 or not places[0].endswith('backbone'):
        return False
    # In what mmengine resumes from, `state_dict` is what to take, averaged or not.
    keys = ('state_dict',) if 'message_hub' in checkpoint else CONTAINERS
    key = next((k for k in keys if isinstance(checkpoint.get(k), Mapping)), None)
    state = checkpoint[key] if key else checkpoint
    names = {unwrapped(name): name for name in state if isinstance(name, str)}
    meta = checkpoint.get('meta') or {}
    if f'{places[0]}.{STEM}' in names:
        warn_of_gates(model, meta, 'mmengine')
        # mmengine itself removes DDP's `module.`, but no `_orig_mod.` of torch.compile.
        compiled = any('_orig_mod.' in name for name in names.values())
        if key in (None, 'state_dict') and not compiled:
            return False
        adapted = {name: state[old] for name, old in names.items()}
        message = f'weights are taken from {key!r}' if key else 'names are unwrapped'
    elif any(f'.{name}'.endswith(f'.{STEM}') for name in names):
        origin = recognize(state, source)
        base = places[0].removesuffix('backbone')
        renamed = {base + n: v for n, v in to_mmpretrain(origin.state).items()}
        wanted = model.state_dict().keys()
        theirs = origin.prefix.removesuffix('backbone.')
        parts = {base + n[len(theirs) :] for n in names if n.startswith(theirs)}
        if parts & (wanted - renamed.keys()):
            return False
        adapted = {n: v for n, v in renamed.items() if n in wanted}
        # Beside timm's wrapper, neck and head have the model's names already.
        others = {n: state[names[n]] for n in names.keys() & wanted - renamed.keys()}
        weights = {n: v for n, v in adapted.items() if not n.endswith(COUNTER)}
        check_numbers(weights, source)
        warn_of_gates(model, meta, origin.kind)
        message = f'{len(adapted)} tensors of {origin.kind} renamed for this '
        message += f'{type(model).__name__}; '
        message += f'{len(renamed) - len(adapted)} are not part of it'
        kept = Counter(n.split('.')[0] for n in others)
        for part, count in (Counter(origin.left_out) - kept).items():
            message += f'; left out: {count} of {part}'
        adapted.update(others)
    else:
        return False
    if key is None:
        checkpoint.clear()
    checkpoint['state_dict'] = adapted
    print_log(f'{source}: {message}', 'current')
    return True
