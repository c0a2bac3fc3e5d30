"""Checkpoints: whether a file is whole, how mmengine reads it, whether it fits a model."""

import atexit
import difflib
import os
import re
import shlex
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, load_state_dict
from torch import Tensor, nn

from ..errors import UserError
from ..weights.loading import Fit
from ..weights.origins import unwrapped
from ..weights.reading import HAS_SAFE_GLOBALS, TORCH, format_of, local_path, read


def is_whole(path: str | os.PathLike) -> bool:
    """Return True if a checkpoint was written to its end, by the checksums in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises many kinds of errors for a damaged file
        return False


def last_whole(work_dir: str | os.PathLike) -> Path | None:
    """Return the checkpoint to resume from, or None if the folder has none.

    It is the one that mmengine noted as the last, also elsewhere (``out_dir``). If a
    crash cut that short, it is the latest one before it that is whole.

    Raises:
        UserError: If there are checkpoints, but none is whole or to be found.
    """
    work_dir = Path(work_dir)
    note, folders = work_dir / 'last_checkpoint', [work_dir]
    last = note.read_text().strip() if note.is_file() else ''  # a crash leaves it empty
    if last and not (work_dir / Path(last).name).is_file():  # else moved or copied
        folders.append(Path(last).parent)
    named = re.compile(r'(epoch|iter)_\d+\.pth')
    paths = [path for folder in folders for path in folder.glob('*.pth')]
    candidates = [path for path in paths if named.fullmatch(path.name)]
    candidates.sort(key=lambda path: int(path.stem.split('_')[1]), reverse=True)
    if last:
        candidates.insert(0, folders[-1] / Path(last).name)
    candidates = [path for path in dict.fromkeys(candidates) if path.is_file()]
    if last and not candidates:
        raise UserError(
            f'{note} names {last}, which is not there: name it, --resume PATH or URL, or '
            'remove that note to start anew'
        )
    broken: list[str] = []
    for path in candidates:
        if is_whole(path):
            if broken:
                text = f'{", ".join(broken)} was cut short; resuming from {path.name}, the '
                print_log(f'{text}last whole checkpoint', 'current', level=30)
            return path
        broken.append(path.name)
    if broken:
        raise UserError(
            f'no checkpoint in {work_dir} is whole ({", ".join(broken)}): remove them '
            'and start without --resume'
        )
    return None


def set_aside(work_dir: str | os.PathLike) -> Path | None:
    """Move the checkpoints of an earlier training into a folder; return it or None."""
    work_dir = Path(work_dir)
    named = re.compile(r'(.*_)?(epoch|iter)_\d+\.pth')  # best_coco_bbox_mAP_epoch_3.pth
    earlier = [path for path in work_dir.glob('*.pth') if named.fullmatch(path.name)]
    if not earlier:
        return None
    folder = work_dir / time.strftime('earlier_%Y%m%d_%H%M%S')
    folder.mkdir(exist_ok=True)
    for path in [*earlier, work_dir / 'last_checkpoint']:
        if path.exists():
            path.rename(folder / path.name)
    return folder


def read_checkpoint(source: str) -> dict[str, Any]:
    """Read a checkpoint of mmengine, timm, the release, MindSpore or safetensors.

    Nothing in it is executed, so mmengine's own reader can have the file afterwards.
    Before torch 2.6 files of torch are read by mmengine, which executes what they hold.

    Raises:
        UserError: If it is missing, cut short, no weight file, or would run code.
    """
    if not HAS_SAFE_GLOBALS:
        with local_path(source) as path:
            if format_of(path, source) == TORCH:
                with path.open('rb') as file:
                    is_zip = file.read(2) == b'PK'
                if is_zip and not is_whole(path):
                    raise UserError(f'{source}: is cut short or damaged')
                return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    file = read(source)
    return dict(file.content) if file.container else dict(state_dict=dict(file.state))


def for_mmengine(source: str) -> str:
    """Return a path that mmengine can read: ``source``, or a copy that names it."""
    path = Path(source).expanduser()
    if path.is_file() and format_of(path, source) == TORCH:
        return source
    folder = tempfile.mkdtemp(prefix='mmghost-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, f'{os.path.basename(source)}.pth')
    torch.save({**read_checkpoint(source), 'mmghost_source': source}, path)
    return path


def _state(content: Mapping[str, Any]) -> dict[str, Tensor]:
    state = content.get('state_dict', content)
    return {unwrapped(name): value for name, value in state.items()}


def is_deployed(content: Mapping[str, Any]) -> bool:
    """Return True if a checkpoint holds a GhostNet in its deployed form."""
    return any(name.endswith('backbone.conv_stem.bias') for name in _state(content))


def check_fit(
    model: nn.Module, content: Mapping[str, Any], name: str, strict: bool = True
) -> None:
    """Load a checkpoint into a model and check that it belongs there.

    mmengine itself only warns. Toolboxes rename weights of their older versions while
    loading, so loading is the only way to know.

    Args:
        model: The model, not wrapped.
        content: The checkpoint.
        name: The name of the file, for the message.
        strict: Whether every tensor must be there, or those of the backbone alone, as
            for fine-tuning from the checkpoint of another task.

    Raises:
        UserError: If it does not fit.
    """
    state = _state(content)
    try:
        load_state_dict(model, state, strict=True)
        return
    except RuntimeError:  # whose message names every tensor
        fit = Fit(model.state_dict(), state)
    lost = [n for n in fit.misshapen + fit.missing if n.startswith('backbone.')]
    if fit.usable and not strict and not lost:
        print_log(f'checkpoint {name}: {fit}; the rest starts from random', 'current')
        return
    text = f'checkpoint {name} does not fit this model: {fit}'
    if {*lost} & {*fit.misshapen}:
        text += (
            '. The backbone in the file is of another width or kind than model.backbone '
            'of the config'
        )
    raise UserError(text)


def changes_at_resume(saved: str, now: str, name: str) -> str:
    """Return what changed in a config since a checkpoint was written, and what applies.

    Args:
        saved: The text of the config in the checkpoint.
        now: The text of the present one.
        name: The checkpoint.

    Returns:
        A message, empty if nothing changed.
    """
    diff = difflib.unified_diff(saved.splitlines(), now.splitlines(), n=0, lineterm='')
    start = r'[+-](?![+-]{2}|(load_from|resume|work_dir|launcher|visualizer) = )'
    changes = [line for line in diff if re.match(start, line)]
    if not changes or not saved:
        return ''
    more = [f'and {len(changes) - 40} lines more'] * (len(changes) > 40)
    return '\n'.join(
        [
            f'{name} was written with another config:',
            *changes[:40],
            *more,
            'These changes apply, but for optim_wrapper, param_scheduler and the seed: the '
            'checkpoint restores optimizer and schedule, lr goes on as planned then. For a '
            'new schedule start from its weights: --cfg-options '
            f'load_from={shlex.quote(name)}, without --resume',
        ]
    )
