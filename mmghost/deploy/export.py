"""Writing ONNX files, checked against the toolbox before they are kept."""

import os
import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn as nn
from mmengine.config import Config

from ..engine.predict import Predictor
from ..errors import UserError
from ..models.dfc import DFCAttention
from ..version import __version__
from .graphs import Graph, graph_of
from .parity import Comparison, compare
from .pipeline_facts import facts_of
from .runtime.facts import Facts, FileFault
from .runtime.runner import Runner
from .tracing import export_by_tracing

OPSET = 17  # the newest that torch 2.1 writes; RoiAlign needs 16
OPSETS = range(16, 21)


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Args:
        path: Where it is.
        facts: What it says about itself.
        inputs: Names and shapes of its inputs.
        outputs: Names and shapes of its outputs.
        comparisons: How it was checked.
    """

    path: str
    facts: Facts
    inputs: dict[str, list]
    outputs: dict[str, list]
    comparisons: list[Comparison]


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
    """Export a trained model, and check the file against the toolbox.

    Torch's tracing exporter is used on every version of torch: it is there in torch 2.1
    as in 2.14, and the newer one cannot leave the sizes open of a network that treats
    small maps in another way (see docs/deployment.md).

    Args:
        cfg: The config, of one of the three toolboxes.
        checkpoint: Its weights, a file or a URL.
        out: The file to write.
        raw: Without post-processing: the head's own outputs.
        fixed: Take only one size and batch, where the device wants that.
        size: Height and width of the input: with ``fixed`` the only one, else that at
            which it is traced.
        batch: With ``fixed``, the only batch.
        opset: Version of ONNX's operators.

    Returns:
        What was written and how it was checked.

    Raises:
        UserError: If something is missing, the model has no graph that is known to be
            right, or the file computes something else; it is not kept then.
    """
    _check_packages()
    if Path(out).suffix != '.onnx':
        raise UserError(f'--out {out}: the file must end in .onnx')
    if batch < 1:
        raise UserError(f'--batch {batch}: it must be at least 1')
    if batch > 1 and not fixed:
        raise UserError(f'--batch {batch} goes with --fixed; else any batch will do')
    if opset not in OPSETS:
        raise UserError(f'--opset {opset}: {OPSETS[0]} to {OPSETS[-1]} will do')
    predictor = Predictor(cfg, checkpoint, 'cpu')
    model = predictor.model
    deployed = deployable(model)
    graph = graph_of(deployed, predictor.scope, raw)
    facts = facts_of(
        predictor.cfg,
        model,
        task=graph.task,
        raw=raw,
        least_side=least_side(model),
        origin=dict(
            config=os.path.basename(cfg.filename or ''),
            checkpoint=os.path.basename(checkpoint),
            mmghost=__version__,
            torch=torch.__version__.split('+')[0],
            exporter='torch.onnx, by tracing',
            opset=opset,
        ),
    )
    if graph.task == 'instance segmentation':
        threshold = deployed.roi_head.test_cfg.get('mask_thr_binary', 0.5)
        facts = replace(facts, mask_threshold=float(threshold))
    size = input_size(facts, size, fixed)
    if fixed:
        facts = replace(facts, size=list(size), batch=batch)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    partial = f'{out}.partial.onnx'  # what fails the check never bears the name
    try:
        trace(graph, partial, (batch if fixed else 2, *size), fixed, opset)
        shapes = describe(partial, facts)
        sizes = check_sizes(facts, size)
        comparisons = check(model, graph, partial, sizes)
        os.replace(partial, out)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return Export(out, facts, *shapes, comparisons)


def deployable(model: nn.Module) -> nn.Module:
    """Copy a model and bring every part that has one into its deployed form."""
    model = deepcopy(model)
    for module in list(model.modules()):
        if hasattr(module, 'switch_to_deploy'):
            module.switch_to_deploy()
    return model.eval()


def least_side(model: nn.Module) -> int:
    """The least side of a picture, in px, for which a trace computes the right thing.

    A map that is smaller than the window which DFC attention pools is pooled whole; a
    trace remembers only what happened to the map that it saw. The smallest map has a
    stride of 32, whatever the output stride: see docs/segmentation.md.
    """
    window = max(
        (m.ratio for m in model.modules() if isinstance(m, DFCAttention)), default=1
    )
    return 32 * (window - 1) + 1


def input_size(
    facts: Facts, size: tuple[int, int] | None, fixed: bool
) -> tuple[int, int]:
    """Height and width to trace at.

    Raises:
        UserError: If the size asked for, or that of the test pipeline, is too small or
            does not fit the padding.
    """
    least, divisor = facts.least_side, facts.pad_divisor
    if size is None:
        crops = [step['size'] for step in facts.steps if step['op'] == 'center_crop']
        scales = [
            step['scale'] for step in facts.steps if step['op'] == 'resize'
        ]  # the file is as right at one size as at another: a small one is quicker
        size = (256, 320)
        if crops:
            size = crops[-1][1], crops[-1][0]
        elif fixed and scales:
            size = scales[-1][1], scales[-1][0]
        made = made_size(facts)
        if made and not facts.raw and up_to(min(made), divisor) < least:
            raise UserError(
                f'the test pipeline makes every picture {made[0]}x{made[1]} px; below '
                f'{least} px GhostNetV2 pools the maps in another way, which a trace '
                'does not see. Have it make them larger, or train with a smaller '
                'model.backbone.dfc.ratio'
            )
        return tuple(up_to(max(side, least), divisor) for side in size)
    if min(size) < least:
        raise UserError(
            f'--size {size[0]} {size[1]}: GhostNetV2 pools smaller maps in another way, '
            f'which a trace does not see; {least} px is the least side'
        )
    if any(side % divisor for side in size):
        raise UserError(
            f'--size {size[0]} {size[1]}: the model pads to multiples of {divisor} px'
        )
    return tuple(size)


def made_size(facts: Facts) -> tuple[int, int] | None:
    """Height and width that the steps give every picture, if they do."""
    last = facts.steps[-1] if facts.steps else {'op': None}
    if last['op'] == 'center_crop':  # or less
        return last['size'][1], last['size'][0]
    if last['op'] == 'resize' and not last['keep_ratio']:
        return last['scale'][1], last['scale'][0]
    return None


def up_to(side: int, divisor: int) -> int:
    """The next multiple of a number."""
    return -(-side // divisor) * divisor


def check_sizes(facts: Facts, size: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Batches, heights and widths at which a file is checked.

    Args:
        facts: What the file says about itself.
        size: Height and width that it was traced at.
    """
    if facts.batch is not None:
        return [(facts.batch, *size)]
    # Smaller, larger and of the other shape; multiples of 32, as pictures are padded to,
    # and where nothing is padded also a size that is no multiple.
    height, width = size
    least = up_to(facts.least_side, 32)
    sizes = [(1, *size), (1, width, height)]
    for n, *sides in [(3, 96, 160), (1, 224, 448)]:
        sizes.append((n, *(max(side, least) for side in sides)))
    if facts.task in ('segmentation', 'classification'):
        sizes.append((2, max(131, facts.least_side), max(181, facts.least_side)))
    return list(dict.fromkeys(sizes))


def trace(
    graph: Graph, path: str, size: tuple[int, int, int], fixed: bool, opset: int
) -> None:
    """Trace a graph into a file.

    Args:
        graph: The graph.
        path: The file.
        size: Batch, height and width of the example.
        fixed: Leave nothing open.
        opset: Version of ONNX's operators.
    """
    n, height, width = size
    known: dict[str, Any] = {
        'image': torch.randn(n, 3, height, width),
        'image_size': torch.tensor([[height, width]] * n, dtype=torch.float32),
        'scale_factor': torch.full((n, 2), 0.5),
    }
    if graph.task == 'segmentation':
        known['image_size'] = torch.tensor([height - 8, width - 8])
        known['original_size'] = torch.tensor([height + 32, width + 64])
    axes = {name: {0: 'batch'} for name in graph.inputs} | graph.free
    axes['image'] = {0: 'batch', 2: 'height', 3: 'width'}
    if graph.task == 'segmentation':  # sizes without a batch: pictures share them
        axes = {name: axes[name] for name in ('image', *graph.outputs)}
    if fixed:  # the size of the original stays the picture's own
        axes = {
            name: {axis: what for axis, what in free.items() if 'original' in what}
            for name, free in axes.items()
        }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # what is said of traces is checked afterwards
        export_by_tracing(
            graph,
            tuple(known[name] for name in graph.inputs),
            path,
            opset,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
        )


def describe(path: str, facts: Facts) -> tuple[dict[str, list], dict[str, list]]:
    """Write the facts into a file; return its inputs and outputs with their shapes."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts.to_properties())
    model.producer_name = 'mmghost'
    model.producer_version = __version__
    onnx.checker.check_model(model)
    onnx.save(model, path)

    def shapes(entries: Any) -> dict[str, list]:
        return {
            entry.name: [
                dim.dim_param or dim.dim_value
                for dim in entry.type.tensor_type.shape.dim
            ]
            for entry in entries
        }

    return shapes(model.graph.input), shapes(model.graph.output)


def check(
    model: nn.Module,
    graph: Graph,
    path: str,
    sizes: list[tuple[int, int, int]],
) -> list[Comparison]:
    """Compare a file with the toolbox at several sizes.

    Raises:
        UserError: If it computes something else, or does not run.
    """
    try:
        comparisons = compare(model, graph, Runner(path, 'onnxruntime'), sizes)
    except FileFault as fault:
        raise UserError(f'the exported file does not run: {fault}') from None
    bad = [c for c in comparisons if not c.good]
    if bad:
        raise UserError(
            'the exported file computes something else than the model: '
            + '; '.join(
                f'{c.words} at batch {c.size[0]}, {c.size[1]}x{c.size[2]} px'
                for c in bad
            )
            + '. It was not kept.'
        )
    return comparisons


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]
    if missing:
        raise UserError(
            f'{" and ".join(missing)} not installed: pip install {" ".join(missing)}'
        )
