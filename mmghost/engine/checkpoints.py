"""Checkpoints as files: are they whole, are they plain tensors, do they fit the model?"""

import os
import re
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch._weights_only_unpickler
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner, load_state_dict
from torch import Tensor, nn

from ..errors import UserError, examples, why_no_file
from ..weights.pickle_names import globals_in
from ..weights.pickles import BOOKKEEPING, is_trusted, would_run
from ..weights.reading import holds_no_code

# mmengine names them so, also with a prefix of one's own (`best_coco_bbox_mAP_epoch_3`).
_NAME = re.compile(r'(?:.*_)?(?:epoch|iter)_(\d+)\.pth$')


def is_whole(path: str | os.PathLike) -> bool:
    """Tell whether a checkpoint was written to its end, by the sums in the file.

    A file in torch's format of before 2020, which has none, passes if it is not empty.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile has many words for damage
        pass
    try:
        with path.open('rb') as file:
            head = file.read(2)
    except OSError:
        return False
    return bool(head) and head != b'PK'


def last_whole(work_dir: str | os.PathLike) -> Path | None:
    """Find the checkpoint to go on from.

    Args:
        work_dir: Folder of a training.

    Returns:
        The one that mmengine noted as the last; where that was cut short by a crash, the
        last one before it that is whole; None if there is none at all.

    Raises:
        UserError: If there are checkpoints, but none is whole.
    """
    work_dir = Path(work_dir)
    numbered = [
        (int(match[1]), path)
        for path in work_dir.glob('*.pth')
        if (match := re.match(r'(?:epoch|iter)_(\d+)\.pth$', path.name))
    ]
    candidates = [path for _, path in sorted(numbered, reverse=True)]
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        noted = Path(note.read_text().strip())
        beside = work_dir / noted.name
        if beside.is_file():  # the folder may have been moved since, or copied
            noted = beside
        candidates = [noted] + [path for path in candidates if path != noted]
    broken = []
    for path in candidates:
        if not path.is_file():
            continue
        if is_whole(path):
            if broken:
                print_log(
                    f'{", ".join(broken)} was cut short; resuming from {path.name}, the '
                    'last whole checkpoint',
                    'current',
                    level=30,
                )
            return path
        broken.append(path.name)
    if broken:
        raise UserError(
            f'no checkpoint in {work_dir} is whole ({", ".join(broken)}): remove them '
            'and start without --resume'
        )
    return None


def save_state(runner: Runner, file: str, done: int) -> None:
    """Save a checkpoint in the midst of a training, in the first process only.

    Args:
        runner: The runner.
        file: Name of the file in its work_dir.
        done: How many iterations it holds: resuming goes on with the next.
    """
    if is_main_process():
        runner.save_checkpoint(
            runner.work_dir, file, by_epoch=False, meta=dict(iter=done)
        )


def set_aside(work_dir: str | os.PathLike) -> Path | None:
    """Move the checkpoints of an earlier training out of the way of a new one.

    Args:
        work_dir: Folder of the training about to begin.

    Returns:
        Where they are now, or None if there were none.
    """
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


def foreign_code(path: str | os.PathLike) -> set[str]:
    """Name what a checkpoint would call when it is read, beside plain data.

    Nothing is unpickled. A name here is not yet an attack, but reading the file runs it.

    Args:
        path: The file, in torch's present (zip) or earlier format.
    """
    plain = BOOKKEEPING | torch._weights_only_unpickler._get_allowed_globals().keys()
    return set(globals_in(Path(path))) - plain


def check_file(path: str, what: str = 'checkpoint') -> None:
    """Check that a checkpoint can be read, before anything else takes time.

    This is for a refusal in time and in plain words. What keeps a crafted file from
    running is the reader, :func:`mmghost.weights.pickles.load_training`.

    Args:
        path: A file; a URL is looked at when it has been fetched.
        what: What it is called in the message.

    Raises:
        UserError: If it is missing, cut short, no checkpoint, or would run code.
    """
    if '://' in path:
        return
    path = os.path.expanduser(path)  # as all do that read it
    if not os.path.isfile(path):
        raise UserError(f'{what} {path}: {why_no_file(path)}')
    if holds_no_code(Path(path)):
        return  # MindSpore's or safetensors, which mmghost reads for mmengine
    if not is_whole(path):
        other = last_whole_beside(path)
        raise UserError(
            f'{what} {path} was cut short or is damaged ({os.path.getsize(path)} bytes)'
            + (f'; {other} is whole' if other else '')
        )
    try:
        code = foreign_code(path)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError, EOFError) as error:
        raise UserError(
            f'{what} {path} is not a checkpoint of torch: {error}'
        ) from None
    if code and not is_trusted():
        raise UserError(would_run(f'{what} {path}', sorted(code)))


def last_whole_beside(path: str) -> str | None:
    """The last whole checkpoint in the folder of another, if there is one."""
    try:
        found = last_whole(Path(path).parent)
    except UserError:
        return None
    return str(found) if found else None


@dataclass
class Fit:
    """How a state dict and a model compare.

    Args:
        total: Tensors of the model.
        missing: Names that only the model has.
        unexpected: Names that only the file has.
        mismatched: Names in both, with the shape in the file and in the model.
    """

    total: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple, tuple]] = field(default_factory=dict)

    @property
    def loaded(self) -> int:
        """Number of the model's tensors that the file has in the right shape."""
        return self.total - len(self.missing) - len(self.mismatched)

    def __bool__(self) -> bool:
        """Whether file and model have the same tensors."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """What differs, with examples."""
        parts = [f'{self.loaded} of {self.total} tensors fit']
        if self.mismatched:
            name, (theirs, ours) = next(iter(self.mismatched.items()))
            parts.append(
                f'{len(self.mismatched)} have another shape ({name} is {theirs} in the '
                f'file, {ours} in the model)'
            )
        if self.missing:
            parts.append(f'the file lacks {examples(self.missing)}')
        if self.unexpected:
            parts.append(f'the model has no {examples(self.unexpected)}')
        return '; '.join(parts)


def state_dict_of(checkpoint: Mapping) -> dict[str, Tensor]:
    """The weights in what a checkpoint file holds, without DDP's ``module.``."""
    state = checkpoint.get('state_dict', checkpoint)
    return {re.sub(r'^module\.', '', name): value for name, value in state.items()}


def compare(model: nn.Module, state: Mapping[str, Tensor]) -> Fit:
    """Compare a state dict with a model.

    Toolboxes rename the weights of their older versions while they load them, and only a
    load tells: where names differ but no shape does, the model has the weights afterwards.

    Args:
        model: The model, not wrapped.
        state: The state dict, see :func:`state_dict_of`.

    Returns:
        The differences; none if there are some that the model's own classes know how to
        mend.
    """
    ours = {
        name: value
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    theirs = {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and not name.endswith('num_batches_tracked')
    }
    fit = Fit(
        total=len(ours),
        missing=[name for name in ours if name not in theirs],
        unexpected=[name for name in theirs if name not in ours],
        mismatched={
            name: (tuple(theirs[name].shape), tuple(value.shape))
            for name, value in ours.items()
            if name in theirs and theirs[name].shape != value.shape
        },
    )
    if fit or fit.mismatched:
        return fit
    try:
        load_state_dict(model, dict(state), strict=True)
    except RuntimeError:
        return fit
    return Fit(total=len(ours))


def check_fit(
    model: nn.Module, checkpoint: Mapping, name: str, strict: bool = True
) -> None:
    """Check that a checkpoint belongs to a model; mmengine itself only warns.

    The model is to load it next: it may have the form and the weights of it afterwards.

    Args:
        model: The model, not wrapped.
        checkpoint: What the file holds.
        name: The file's name, for the message.
        strict: Whether every tensor must be there. If not, as for fine-tuning from
            another task's checkpoint, the backbone's must, and the rest is reported.

    Raises:
        UserError: If it does not fit.
    """
    from ..weights.adapting import adopt_form  # which imports this package

    adopt_form(model, state_dict_of(checkpoint), name, trains=not strict)
    fit = compare(model, state_dict_of(checkpoint))
    if fit:
        return
    backbone = [n for n in (*fit.mismatched, *fit.missing) if n.startswith('backbone.')]
    if strict or backbone or not fit.loaded:
        advice = ''
        if any(n.startswith('backbone.') for n in fit.mismatched):
            advice = (
                ' The backbone in the file is of another width or kind than '
                'model.backbone of the config.'
            )
        raise UserError(f'checkpoint {name} is not one of this model: {fit}.{advice}')
    print_log(f'checkpoint {name}: {fit}; what it lacks starts from random', 'current')
