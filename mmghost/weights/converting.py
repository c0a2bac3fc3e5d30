"""Write weight files: converted to other names, or published."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..version import __version__
from .loading import check_numbers
from .networks import infer_network
from .origins import HEAD, MINDSPORE, recognize, to_mmpretrain, to_release, unwrapped
from .reading import WeightFile, read

FORMS = ('mmpretrain', 'backbone', 'release')


def convert(
    source: str | os.PathLike,
    target: str | os.PathLike,
    form: str,
    prefix: str | None = None,
) -> dict[str, Any]:
    """Convert a weight file of any origin.

    Args:
        source: The file, see :func:`.reading.read`.
        target: The file to write with ``torch.save``.
        form: ``'mmpretrain'`` for an ImageClassifier (backbone and
            StackedLinearClsHead), ``'backbone'`` for the trunk alone, ``'release'`` for
            timm's names, of V1 and V2 also the authors', with the classifier.
        prefix: Prefix of the trunk's names, where a file has several networks.

    Returns:
        The ``meta`` that was written: version, width, origin, checksum of the source.

    Raises:
        WeightsError: If the source cannot be read or lacks the classifier of the form.
    """
    if form not in FORMS:
        raise WeightsError(f'form={form!r} must be one of {", ".join(FORMS)}')
    file = read(source)
    origin = recognize(file.state, file.source, prefix)
    network = infer_network(origin.state)
    if network.width is None:
        raise WeightsError(f'{file.source}: has the channels of no width of GhostNet')
    state = origin.state
    if form == 'backbone':
        state = {n: v for n, v in state.items() if not n.startswith(HEAD)}
    elif not all(f'{name}.weight' in state for name in HEAD):
        raise WeightsError(
            f'{file.source}: is {origin.kind} without the classifier that {form!r} '
            'has; use --to backbone'
        )
    else:
        state = to_mmpretrain(state) if form == 'mmpretrain' else to_release(state)
    meta = dict(
        model=f'GhostNetV{network.version}',
        widen_factor=network.width,
        origin=origin.kind,
        source=os.path.basename(file.source),
        source_sha256=file.sha256,
        ema='ema' in file.container,
    )
    if origin.kind == MINDSPORE and network.version == 2:
        meta['dfc'] = dict(upsample='bilinear', align_corners=True)
    # A file that was converted before keeps what was known of its source.
    meta.update(file.meta.get('mmghost_weights', {}))
    content = _content(file, state, mmghost_weights=meta)
    save(content, target, file.source)
    return content['meta']


def publish(source: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write the weights of a checkpoint alone, with their hash in the file's name.

    Averaged weights (EMA) are preferred. Optimizer, schedules and logs are left out.

    Args:
        source: A checkpoint of any toolbox and any model.
        target: The file to write; ``-`` and the first eight digits of its sha256 are
            put before ``.pth``.

    Returns:
        The file written.

    Raises:
        WeightsError: If the checkpoint cannot be read, or its values are not finite.
    """
    target = Path(target)
    if target.suffix != '.pth':
        raise WeightsError(f'{target}: the name of a published file must end in .pth')
    file = read(source)
    state = {unwrapped(str(name)): value for name, value in file.state.items()}
    keys = ('cfg', 'epoch', 'iter', 'mmengine_version', 'mmghost_weights')
    meta = {key: file.meta[key] for key in keys if key in file.meta}
    partial = target.with_name(f'.{target.name}')
    save(_content(file, state, source_sha256=file.sha256, **meta), partial, file.source)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    stem = target.stem.removesuffix(f'-{file.sha256[:8]}')  # of a file published before
    return partial.replace(target.with_name(f'{stem}-{digest[:8]}.pth'))


def _content(file: WeightFile, state: dict[str, Tensor], **meta: Any) -> dict[str, Any]:
    """Return what is written: finite weights, and the names of the classes."""
    state = {
        # Contiguous and apart: a view would bring its whole storage into the file.
        name: value.detach().clone().contiguous()
        for name, value in state.items()
        if isinstance(value, Tensor)
        and not name.endswith(('total_ops', 'total_params'))
    }
    numbers = {name: v for name, v in state.items() if v.is_floating_point()}
    check_numbers(numbers, file.source)
    if 'dataset_meta' in file.meta:
        meta['dataset_meta'] = file.meta['dataset_meta']
    return dict(meta=dict(meta, mmghost_version=__version__), state_dict=state)


def save(content: dict[str, Any], target: str | os.PathLike, source: str) -> None:
    """Write a file with ``torch.save``, the whole file or none, but not the source."""
    target = Path(target)
    if os.path.exists(source) and target.exists() and target.samefile(source):
        raise WeightsError(f'{target}: is the source itself; write to another file')
    partial = target.with_name(f'{target.name}.partial')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, partial)
        partial.replace(target)
    except (OSError, RuntimeError) as error:  # torch's, as on a full disk
        with suppress(OSError):
            partial.unlink()
        raise WeightsError(f'{target}: cannot be written: {error}') from error
