"""Write files for each runtime, compared with the toolbox before they are kept."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from mmengine.config import Config

from ..engine.predict import Predictor
from ..errors import UserError
from ..models.folding import fold
from ..models.ghostnet import GhostNet
from ..version import __version__
from .converters import OPSET, TARGETS, check_packages, write_metadata
from .graphs import Graph, TwoStageGraph, build_graph, keep_sizes_free
from .metadata import infer_metadata
from .padding import PaddedGhostNet
from .parity import Comparison, compare
from .portable import PortableGraph, use_branches
from .runtime.images import up_to
from .runtime.metadata import FileError, ModelMetadata
from .runtime.runner import Runner

OPSETS = range(11, 21)


class Export(NamedTuple):
    """A file that was written.

    Args:
        path: The file.
        metadata: Its metadata.
        comparisons: How it was checked.
    """

    path: str
    metadata: ModelMetadata
    comparisons: list[Comparison]


def export_files(
    cfg: Config,
    checkpoint: str,
    targets: Sequence[str],
    out: str,
    size: tuple[int, int] | None = None,
    raw: bool = False,
    fixed: int | None = None,
    opset: int = OPSET,
) -> Iterator[Export]:
    """Export a trained model, and compare each file with the toolbox.

    ONNX and OpenVINO get the whole model, for images of any size. The files of the others
    take one image of one size, and leave NMS and the resizing of logits to the runtime.

    Args:
        cfg: The config, of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        targets: Some of ``TARGETS``.
        out: The folder; ``parity.json`` in it says how each file was compared. For ONNX
            alone also a file, ``.onnx``.
        size: Height and width of the input, of files that take one size the only one;
            default: from the test pipeline.
        raw: Files of ONNX and OpenVINO as those of the others.
        fixed: Files of ONNX and OpenVINO take so many images, of one size only.
        opset: Version of ONNX's operators, of ONNX and OpenVINO.

    Yields:
        Each file, when it has been written.

    Raises:
        UserError: If a converter is missing, a runtime cannot express the model, or a
            file computes something else; it is not kept then.
    """
    single = out.endswith('.onnx')
    if single and list(targets) != ['onnx']:
        raise UserError(f'--out {out}: name a folder for --to {" ".join(targets)}')
    if opset not in OPSETS:
        raise UserError(f'--opset {opset}: must be {OPSETS[0]} to {OPSETS[-1]}')
    for target in targets:
        check_packages(target)
    trained = Predictor(cfg, checkpoint, 'cpu')
    origin = dict(
        config=os.path.basename(cfg.filename or ''),
        checkpoint=os.path.basename(checkpoint),
        mmghost=__version__,
        torch=torch.__version__.split('+')[0],
    )
    for target in targets:
        path = Path(out) if single else Path(out, TARGETS[target].file)
        export = export_file(trained, target, path, origin, size, raw, fixed, opset)
        if not single:
            parity = Path(out, 'parity.json')
            known = json.loads(parity.read_text()) if parity.exists() else {}
            known[path.name] = [c._asdict() for c in export.comparisons]
            parity.write_text(json.dumps(known, indent=2))
        yield export


def export_file(
    trained: Predictor,
    target: str,
    path: Path,
    origin: dict[str, str],
    size: tuple[int, int] | None,
    raw: bool,
    fixed: int | None,
    opset: int,
) -> Export:
    """Write the file for one runtime; see :func:`export_files`."""
    into = TARGETS[target]
    portable = into.portable or raw
    batch = 1 if portable else fixed  # None: of any size
    model = deepcopy(trained.model)
    fold(model)
    net = getattr(model, 'backbone', None)
    if into.branches and isinstance(net, GhostNet):
        use_branches(net)
    # In files of any size the gates are resized outside the blocks: nothing is gained.
    if into.padded and batch and isinstance(net, GhostNet) and net.deploy:
        model.backbone = PaddedGhostNet(net)
    keep_sizes_free(model)
    graph = build_graph(model, trained.scope)
    metadata = infer_metadata(trained.cfg, trained.model, graph.task)
    size = input_size(metadata, size, bool(batch))
    sizes = list(size) if batch else None
    metadata = replace(metadata, origin=origin, size=sizes, batch=batch)
    if portable:
        graph = PortableGraph(graph, size).eval()
        names = list(graph.outputs)
        metadata = replace(metadata, outputs=names, decoding=graph.decoding)
    elif isinstance(graph, TwoStageGraph) and opset < 16:
        raise UserError(
            f'--opset {opset}: the RoIAlign of two-stage detectors is in 16 and later'
        )
    inputs = example(graph, (batch or 2, *size))
    with unfinished(path) as partial:
        try:
            into.convert(graph, inputs, partial, metadata, opset)
        except (UserError, OSError):
            raise
        except Exception as error:  # each converter has classes of its own
            raise UserError(f'{target} cannot express this model: {error}') from error
        if into.portable:
            write_metadata(partial, metadata)
        reference, sizes = graph if portable else None, check_sizes(metadata, size)
        try:
            comparisons = compare(trained.model, reference, Runner(partial), sizes)
        except FileError as error:
            raise UserError(f'the exported file does not run: {error}') from error
        wrong = '; '.join(
            f'{c.result} at batch {c.size[0]}, {c.size[1]}x{c.size[2]} px'
            for c in comparisons
            if not c.close
        )
        if wrong:
            raise UserError(
                f'the exported file does not compute what the model does: {wrong}. It was '
                'not kept'
            )
    return Export(str(path), metadata, comparisons)


@contextmanager
def unfinished(path: Path) -> Iterator[str]:
    """Yield where to write a file; it is kept, with those beside it, without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.partial') as folder:
        yield f'{folder}/{path.name}'
        for part in Path(folder).iterdir():
            part.replace(path.parent / part.name)


def input_size(
    metadata: ModelMetadata, size: tuple[int, int] | None, fixed: bool
) -> tuple[int, int]:
    """Return the height and width of the trace.

    Raises:
        UserError: If the size given, or that of the test pipeline, is too small or does
            not fit the padding.
    """
    least, divisor = metadata.least_side, metadata.pad_divisor
    source = '--size'
    if size is None:
        # Small, to be quick: the file is as right at other sizes.
        size = tuple(up_to(max(side, least), divisor) for side in (256, 320))
        for step in metadata.steps:
            made = step.get('crop_size') or step.get('scale')
            crops = step['op'] == 'CenterCrop'
            resizes = step['op'] == 'Resize' and (fixed or not step['keep_ratio'])
            if crops or resizes:
                size = tuple(up_to(side, divisor) for side in made[::-1])
                source = 'the test pipeline makes images of'
            elif step['op'] == 'Pad' and fixed:
                n, (wide, high) = step['size_divisor'] or 1, step['size'] or (0, 0)
                padded = [up_to(max(pair), n) for pair in zip(size, (high, wide))]
                size = tuple(up_to(side, divisor) for side in padded)
    if min(size) < least or any(side % divisor for side in size):
        raise UserError(
            f'{source} {size[0]} {size[1]}: must be multiples of {divisor} from {least} px '
            'up, because GhostNetV2 pools smaller maps in another way, which a trace does '
            'not see; give another --size or, to train, a smaller model.backbone.dfc.ratio'
        )
    return tuple(size)


def check_sizes(
    metadata: ModelMetadata, size: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Return batches, heights and widths at which a file is compared."""
    if metadata.batch is not None:
        return [(metadata.batch, *size)]
    height, width = size
    sizes = [(1, height, width), (1, width, height), (3, 96, 160), (1, 224, 448)]
    if metadata.task in ('segmentation', 'classification'):  # nothing is padded
        sizes.append((2, 131, 181))
    least = up_to(metadata.least_side, 32)
    return list(dict.fromkeys((n, max(h, least), max(w, least)) for n, h, w in sizes))


def example(graph: Graph, size: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    """Return inputs of a graph for a batch, height and width."""
    n, height, width = size
    known = dict(
        image=torch.randn(n, 3, height, width),
        image_size=torch.tensor([[height, width]] * n, dtype=torch.float32),
        scale_factor=torch.full((n, 2), 0.5),
    )
    if graph.task == 'segmentation':
        known['image_size'] = torch.tensor([height - 8, width - 8])
        known['original_size'] = torch.tensor([height + 32, width + 64])
    return tuple(known[name] for name in graph.inputs)
