"""Write files for each runtime, compared with the toolbox before they are kept."""

import importlib.util
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn as nn
from mmengine.config import Config

from ..engine.predict import Predictor
from ..errors import UserError
from ..models import DFCAttention
from ..models.folding import fold
from ..models.ghostnet import GhostNet
from ..version import __version__
from .converters import CONVERTERS, check_litert
from .graphs import Graph, build_graph
from .metadata import infer_metadata
from .parity import Comparison, compare, noise
from .portable import BranchedGhostNet, PortableGraph
from .quantize import write_metadata
from .runtime.images import up_to
from .runtime.metadata import FileError, ModelMetadata
from .runtime.runner import Runner

OPSET = 17  # the newest of torch 2.1; RoiAlign needs 16
OPSETS = range(16, 21)
FILES = dict(
    onnx='model.onnx',
    openvino='model.xml',
    ncnn='model.ncnn.param',
    litert='model.tflite',
    executorch='model.pte',
)
TARGETS = tuple(FILES)
PACKAGES = dict(
    onnx=('onnx', 'onnxruntime'),
    openvino=('onnx', 'onnxruntime', 'openvino'),
    ncnn=('ncnn', 'pnnx'),
    litert=('ai-edge-litert',),
    executorch=('executorch',),
)
BRANCHED = ('ncnn', 'litert')  # phases as branches: ncnn has no batch, LiteRT is faster


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Args:
        path: The file.
        metadata: Its metadata.
        comparisons: How it was checked.
        inputs: Names and shapes of the inputs of an ONNX file.
        outputs: Names and shapes of its outputs.
    """

    path: str
    metadata: ModelMetadata
    comparisons: list[Comparison]
    inputs: dict[str, list] = field(default_factory=dict)
    outputs: dict[str, list] = field(default_factory=dict)


def export_onnx(
    cfg: Config,
    checkpoint: str,
    out: str,
    raw: bool = False,
    fixed: bool = False,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    opset: int = OPSET,
) -> Export:
    """Export a trained model, and compare the file with the toolbox.

    Args:
        cfg: The config, of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        out: The file to write.
        raw: Without postprocessing: the outputs of the head.
        fixed: Take one size and batch only.
        size: Height and width of the input: with ``fixed`` the only one, otherwise that
            of the trace.
        batch: With ``fixed`` the only batch.
        opset: Version of ONNX's operators.

    Raises:
        UserError: If something is missing, the model cannot be exported, or the file
            computes something else; it is not kept then.
    """
    check_packages('onnx')
    if Path(out).suffix != '.onnx':
        raise UserError(f'--out {out}: the file must end in .onnx')
    if batch < 1 or (batch > 1 and not fixed):
        raise UserError(f'--batch {batch}: must be at least 1, and 1 without --fixed')
    if opset not in OPSETS:
        raise UserError(f'--opset {opset}: must be {OPSETS[0]} to {OPSETS[-1]}')
    source = load_source(cfg, checkpoint)
    graph = build_graph(deepcopy(source.folded), source.scope, raw)
    metadata = replace(source.metadata(graph.task), raw=raw)
    metadata.origin.update(opset=opset)
    size = input_size(metadata, size, fixed)
    if fixed:
        metadata = replace(metadata, size=list(size), batch=batch)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    partial = f'{out}.partial.onnx'
    try:
        trace(graph, partial, (batch if fixed else 2, *size), fixed, opset)
        write_metadata(partial, metadata.to_properties())
        sizes = check_sizes(metadata, size)
        comparisons = check(source.model, graph, partial, sizes)
        os.replace(partial, out)
    finally:
        Path(partial).unlink(missing_ok=True)
    session = Runner(out, 'onnxruntime').network.session
    shapes = (
        {entry.name: entry.shape for entry in entries}
        for entries in (session.get_inputs(), session.get_outputs())
    )
    return Export(out, metadata, comparisons, *shapes)


def export_files(
    cfg: Config,
    checkpoint: str,
    targets: Sequence[str],
    out: str,
    size: tuple[int, int] | None = None,
    note: Callable[[str], None] = print,
) -> list[Export]:
    """Export a trained model for several runtimes into one folder.

    ONNX and OpenVINO get the whole model, for images of any size. The others get one
    image of one size, and leave NMS and the resizing of logits to the runtime.

    Args:
        cfg: The config, of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        targets: Some of ``TARGETS``.
        out: The folder. ``parity.json`` in it says how each file was compared.
        size: Height and width of the input; default: from the test pipeline.
        note: Called with the name of each file that was written.

    Raises:
        UserError: If a converter is missing, a runtime cannot express the model, or a
            file computes something else; it is not kept then.
    """
    for target in targets:
        check_packages(target)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    exports: list[Export] = []
    with TemporaryDirectory(dir=folder, prefix='.partial') as partial:
        try:
            for export in _export_all(cfg, checkpoint, targets, partial, size):
                exports.append(_keep(export, folder))
                note(exports[-1].path)
        finally:  # another runtime may have failed
            parity = folder / 'parity.json'
            known = json.loads(parity.read_text()) if parity.exists() else {}
            for export in exports:
                known[Path(export.path).name] = [
                    c._asdict() for c in export.comparisons
                ]
            parity.write_text(json.dumps(known, indent=2))
    return exports


def _export_all(
    cfg: Config,
    checkpoint: str,
    targets: Sequence[str],
    folder: str,
    size: tuple[int, int] | None,
) -> Iterator[Export]:
    """Yield the files for each runtime, checked, in a folder."""
    source = load_source(cfg, checkpoint)
    if 'onnx' in targets or 'openvino' in targets:
        made = export_onnx(cfg, checkpoint, f'{folder}/model.onnx', size=size)
        if 'openvino' in targets:  # which reads the ONNX file
            yield _to_openvino(source, made)
        if 'onnx' in targets:
            yield made
    for target in targets:
        if target in CONVERTERS:
            yield _to_portable(source, target, f'{folder}/{FILES[target]}', size)


def _keep(export: Export, folder: Path) -> Export:
    """Move a file, and what belongs to it, into the folder."""
    path = Path(export.path)
    for part in [path, path.with_suffix('.bin'), Path(f'{path}.json')]:
        if part.exists():
            part.replace(folder / part.name)
    return replace(export, path=str(folder / path.name))


def _to_openvino(source: 'Source', made: Export) -> Export:
    import openvino

    path = made.path.replace('.onnx', '.xml')
    openvino.save_model(openvino.convert_model(made.path), path, compress_to_fp16=False)
    sizes = [comparison.size for comparison in made.comparisons]
    return replace(made, path=path, comparisons=check(source.model, None, path, sizes))


def _to_portable(
    source: 'Source', target: str, path: str, size: tuple[int, int] | None
) -> Export:
    model = deepcopy(source.folded)
    backbone = model.backbone
    phases = isinstance(backbone, GhostNet) and backbone.output_stride < 32
    if phases and target in BRANCHED:
        model.backbone = BranchedGhostNet(backbone).eval()
    graph = build_graph(model, source.scope)
    metadata = source.metadata(graph.task)
    size = input_size(metadata, size, fixed=True)
    portable = PortableGraph(graph, size).eval()
    metadata = replace(
        metadata,
        size=list(size),
        batch=1,
        outputs=list(portable.outputs),
        decoding=portable.decoding,
    )
    try:
        CONVERTERS[target](portable, noise(1, *size), path)
    except UserError:
        raise
    except Exception as error:  # each converter has classes of its own
        raise UserError(f'{target} cannot express this model: {error}') from error
    metadata.save(path)
    comparisons = check(source.model, None, path, [(1, *size)])
    return Export(path, metadata, comparisons)


@dataclass(frozen=True)
class Source:
    """A trained model, loaded.

    Args:
        cfg: Its config.
        scope: Of its toolbox.
        model: As trained.
        folded: With batch norms folded.
        origin: For the metadata.
    """

    cfg: Config
    scope: str
    model: nn.Module
    folded: nn.Module
    origin: dict[str, Any]

    def metadata(self, task: str) -> ModelMetadata:
        """Return the metadata of a file for any size."""
        more = {}
        if task == 'instance segmentation':
            threshold = self.model.roi_head.test_cfg.get('mask_thr_binary', 0.5)
            more = dict(mask_threshold=float(threshold))
        return infer_metadata(
            self.cfg,
            self.model,
            task=task,
            least_side=least_side(self.model),
            origin=dict(self.origin),
            **more,
        )


def load_source(cfg: Config, checkpoint: str) -> Source:
    """Load a trained model, and fold its batch norms in a copy.

    Args:
        cfg: The config.
        checkpoint: Its weights, a file or a URL.
    """
    predictor = Predictor(cfg, checkpoint, 'cpu')
    folded = deepcopy(predictor.model).eval()
    fold(folded)
    origin = dict(
        config=os.path.basename(cfg.filename or ''),
        checkpoint=os.path.basename(checkpoint),
        mmghost=__version__,
        torch=torch.__version__.split('+')[0],
    )
    return Source(predictor.cfg, predictor.scope, predictor.model, folded, origin)


def check_packages(target: str) -> None:
    """Check that the packages of a target are installed.

    Raises:
        UserError: If one is not.
    """
    missing = [
        name
        for name in PACKAGES[target]
        if not importlib.util.find_spec(name.replace('-', '_'))
    ]
    if missing:
        raise UserError(
            f'{target} needs {" and ".join(missing)}: pip install {" ".join(missing)}'
        )
    if target == 'litert':
        check_litert()


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


def trace(
    graph: Graph, path: str, size: tuple[int, int, int], fixed: bool, opset: int
) -> None:
    """Trace a graph into an ONNX file.

    torch's exporter that traces is in every torch from 2.1 on. The newer one, by
    torch.export, must prove what holds for every size, and cannot for phases (see
    docs/deployment.md).

    Args:
        graph: The graph.
        path: The file.
        size: Batch, height and width of the example.
        fixed: Make no axis dynamic.
        opset: Version of ONNX's operators.
    """
    axes = {name: {0: 'batch'} for name in graph.inputs} | graph.dynamic
    axes['image'] = {0: 'batch', 2: 'height', 3: 'width'}
    if graph.task == 'segmentation':  # images of a batch share their sizes
        axes = {name: axes[name] for name in ('image', *graph.outputs)}
    if fixed:  # the original image is of any size
        axes = {
            name: {axis: what for axis, what in free.items() if 'original' in what}
            for name, free in axes.items()
        }
    # Older versions have no other exporter, nor the argument that chooses one.
    tracing = dict(dynamo=False) if torch.__version__ >= (2, 5) else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about traces, which are compared afterwards
        torch.onnx.export(
            graph,
            example(graph, size),
            path,
            opset_version=opset,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
            **tracing,
        )


def check(
    model: nn.Module,
    graph: Graph | None,
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
