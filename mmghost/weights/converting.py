"""Rewrite a weight file under other names, without building the network."""

import os
from pathlib import Path
from typing import Any

import torch

from ..errors import examples
from ..version import __version__
from .errors import WeightsError
from .loading import check_numbers
from .networks import LAST_GROUP, Network, describe, expected
from .origins import HEAD, Origin, recognise, to_mmpretrain
from .reading import MINDSPORE, WeightFile, read

FORMS = ('mmpretrain', 'backbone', 'release')


def convert(
    source: str | os.PathLike,
    target: str | os.PathLike,
    form: str,
    prefix: str | None = None,
) -> dict[str, Any]:
    """Convert a weight file of any origin.

    Args:
        source: See :func:`mmghost.weights.load_pretrained`.
        target: The file to write, one of torch.
        form: ``'mmpretrain'`` for an ImageClassifier's (backbone, and
            StackedLinearClsHead), ``'backbone'`` for the trunk alone, ``'release'`` for
            the names of the authors' release and timm, with the classifier.
        prefix: What the names of the trunk begin with, in a file with several networks.

    Returns:
        What was written beside the weights: version, width, origin, sha256 of the
        source and so on.

    Raises:
        WeightsError: If the source cannot be used, or has no classifier where the form
            needs one.
    """
    if form not in FORMS:
        raise WeightsError(f'form={form!r}: it is one of {", ".join(FORMS)}')
    file = read(source)
    origin = recognise(file.state, file.source, prefix)
    network = describe(origin.state)
    _check(file, origin, network, form)
    state = dict(origin.state)
    if form == 'backbone':
        state = {n: v for n, v in state.items() if not n.startswith(HEAD)}
    elif form == 'mmpretrain':
        state = to_mmpretrain(state)
    meta = _meta(file, origin, network)
    # Contiguous and apart: a view would drag its whole storage into the file.
    state = {name: value.clone().contiguous() for name, value in state.items()}
    save({'meta': meta, 'state_dict': state}, target, file.source)
    return meta


def _check(file: WeightFile, origin: Origin, network: Network, form: str) -> None:
    counters = {n for n in origin.state if n.endswith('num_batches_tracked')}
    weights = {n: v for n, v in origin.state.items() if n not in counters}
    check_numbers(weights, file.source)
    if network.width is None or not network.groups:
        raise WeightsError(
            f'{file.source}: its channels are those of no width of GhostNet, so it '
            'cannot be told whether it is whole'
        )
    try:
        wanted = expected(network)
    except ValueError as error:
        raise WeightsError(f'{file.source}: is no {network.name}: {error}') from None
    lacks = [
        n
        for n, shape in wanted.items()
        if n not in weights or weights[n].shape != shape
    ]
    known = {*wanted, *(f'{n}.{leaf}' for n in HEAD for leaf in ('weight', 'bias'))}
    unknown = [n for n in weights if n not in known]
    if lacks or unknown:
        what = f'lacks {examples(lacks)}' if lacks else f'has also {examples(unknown)}'
        raise WeightsError(f'{file.source}: is no whole {network.name}: it {what}')
    if form != 'backbone' and (not origin.has_head or network.groups <= LAST_GROUP):
        raise WeightsError(
            f'{file.source}: is {origin.kind}, without the classifier that the form '
            f'{form!r} has; use --to backbone'
        )


def _meta(file: WeightFile, origin: Origin, network: Network) -> dict[str, Any]:
    """What travels along; a file that was converted before keeps what it knew."""
    before = file.meta.get('mmghost_weights')
    meta = {
        'model': 'GhostNetV2' if network.has_dfc else 'GhostNetV1',
        'widen_factor': network.width,
        'origin': origin.kind,
        'source': os.path.basename(file.source),
        'source_sha256': file.sha256,
        'ema': 'ema' in file.container,
    }
    if file.format == MINDSPORE and network.has_dfc:
        meta['dfc'] = dict(upsample='bilinear', align_corners=True)
    if isinstance(before, dict):
        meta = {**meta, **before}
    kept = {k: file.meta[k] for k in ('dataset_meta',) if k in file.meta}
    return {**kept, 'mmghost_weights': meta, 'mmghost_version': __version__}


def save(content: dict[str, Any], target: str | os.PathLike, source: str) -> None:
    """Write a file of torch, whole or not at all.

    Raises:
        WeightsError: If it would overwrite its source, or cannot be written.
    """
    target = Path(target)
    if '://' not in source and target.exists() and target.samefile(source):
        raise WeightsError(f'{target}: is the source itself; write to another file')
    partial = target.with_name(f'{target.name}.partial')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, partial)
        partial.replace(target)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, 'strerror', None) or str(error).splitlines()[0]
        raise WeightsError(f'{target}: cannot be written: {reason}') from None
