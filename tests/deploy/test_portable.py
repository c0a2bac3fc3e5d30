"""Networks for ncnn, LiteRT and ExecuTorch, and the postprocessing in the runtime."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmghost.deploy.converters import check_packages
from mmghost.deploy.export import export_files
from mmghost.deploy.graphs import build_graph
from mmghost.deploy.metadata import infer_metadata
from mmghost.deploy.padding import PaddedGhostNet
from mmghost.deploy.parity import NO_OBJECTS, compare, match, noise
from mmghost.deploy.portable import PortableGraph, exact_nearest, use_branches
from mmghost.deploy.runtime import Runner
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError
from mmghost.models import GhostNetV1, GhostNetV2
from mmghost.models.ghostnet import GhostModule
from tests.helpers import randomize, relative_error


@pytest.mark.parametrize('stride', [16, 8])
@pytest.mark.parametrize('size', [(224, 160), (131, 97)])
def test_branches_compute_the_maps_of_phases(stride, size):
    net = GhostNetV2(0.25, out_indices=(2, 3, 4), output_stride=stride)
    net = randomize(net).eval()
    branched = deepcopy(net)
    use_branches(branched)
    x = noise(1, *size)
    with torch.no_grad():
        for ours, wanted in zip(branched(x), net(x), strict=True):
            assert relative_error(ours, wanted) < 1e-5  # sums in another order


@pytest.mark.parametrize('kind', [GhostNetV1, GhostNetV2])  # a folded V3 is a V2
@pytest.mark.parametrize('width', [0.25, 1.3])
def test_padded_channels_compute_the_same_maps(kind, width):
    net = randomize(kind(width, out_indices=(0, 2, 3, 5), output_stride=16)).eval()
    net.double().switch_to_deploy()
    padded = PaddedGhostNet(deepcopy(net))
    for module in padded.modules():
        if isinstance(module, GhostModule):
            assert module.primary_conv[0].out_channels % 16 == 0
    x = noise(2, 97, 64).double()
    with torch.no_grad():
        for ours, wanted in zip(padded(x), net(x), strict=True):
            assert relative_error(ours, wanted) < 1e-9  # rounding of double precision


@pytest.mark.parametrize('height', [4, 6, 7, 13, 14])
@pytest.mark.parametrize('width', [2, 5, 9, 10])
def test_nearest_resizing_is_torch_s_in_the_exact_form(height, width):
    x = noise(1, max(1, height // 2), max(1, width // 2))
    wanted = F.interpolate(x, size=(height, width), mode='nearest')
    with exact_nearest():
        found = F.interpolate(x, size=(height, width), mode='nearest')
        assert torch.equal(found, wanted)
    assert F.interpolate is torch.nn.functional.interpolate


FILES = Path(__file__).parent / 'files'


@pytest.mark.parametrize(
    ('name', 'package'),
    [('tiny.tflite', 'ai_edge_litert'), ('tiny.pte', 'executorch')],
)
def test_converted_files_compute_what_pytorch_did(name, package):
    """At 224 px, where LiteRT's own form of nearest resizing is wrong."""
    pytest.importorskip(package)
    expected = np.load(FILES / f'{name}.npy')
    image = noise(1, 224, 224, grain=1.0)  # as when the files were made
    found = Runner(FILES / name).run({'image': image.numpy()})['scores']
    # Probabilities; float32 sums in another order.
    assert np.abs(found - expected).max() < 1e-4 * np.ptp(expected)


class InTorch(Runner):
    """A runner whose network is the graph itself."""

    def __init__(self, graph, metadata) -> None:
        self.metadata, self.backend, self.path = metadata, 'torch', 'graph'
        self.network = self.Network(graph)

    class Network:
        inputs = ('image',)

        def __init__(self, graph) -> None:
            self.graph = graph

        def __call__(self, feed):
            with torch.no_grad():
                found = self.graph(torch.from_numpy(feed['image']))
            found = found if isinstance(found, tuple) else (found,)
            return [value.numpy() for value in found]


@pytest.mark.parametrize(
    'kind', ['classifier', 'segmentor', 'retinanet', 'fcos', 'yolov3']
)
def test_the_runtime_s_postprocessing_is_the_toolbox_s(prepared, kind):
    trained = Predictor(*prepared(kind), 'cpu')
    graph = build_graph(trained.model, trained.scope)
    size = (96, 160)
    portable = PortableGraph(graph, size).eval()
    metadata = replace(
        infer_metadata(trained.cfg, trained.model, graph.task),
        size=list(size),
        outputs=list(portable.outputs),
        decoding=portable.decoding,
    )
    runner = InTorch(portable, metadata)
    found = compare(trained.model, None, runner, [(1, *size)] * 3)
    assert all(c.close and c.result != NO_OBJECTS for c in found), found


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ('litert', 'executorch')]


@pytest.mark.parametrize('target', ['ncnn', *SLOW])  # these convert for a minute
@pytest.mark.parametrize('kind', ['classifier', 'retinanet', 'segmentor'])
def test_files_find_what_image_demo_finds(prepared, data, tmp_path, kind, target):
    try:
        check_packages(target)
    except UserError as error:
        pytest.skip(str(error))
    cfg, checkpoint = prepared(kind)
    (export,) = export_files(cfg, checkpoint, [target], str(tmp_path))
    image = str(min((data / 'coco/val2017').iterdir()))
    found = Runner(export.path).predict(image)
    wanted = Predictor(cfg, checkpoint, 'cpu').predict(image)
    if kind == 'classifier':
        assert abs(found.scores - wanted.pred_score.numpy()).max() < 1e-3
    elif kind == 'segmentor':
        assert (found.labels == wanted.pred_sem_seg.data[0].numpy()).mean() > 0.999
    else:
        wanted = wanted.pred_instances.numpy()
        theirs = wanted.bboxes, wanted.scores, wanted.labels
        ours = found.boxes, found.scores, found.labels
        assert match(ours, theirs) >= 0.9 * len(wanted) > 0
    assert (tmp_path / 'parity.json').exists()
    assert not list(tmp_path.glob('.partial*'))


def test_what_a_runtime_cannot_express_is_refused(prepared, tmp_path):
    trained = Predictor(*prepared('mask-rcnn'), 'cpu')
    graph = build_graph(trained.model, trained.scope)
    with pytest.raises(UserError, match='exported to onnx and openvino only'):
        PortableGraph(graph, (96, 96))


def test_a_missing_converter_is_reported_with_its_command(
    prepared, monkeypatch, tmp_path
):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    for target, command in (
        ('onnx', 'pip install onnx onnxruntime'),
        ('ncnn', 'pip install ncnn pnnx'),
        ('executorch', 'pip install executorch'),
    ):
        with pytest.raises(UserError, match=command):
            next(export_files(None, 'a.pth', [target], str(tmp_path)))
