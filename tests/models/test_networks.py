"""The promises of a backbone, each proved once for every network of the family."""

import copy
import io
import pickle

import pytest
import torch
import torch.distributed as dist
import torch.nn as nn
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mmghost.models import GhostNetV1, GhostNetV2, GhostNetV3
from tests.helpers import image, randomize, relative_error

WIDTH = 0.25
NETWORKS = {
    'V1': (GhostNetV1, {}),
    'V2': (GhostNetV2, {}),
    'V2 stride 8': (GhostNetV2, dict(output_stride=8)),
    'V2 deployed': (GhostNetV2, dict(deploy=True)),
    'V3': (GhostNetV3, {}),
}
# Another order of the same sums in float32, which a random network of some hundred layers
# multiplies; a wrong operator changes more than 1 %.
SAME = 1e-3
# Tracing takes long: by default the network with the most kinds of operators.
TRACED = [
    name if name == 'V2 stride 8' else pytest.param(name, marks=pytest.mark.slow)
    for name in NETWORKS
]


@pytest.fixture(params=NETWORKS)
def build(request):
    """Return a function that builds one of the networks."""
    cls, fixed = NETWORKS[request.param]
    return lambda **kwargs: cls(WIDTH, **{**fixed, **kwargs})


@pytest.fixture(
    params=[n for n, (_, fixed) in NETWORKS.items() if 'deploy' not in fixed]
)
def trainable(request):
    """Return a function that builds one of the networks that can be trained."""
    cls, fixed = NETWORKS[request.param]
    return lambda **kwargs: cls(WIDTH, **{**fixed, **kwargs})


def random(build):
    """Return a network in evaluation mode whose weights and statistics matter."""
    model = build()
    if model.deploy:
        return randomize(build(deploy=False)).eval().switch_to_deploy()
    return randomize(model).eval()


def maps(model, x):
    with torch.no_grad():
        return model(x)


def assert_same(found, wanted, tolerance=SAME):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert relative_error(torch.as_tensor(a), b) <= tolerance


def loss(outs):
    return sum(out.square().mean() for out in outs)


def statistics(model):
    return {n: b.clone() for n, b in model.named_buffers() if 'running' in n}


# Outputs ------------------------------------------------------------------------------


def test_outputs_are_those_that_channels_and_strides_promise(build):
    for out_indices in ((0, 1, 2, 3, 4, 5), [1, 3], (-2,), 5, -6):
        model = build(out_indices=out_indices).eval()
        outs = maps(model, image(2, 3, 97, 65))
        assert isinstance(outs, tuple)
        assert [out.shape for out in outs] == [
            (2, channels, -(-97 // stride), -(-65 // stride))
            for channels, stride in zip(model.out_channels, model.out_strides)
        ]


@pytest.mark.parametrize('size', [(31, 200), (33, 32), (3, 2), (1, 1)])
def test_every_size_has_an_output(build, size):
    assert all(out.isfinite().all() for out in maps(build().eval(), image(1, 3, *size)))


def test_an_empty_batch_has_empty_outputs(build):
    outs = maps(build().eval(), torch.zeros(0, 3, 64, 64))
    assert all(out.shape[0] == 0 for out in outs)


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        (dict(out_indices=(6,)), 'out_indices'),
        (dict(out_indices=()), 'out_indices'),
        (dict(out_indices=(2, 1)), 'out_indices'),
        (dict(out_indices=(4, -2)), 'out_indices'),
        (dict(frozen_stages=7), 'frozen_stages=7'),
        (dict(frozen_stages=-2), 'frozen_stages=-2'),
        (dict(output_stride=4), 'output_stride=4 must be one of 8, 16, 32'),
    ],
)
def test_a_wrong_argument_is_refused_with_its_name_and_value(build, wrong, words):
    with pytest.raises(ValueError, match=words):
        build(**wrong)


# Training -----------------------------------------------------------------------------


@pytest.mark.parametrize('frozen', [0, 3, 6])
def test_frozen_stages_have_no_gradient_and_no_moving_statistic(trainable, frozen):
    model = trainable(frozen_stages=frozen, out_indices=range(6))
    before = {n for n, p in model.named_parameters() if not p.requires_grad}
    # From __init__ on: DDP wraps the model before train(). Stages 0 to 2 are 5 groups.
    groups = range({0: 0, 3: 5, 6: 10}[frozen])
    parts = ('conv_stem.', 'bn1.', *(f'blocks.{i}.' for i in groups))
    assert before == {n for n, _ in model.named_parameters() if n.startswith(parts)}
    kept = statistics(model.train())
    assert before == {n for n, p in model.named_parameters() if not p.requires_grad}
    model(image(2, 3, 64, 64))
    moved = {
        n.rpartition('.')[0]
        for n, b in statistics(model).items()
        if (b != kept[n]).any()
    }
    trained = {
        n.rpartition('.')[0] for n, p in model.named_parameters() if p.requires_grad
    }
    assert moved <= trained
    assert bool(moved) == (frozen < 6)


def test_every_parameter_has_a_gradient_for_any_output(trainable):
    for out_indices in ((1, 2, 3, 4), (0,), (2,), (5,)):
        model = trainable(out_indices=out_indices).train()
        loss(model(image(2, 3, 64, 64))).backward()
        assert all(p.grad is not None for p in model.parameters())


def test_frozen_and_cut_it_trains_under_ddp(trainable, tmp_path):
    store = f'file://{tmp_path / "store"}'
    dist.init_process_group('gloo', init_method=store, rank=0, world_size=1)
    try:
        model = DistributedDataParallel(trainable(frozen_stages=2, out_indices=(2, 3)))
        for _ in range(3):
            loss(model.train()(image(2, 3, 64, 64))).backward()
    finally:
        dist.destroy_process_group()


def test_norm_eval_keeps_the_statistics_and_trains_the_weights(trainable):
    model = trainable(norm_eval=True).train()
    kept = statistics(model)
    loss(model(image(2, 3, 64, 64))).backward()
    assert all(torch.equal(b, kept[n]) for n, b in statistics(model).items())
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert norms and all(m.weight.grad is not None for m in norms)


def test_with_cp_changes_no_number(trainable):
    plain = trainable()
    saving = trainable(with_cp=True)
    saving.load_state_dict(plain.state_dict())
    found = []
    for model in (plain, saving):
        outs = model.train()(image(2, 3, 64, 64))
        loss(outs).backward()
        grads = [p.grad for p in model.parameters()]
        found.append([*outs, *model.buffers(), *grads])
    # The second computation is the first one again, operator by operator.
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_drop_path_drops_residual_branches(trainable):
    model = trainable(drop_path_rate=0.9).train()
    x = image(2, 3, 64, 64)
    assert relative_error(maps(model, x)[-1], maps(model, x)[-1]) > 0.01
    assert_same(maps(model.eval(), x), maps(model, x), 0)


@pytest.mark.parametrize(
    'norm_cfg', [dict(type='GN', num_groups=1), dict(type='SyncBN')]
)
def test_norm_cfg_reaches_every_normalization(trainable, norm_cfg):
    model = trainable(norm_cfg=norm_cfg)
    assert not any(type(m) is nn.BatchNorm2d for m in model.modules())
    if norm_cfg['type'] == 'GN':
        loss(model.train()(image(2, 3, 64, 64))).backward()


def test_conversion_to_sync_bn_changes_no_number(trainable):
    model = random(trainable)
    wanted = maps(model, image(2, 3, 64, 64))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert_same(maps(converted.eval(), image(2, 3, 64, 64)), wanted)


def test_layer_wise_decay_grows_from_the_stem_to_the_head(trainable):
    pytest.importorskip('mmpretrain')
    from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = trainable(out_indices=5)
            self.head = nn.Linear(2, 2)

        def get_layer_depth(self, name):
            return self.backbone.get_layer_depth(name, 'backbone.')

    build_optimizer = LearningRateDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1)),
        dict(layer_decay_rate=0.5),
    )
    groups = build_optimizer(Classifier()).optimizer.param_groups
    trunk = [g['lr'] for g in groups if not g['param_name'].startswith('head')]
    assert (
        trunk == sorted(trunk) and len(set(trunk)) == 18
    )  # stem, 16 blocks, last conv
    assert {g['lr'] for g in groups if g['param_name'].startswith('head')} == {1.0}


# The module as such -------------------------------------------------------------------


def test_copies_pickles_and_state_dicts_compute_the_same(build):
    model = random(build)
    fresh = build().eval()
    fresh.load_state_dict(model.state_dict(), strict=True)
    wanted = maps(model, image(1, 3, 64, 64))
    for twin in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(maps(twin, image(1, 3, 64, 64)), wanted, 0)


def test_channels_last_computes_the_same(build):
    model = random(build)
    wanted = maps(model, image(2, 3, 64, 64))
    x = image(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    assert_same(maps(model.to(memory_format=torch.channels_last), x), wanted)


# Rounding to 11 and 8 bits in each of some hundred layers.
@pytest.mark.parametrize(
    ('dtype', 'bound'), [(torch.float16, 0.05), (torch.bfloat16, 0.6)]
)
def test_half_precision_is_close_to_full(build, dtype, bound):
    try:
        nn.Conv2d(1, 1, 1).to(dtype)(torch.zeros(1, 1, 1, 1, dtype=dtype))
    except RuntimeError:
        pytest.skip(f'this torch has no {dtype} on CPUs')
    model = random(build)
    wanted = maps(model, image(1, 3, 64, 64))
    found = maps(model.to(dtype), image(1, 3, 64, 64).to(dtype))
    assert {out.dtype for out in found} == {dtype}
    assert_same([out.float() for out in found], wanted, bound)


@pytest.mark.parametrize('build', TRACED, indirect=True)
def test_it_compiles_without_a_graph_break(build):
    """The backend only captures the graph, so no compiler is needed."""
    model = random(build).train()
    reference = copy.deepcopy(model)
    torch._dynamo.reset()
    whole = torch.compile(model, fullgraph=True, backend='eager')
    assert_same(maps(whole, image(2, 3, 64, 64)), maps(reference, image(2, 3, 64, 64)))
    torch._dynamo.reset()


@pytest.mark.slow  # compiles half a minute each
def test_compiled_it_computes_the_same(build):
    model = random(build)
    torch._dynamo.reset()
    whole = torch.compile(model, fullgraph=True)
    assert_same(maps(whole, image(2, 3, 64, 64)), maps(model, image(2, 3, 64, 64)))
    torch._dynamo.reset()


@pytest.mark.parametrize('build', TRACED, indirect=True)
def test_traced_it_computes_the_same(build):
    model = random(build)
    traced = torch.jit.trace(model, image(2, 3, 67, 45))
    assert_same(maps(traced, image(2, 3, 67, 45)), maps(model, image(2, 3, 67, 45)))


@pytest.mark.skipif(not hasattr(torch.export, 'Dim'), reason='torch has no export.Dim')
@pytest.mark.parametrize('build', TRACED, indirect=True)
def test_torch_export_takes_open_sizes(build):
    """Multiples of 32: a split into phases must be proved to leave no rest."""
    model = random(build)
    sizes = {0: torch.export.Dim('n', max=64)}
    for axis, name in ((2, 'h'), (3, 'w')):
        sizes[axis] = 32 * torch.export.Dim(name, min=4, max=64)
    program = torch.export.export(
        model, (image(2, 3, 128, 160),), dynamic_shapes=(sizes,)
    )
    x = image(3, 3, 160, 224)
    assert_same(maps(program.module(), x), maps(model, x))


@pytest.mark.parametrize('build', TRACED, indirect=True)
def test_onnx_computes_the_same_at_another_size(build):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    model = random(build)
    file = io.BytesIO()
    tracing = dict(dynamo=False) if torch.__version__ >= (2, 5) else {}
    axes = {'x': {0: 'n', 2: 'h', 3: 'w'}}
    torch.onnx.export(
        model,
        (image(2, 3, 64, 96),),
        file,
        input_names=['x'],
        dynamic_axes=axes,
        opset_version=17,
        **tracing,
    )
    session = onnxruntime.InferenceSession(
        file.getvalue(), providers=['CPUExecutionProvider']
    )
    for size in ((64, 96), (160, 64)):
        x = image(3, 3, *size)
        assert_same(session.run(None, {'x': x.numpy()}), maps(model, x))


def test_mmcvs_fuse_conv_bn_changes_no_number(trainable):
    """What the toolboxes' own tools call for ``--fuse-conv-bn``."""
    from mmcv.cnn.utils import fuse_conv_bn

    model = random(trainable)
    wanted = maps(model, image(2, 3, 64, 64))
    assert_same(maps(fuse_conv_bn(model), image(2, 3, 64, 64)), wanted, 1e-3)
