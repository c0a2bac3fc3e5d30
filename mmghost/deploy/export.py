"""Write files for each runtime, compared with the toolbox before they are kept."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmengine.config import Config

from ..engine.predict import Predictor
from ..errors import UserError
from ..models import DFCAttention
from ..models.folding import fold
from ..models.ghostnet import GhostNet
from ..version import __version__
from .converters import OPSET, TARGETS, check_packages, write_metadata
from .graphs import Graph, TwoStageGraph, build_graph
from .metadata import infer_metadata
from .padding import PaddedGhostNet
from .parity import Comparison, compare
from .portable import PortableGraph, use_branches
from .runtime.images import up_to
from .runtime.metadata import FileError, ModelMetadata
from .runtime.runner import Runner

OPSETS = range(11, 21)
ROI_ALIGN_OPSET = 16


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


@dataclass(frozen=True)
class Options:
    """How files are exported; all but ``size`` is for ONNX and OpenVINO.

    Args:
        size: Height and width of the input, of files that take one size the only one;
            default: from the test pipeline.
        raw: Without postprocessing: the outputs of the head.
        fixed: Take one size and batch only.
        batch: With ``fixed`` the only batch.
        opset: Version of ONNX's operators.

    Raises:
        UserError: If a value is wrong.
    """

    size: tuple[int, int] | None = None
    raw: bool = False
    fixed: bool = False
    batch: int = 1
    opset: int = OPSET

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.batch > 1 and not self.fixed):
            raise UserError(
                f'--batch {self.batch}: must be at least 1, and 1 without --fixed'
            )
        if self.opset not in OPSETS:
            raise UserError(
                f'--opset {self.opset}: must be {OPSETS[0]} to {OPSETS[-1]}'
            )


def export_files(
    cfg: Config,
    checkpoint: str,
    targets: Sequence[str],
    out: str,
    options: Options | None = None,
    note: Callable[[str], None] = print,
) -> list[Export]:
    """Export a trained model, and compare each file with the toolbox.

    ONNX and OpenVINO get the whole model, for images of any size. The others get one
    image of one size, and leave NMS and the resizing of logits to the runtime.

    Args:
        cfg: The config, of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        targets: Some of ``TARGETS``.
        out: The folder; ``parity.json`` in it says how each file was compared. For ONNX
            alone also a file, ``.onnx``.
        options: How.
        note: Called with the name of each file that was written.

    Raises:
        UserError: If a converter is missing, a runtime cannot express the model, or a
            file computes something else; it is not kept then.
    """
    single = out.endswith('.onnx')
    if single and list(targets) != ['onnx']:
        raise UserError(f'--out {out}: name a folder for --to {" ".join(targets)}')
    for target in targets:
        check_packages(target)
    source = Source(cfg, checkpoint)
    exports = []
    for target in targets:
        path = Path(out) if single else Path(out, TARGETS[target].file)
        exports.append(export_file(source, target, path, options or Options()))
        note(exports[-1].path)
        if not single:
            parity = Path(out, 'parity.json')
            known = json.loads(parity.read_text()) if parity.exists() else {}
            known[path.name] = [c._asdict() for c in exports[-1].comparisons]
            parity.write_text(json.dumps(known, indent=2))
    return exports


def export_file(source: 'Source', target: str, path: Path, options: Options) -> Export:
    """Write the file for one runtime; see :func:`export_files`."""
    into = TARGETS[target]
    if into.portable and (options.raw or options.batch > 1):
        raise UserError(f'--raw and --batch go with onnx and openvino, not {target}')
    model = deepcopy(source.folded)
    net = getattr(model, 'backbone', None)
    if into.branches and isinstance(net, GhostNet):
        use_branches(net)
    # In files of any size the gates are resized outside the blocks: nothing is gained.
    if into.padded and options.fixed and isinstance(net, GhostNet) and net.deploy:
        model.backbone = PaddedGhostNet(net)
    graph = build_graph(model, source.scope, options.raw)
    if isinstance(graph, TwoStageGraph) and options.opset < ROI_ALIGN_OPSET:
        raise UserError(
            f'--opset {options.opset}: the RoIAlign of two-stage detectors is in '
            f'{ROI_ALIGN_OPSET} and later'
        )
    metadata = replace(source.metadata(graph.task), raw=options.raw)
    fixed = options.fixed or into.portable
    size = input_size(metadata, options.size, fixed)
    if fixed:
        metadata = replace(metadata, size=list(size), batch=options.batch)
    if into.portable:
        graph = PortableGraph(graph, size).eval()
        names = list(graph.outputs)
        metadata = replace(metadata, outputs=names, decoding=graph.decoding)
    else:
        metadata.origin.update(opset=options.opset)
    inputs = example(graph, (options.batch if fixed else 2, *size))
    reference = graph if into.portable else None
    if options.raw:
        reference = build_graph(source.model, source.scope, raw=True)
    with unfinished(path) as partial:
        try:
            into.convert(graph, inputs, partial, metadata)
        except UserError:
            raise
        except Exception as error:  # each converter has classes of its own
            raise UserError(f'{target} cannot express this model: {error}') from error
        if into.portable:
            write_metadata(partial, metadata)
        sizes = check_sizes(metadata, size)
        comparisons = check(source.model, reference, partial, sizes)
    return Export(str(path), metadata, comparisons)


@contextmanager
def unfinished(path: Path) -> Iterator[str]:
    """Yield where to write a file; it is kept, with those beside it, without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.partial') as folder:
        yield f'{folder}/{path.name}'
        for part in Path(folder).iterdir():
            part.replace(path.parent / part.name)


class Source:
    """A trained model, and a copy with batch norms folded.

    Args:
        cfg: Its config.
        checkpoint: Its weights, a file or a URL.
    """

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        predictor = Predictor(cfg, checkpoint, 'cpu')
        self.cfg, self.scope, self.model = (
            predictor.cfg,
            predictor.scope,
            predictor.model,
        )
        self.folded = deepcopy(self.model).eval()
        fold(self.folded)
        self.origin = dict(
            config=os.path.basename(cfg.filename or ''),
            checkpoint=os.path.basename(checkpoint),
            mmghost=__version__,
            torch=torch.__version__.split('+')[0],
        )

    def metadata(self, task: str) -> ModelMetadata:
        """Return the metadata of a file for any size."""
        more = {}
        if task == 'instance segmentation':
            threshold = self.model.roi_head.test_cfg.get('mask_thr_binary', 0.5)
            more = dict(mask_threshold=float(threshold))
        least = least_side(self.model)
        more.update(task=task, least_side=least, origin=dict(self.origin))
        return infer_metadata(self.cfg, self.model, **more)


def least_side(model: nn.Module) -> int:
    """Return the smallest side of an image, in px, for which a trace is right.

    A map smaller than DFC attention's pooling window is pooled whole; a trace knows only
    what happened to the map that it saw. The smallest map has a stride of 32, whatever
    the output stride.
    """
    ratios = [m.ratio for m in model.modules() if isinstance(m, DFCAttention)]
    return 32 * (max(ratios, default=1) - 1) + 1


def input_size(
    metadata: ModelMetadata, size: tuple[int, int] | None, fixed: bool
) -> tuple[int, int]:
    """Return the height and width of the trace.

    Raises:
        UserError: If the size given, or that of the test pipeline, is too small or does
            not fit the padding.
    """
    least, divisor = metadata.least_side, metadata.pad_divisor
    if size is not None:
        if min(size) < least or any(side % divisor for side in size):
            raise UserError(
                f'--size {size[0]} {size[1]}: must be multiples of {divisor} from '
                f'{least} px up; GhostNetV2 pools smaller maps in another way, which a '
                'trace does not see'
            )
        return tuple(size)
    size = (256, 320)  # small, to be quick: the file is as right at other sizes
    for step in metadata.steps:
        if step['op'] == 'center_crop' or (fixed and step['op'] == 'resize'):
            size = step.get('size', step.get('scale'))[::-1]
    last = metadata.steps[-1] if metadata.steps else {'op': None}
    crops = last['op'] == 'center_crop'
    if crops or (last['op'] == 'resize' and not last['keep_ratio']):
        made = last['size' if crops else 'scale'][::-1]
        if up_to(min(made), divisor) < least and not metadata.raw:
            raise UserError(
                f'the test pipeline makes every image {made[0]}x{made[1]} px; below '
                f'{least} px GhostNetV2 pools the maps in another way, which a trace '
                'does not see: use larger images, or train with a smaller '
                'model.backbone.dfc.ratio'
            )
    return tuple(up_to(max(side, least), divisor) for side in size)


def check_sizes(
    metadata: ModelMetadata, size: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Return batches, heights and widths at which a file is compared."""
    if metadata.batch is not None:
        return [(metadata.batch, *size)]
    # Smaller and larger ones, and where nothing is padded one that is no multiple of 32.
    height, width = size
    least = up_to(metadata.least_side, 32)
    sizes = [(1, *size), (1, width, height)]
    for n, *sides in [(3, 96, 160), (1, 224, 448)]:
        sizes.append((n, *(max(side, least) for side in sides)))
    if metadata.task in ('segmentation', 'classification'):
        sizes.append((2, *(max(side, metadata.least_side) for side in (131, 181))))
    return list(dict.fromkeys(sizes))


def example(graph: Graph, size: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    """Return inputs of a graph for a batch, height and width."""
    n, height, width = size
    known: dict[str, Any] = {
        'image': torch.randn(n, 3, height, width),
        'image_size': torch.tensor([[height, width]] * n, dtype=torch.float32),
        'scale_factor': torch.full((n, 2), 0.5),
    }
    if graph.task == 'segmentation':
        known['image_size'] = torch.tensor([height - 8, width - 8])
        known['original_size'] = torch.tensor([height + 32, width + 64])
    return tuple(known[name] for name in graph.inputs)


def check(
    model: nn.Module,
    graph: nn.Module | None,
    path: str,
    sizes: list[tuple[int, int, int]],
) -> list[Comparison]:
    """Compare a file with the toolbox at several sizes.

    Raises:
        UserError: If it computes something else, or does not run.
    """
    try:
        comparisons = compare(model, graph, Runner(path), sizes)
    except FileError as error:
        raise UserError(f'the exported file does not run: {error}') from error
    wrong = [
        f'{c.result} at batch {c.size[0]}, {c.size[1]}x{c.size[2]} px'
        for c in comparisons
        if not c.close
    ]
    if wrong:
        raise UserError(
            f'the exported file does not compute what the model does: {"; ".join(wrong)}. '
            'It was not kept'
        )
    return comparisons
