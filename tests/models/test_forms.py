"""The forms that a backbone takes on its way to a device: scripted, compiled, exported."""

import functools
import io

import pytest
import torch

from mmghost.deploy.tracing import export_by_tracing
from mmghost.models import GhostNetV1, GhostNetV2
from tests.helpers import picture, randomise, relative_error

FORMS = pytest.mark.parametrize(
    ('cls', 'output_stride'),
    [
        (GhostNetV2, 32),
        (GhostNetV2, 16),
        (GhostNetV2, 8),
        (GhostNetV1, 32),
        (GhostNetV1, 8),
    ],
)
# Another order of the same sums in float32, over some hundred layers.
TOLERANCE = 1e-4
OTHER_SIZES = [(96, 160), (32, 64)]


def build(cls, output_stride: int, width: float = 0.25):
    model = cls(width, out_indices=(1, 3, 5), output_stride=output_stride)
    return randomise(model).eval()


def assert_same(form, model, *sizes, tolerance: float = TOLERANCE) -> None:
    for size in sizes:
        x = picture(2, 3, *size)
        with torch.no_grad():
            theirs, ours = form(x), model(x)
        assert len(theirs) == len(ours) == 3
        for a, b in zip(theirs, ours):
            assert relative_error(torch.as_tensor(a), b) < tolerance, size


@FORMS
def test_scripted_it_computes_the_same_at_any_size(cls, output_stride):
    model = build(cls, output_stride)
    assert_same(torch.jit.script(model), model, (64, 64), *OTHER_SIZES, (45, 71))


@FORMS
def test_traced_it_computes_the_same_at_the_traced_size(cls, output_stride):
    model = build(cls, output_stride)
    traced = torch.jit.trace(model, picture(2, 3, 67, 45))
    assert_same(traced, model, (67, 45))


@functools.cache
def exports_open_pools() -> bool:
    """Whether torch.export leaves the size open of a picture that is pooled (not 2.6)."""
    sizes = {axis: torch.export.Dim(f'size{axis}', min=97, max=2048) for axis in (2, 3)}
    pool = torch.nn.AvgPool2d(2)
    try:
        torch.export.export(
            pool, (torch.ones(1, 1, 128, 160),), dynamic_shapes=(sizes,)
        )
    except Exception:  # torch's own, of several kinds and private names
        return False
    return True


@pytest.mark.skipif(not hasattr(torch.export, 'Dim'), reason='torch has no export.Dim')
@FORMS
def test_exported_with_sizes_left_open_it_computes_the_same(cls, output_stride):
    """Stride 32 takes any size; a split into phases must be proved to leave no rest."""
    # From 97 px up the pooled map of stride 32 is two pixels wide: torch.export takes a
    # size of one for a constant.
    model = build(cls, output_stride)
    free = output_stride == 32
    if free and cls is GhostNetV2 and not exports_open_pools():
        pytest.skip("this torch's export binds the size of what is pooled")
    least, unit = (97, 1) if free else (4, 32)
    sizes = {0: torch.export.Dim('n', max=64)}
    for axis, name in ((2, 'h'), (3, 'w')):
        sizes[axis] = unit * torch.export.Dim(name, min=least, max=2048 // unit)
    program = torch.export.export(
        model, (picture(2, 3, 128, 160),), dynamic_shapes=(sizes,)
    )
    others = [(192, 128), (160, 224)] + ([(109, 135)] if free else [])
    assert_same(program.module(), model, *others)


@pytest.mark.parametrize('output_stride', [16, 8])
def test_onnx_computes_the_same_at_two_sizes(output_stride):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    model = build(GhostNetV2, output_stride)
    file = io.BytesIO()
    names = ['a', 'b', 'c']
    axes = {name: {0: 'n', 2: f'h_{name}', 3: f'w_{name}'} for name in ('x', *names)}
    export_by_tracing(
        model,
        (picture(2, 3, 64, 96),),
        file,
        input_names=['x'],
        output_names=names,
        dynamic_axes=axes,
    )
    session = onnxruntime.InferenceSession(
        file.getvalue(), providers=['CPUExecutionProvider']
    )
    assert_same(
        lambda x: session.run(None, {'x': x.numpy()}), model, (64, 96), (160, 64)
    )


@pytest.mark.slow  # the compiler takes half a minute for each
@pytest.mark.parametrize('output_stride', [32, 8])
@pytest.mark.parametrize('cls', [GhostNetV2, GhostNetV1])
def test_compiled_without_a_break_in_the_graph_it_computes_the_same(cls, output_stride):
    model = build(cls, output_stride)
    compiled = torch.compile(model, fullgraph=True)
    assert_same(compiled, model, (64, 96))
    torch._dynamo.reset()


@pytest.mark.parametrize('output_stride', [32, 8])
@pytest.mark.parametrize('cls', [GhostNetV2, GhostNetV1])
def test_its_graph_has_no_breaks(cls, output_stride):
    """Fullgraph raises at a break; the eager backend leaves the compiler out."""
    model = build(cls, output_stride)
    torch._dynamo.reset()
    whole = torch.compile(model, fullgraph=True, backend='eager')
    assert_same(whole, model, (64, 96))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@FORMS
def test_in_half_precision_it_is_near_what_it_computes_in_full(
    cls, output_stride, dtype
):
    model = build(cls, output_stride)
    x = picture(1, 3, 64, 96)
    try:
        with torch.no_grad():
            reference = model(x)
            outs = model.to(dtype)(x.to(dtype))
    except RuntimeError as error:  # operators that older torch lacks on the CPU
        if 'not implemented for' not in str(error):
            raise
        pytest.skip(str(error))
    # Rounding to 11 or 8 bits in each of some hundred layers.
    tolerance = {torch.float16: 0.05, torch.bfloat16: 0.3}[dtype]
    for ours, theirs in zip(outs, reference):
        assert ours.dtype == dtype
        assert torch.isfinite(ours).all()
        assert relative_error(ours.float(), theirs) < tolerance
