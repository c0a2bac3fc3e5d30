"""Checkpoints: whether a file is whole, how mmengine reads it, whether it fits a model."""

import atexit
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, Runner, load_state_dict
from mmengine.utils import digit_version
from torch import Tensor, nn

from ..checks.problems import near_file
from ..errors import UserError, examples
from ..weights.reading import read

# mmengine's names, also with a prefix (`best_coco_bbox_mAP_epoch_3.pth`).
_NAME = re.compile(r'(?:.*_)?(?:epoch|iter)_(\d+)\.pth$')
_COUNTER = 'num_batches_tracked'


def is_whole(path: str | os.PathLike) -> bool:
    """Return True if a checkpoint was written to its end, by the checksums in the file.

    The format of torch before 2020 has no checksums: such a file passes if not empty.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises many kinds of errors for a damaged file
        return _head(path) not in (b'', b'PK')


def _head(path: str | os.PathLike) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(2)
    except OSError:
        return b''


def last_whole(work_dir: str | os.PathLike) -> Path | None:
    """Return the checkpoint to resume from, or None if the folder has none.

    It is the one that mmengine noted as the last. If a crash cut that short, it is the
    latest one before it that is whole.

    Raises:
        UserError: If there are checkpoints, but none is whole.
    """
    work_dir = Path(work_dir)
    found = [p for p in work_dir.glob('*.pth') if re.match('(epoch|iter)_', p.name)]
    numbers = {path: int(m[1]) for path in found if (m := _NAME.match(path.name))}
    candidates = sorted(numbers, key=numbers.get, reverse=True)
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        noted = Path(note.read_text().strip())
        beside = work_dir / noted.name  # the folder may have been moved or copied
        candidates.insert(0, beside if beside.is_file() else noted)
    broken: dict[str, None] = {}
    for path in filter(Path.is_file, candidates):
        if is_whole(path):
            if broken:
                print_log(
                    f'{", ".join(broken)} was cut short; resuming from {path.name}, the '
                    'last whole checkpoint',
                    'current',
                    level=30,
                )
            return path
        broken[path.name] = None
    if broken:
        raise UserError(
            f'no checkpoint in {work_dir} is whole ({", ".join(broken)}): remove them '
            'and start without --resume'
        )
    return None


def save_state(runner: Runner, file: str, done: int) -> None:
    """Save a checkpoint after ``done`` iterations, in the first process only."""
    if is_main_process():
        meta = dict(iter=done)
        runner.save_checkpoint(runner.work_dir, file, by_epoch=False, meta=meta)


def set_aside(work_dir: str | os.PathLike) -> Path | None:
    """Move the checkpoints of an earlier training into a folder; return it or None."""
    work_dir = Path(work_dir)
    earlier = [path for path in work_dir.glob('*.pth') if _NAME.match(path.name)]
    if not earlier:
        return None
    folder = work_dir / time.strftime('earlier_%Y%m%d_%H%M%S')
    folder.mkdir(exist_ok=True)
    for path in [*earlier, work_dir / 'last_checkpoint']:
        if path.exists():
            path.rename(folder / path.name)
    return folder


def check_file(path: str, what: str = 'checkpoint') -> None:
    """Check that a checkpoint, if it is no URL, is there and whole.

    Raises:
        UserError: If it is missing, a folder, or cut short.
    """
    if '://' in path:
        return
    file = Path(path).expanduser()
    if file.is_dir():
        raise UserError(f'{what} {path}: is a folder; name a file in it')
    if not file.is_file():
        hint = near_file(str(file))
        raise UserError(f'{what} {path}: there is no such file{hint}')
    if not is_whole(file):
        raise UserError(
            f'{what} {path}: was cut short or is damaged ({file.stat().st_size} bytes)'
        )


def is_torch_file(source: str) -> bool:
    """Return True if mmengine can read a checkpoint: a file of torch, or most URLs."""
    if '://' in source:
        return not source.endswith(('.ckpt', '.safetensors'))
    return _head(Path(source).expanduser())[:1] in (b'P', b'\x80')  # zip, pickle


def read_checkpoint(source: str) -> dict[str, Any]:
    """Read a checkpoint of mmengine, timm, the release, MindSpore or safetensors.

    Nothing in it is executed, so mmengine's own reader can have the file afterwards.
    Before torch 2.6 a checkpoint of a training can only be read by mmengine's.

    Raises:
        UserError: If it is missing, cut short, no weight file, or would run code.
    """
    check_file(source)
    if is_torch_file(source) and digit_version(torch.__version__) < digit_version(
        '2.6'
    ):
        return CheckpointLoader.load_checkpoint(source, map_location='cpu')
    file = read(source)
    return dict(file.content) if file.container else dict(state_dict=dict(file.state))


def for_mmengine(source: str, content: dict[str, Any]) -> str:
    """Return a path that mmengine can read: ``source``, or a temporary copy."""
    if is_torch_file(source):
        return source
    folder = tempfile.mkdtemp(prefix='mmghost-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, f'{os.path.basename(source)}.pth')
    torch.save(content, path)
    return path


def is_deployed(content: Mapping[str, Any]) -> bool:
    """Return True if a checkpoint holds a GhostNet in its deployed form."""
    return any(n.endswith('backbone.conv_stem.bias') for n in state_dict_of(content))


def state_dict_of(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights in a checkpoint, without the ``module.`` of DDP."""
    state = content.get('state_dict', content)
    return {re.sub(r'^module\.', '', name): value for name, value in state.items()}


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
    state = state_dict_of(content)
    ours = model.state_dict()
    counters = {n: value for n, value in ours.items() if n.endswith(_COUNTER)}
    try:
        load_state_dict(model, counters | state, strict=True)
        return
    except RuntimeError:
        pass  # the message names every tensor
    wanted = ours.keys() - counters
    missing = sorted(wanted - state.keys())
    unknown = sorted(n for n in state.keys() - ours.keys() if not n.endswith(_COUNTER))
    shapes = {
        n: (tuple(state[n].shape), tuple(ours[n].shape)) for n in wanted & state.keys()
    }
    misshapen = sorted(n for n, (a, b) in shapes.items() if a != b)
    loaded = len(shapes) - len(misshapen)
    text = f'{loaded} of {len(wanted)} tensors fit'
    if misshapen:
        a, b = shapes[misshapen[0]]
        text += (
            f'; {len(misshapen)} have another shape ({misshapen[0]} is {a} in the file, '
            f'{b} in the model)'
        )
    if missing:
        text += f'; missing in the file: {examples(missing)}'
    if unknown:
        text += f'; unknown to the model: {examples(unknown)}'
    if (
        strict
        or not loaded
        or any(n.startswith('backbone.') for n in misshapen + missing)
    ):
        if any(n.startswith('backbone.') for n in misshapen):
            text += (
                '. The backbone in the file is of another width or kind than '
                'model.backbone of the config'
            )
        raise UserError(f'checkpoint {name} does not fit this model: {text}')
    print_log(f'checkpoint {name}: {text}; the rest starts from random', 'current')
