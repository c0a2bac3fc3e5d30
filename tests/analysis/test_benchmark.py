"""The benchmark measures what it says, and its page says what was measured."""

import json

import pytest
import torch
import torch.nn as nn

from mmghost.analysis import benchmark, benchmark_models
from mmghost.analysis.benchmark import Run, collect, growth, page, read, table
from mmghost.errors import UserError

OURS = 'mmghost:ghostnetv2-0.25'


@pytest.mark.slow
def test_every_form_computes_the_same(monkeypatch):
    """All forms but compiled, for which see tests/models/test_forms.py."""
    pytest.importorskip('onnxruntime')
    pytest.importorskip('openvino')
    model = benchmark_models.build(OURS).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)
    for form in benchmark_models.FORMS['cpu']['infer']:
        if form == 'compiled':
            continue
        out = benchmark_models.INFERENCE[form](model, x)()
        out = out if isinstance(out, torch.Tensor) else torch.as_tensor(out[0])
        torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-3, msg=form)


@pytest.mark.gpu
def test_every_form_computes_the_same_on_a_gpu():
    model = benchmark_models.build(OURS).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)
    for form in benchmark_models.FORMS['cuda']['infer']:
        out = benchmark_models.INFERENCE[form](model, x.cuda())().cpu()
        close = 2e-2 if 'amp' in form else 5e-3  # float16; TF32
        torch.testing.assert_close(out.float(), expected, atol=close, rtol=0, msg=form)
    for form in benchmark_models.FORMS['cuda']['train']:
        benchmark_models.TRAINING[form](model, x.cuda())()


def test_mixed_precision_is_mixed():
    model = benchmark_models.build(OURS).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)
    out = benchmark_models.INFERENCE['amp'](model, x)()
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.float(), expected, atol=2e-2, rtol=0)
    seen = []
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, _, out: seen.append(out.dtype)
    )
    benchmark_models.TRAINING['amp'](model, x)()
    hook.remove()
    assert torch.bfloat16 in seen


def test_what_a_device_lacks_is_told_in_its_row():
    (run,) = collect([Run('', (OURS,), ('eager', 'cuda-graph'))], 0, False)['runs']
    reasons = {row['form']: row.get('missing') for row in run['rows']}
    assert reasons == {'eager': None, 'cuda-graph': 'a CUDA graph needs --device cuda'}
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match='PyTorch sees no GPU'):
            Run('', (OURS,), ('eager',), device='cuda')


def test_a_page_loses_no_tables_that_are_not_measured_anew(tmp_path):
    target = tmp_path / 'page.md'
    assert benchmark.check_page(str(target), ['A']) == ''
    target.write_text(f'## A\n\n## {benchmark.GROWTH}\n{benchmark.BY_HAND}\n## Words\n')
    titles = ['A', 'Growing pictures: 64 px', 'B']
    assert benchmark.check_page(str(target), titles) == target.read_text()
    with pytest.raises(UserError, match=r'page\.md: .*\(From 224 to 1280 px\)'):
        benchmark.check_page(str(target), ['A'])


def test_the_page_names_the_gpu_that_was_timed(results):
    machine = dict(results['machine'], gpu='A card')
    runs = [dict(run, device='cuda') for run in results['runs']]
    assert ', A card, TF32' in page(dict(machine=machine, runs=runs))
    assert 'A card' not in page(dict(results, machine=machine))


def test_folding_that_would_change_a_peer_is_refused():
    class Odd(nn.Module):
        """Its batch norm is registered behind its convolution, but runs before it."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.bn = nn.BatchNorm2d(3)
            nn.init.uniform_(self.bn.running_mean)

        def forward(self, x):
            return self.conv(self.bn(x).relu())

    with pytest.raises(UserError, match='something else'):
        benchmark_models.deployed(Odd())


@pytest.fixture(scope='module')
def results():
    runs = [
        Run(f'Growing pictures: {size} px', (OURS,), ('eager', 'deployed'), 2, size)
        for size in (32, 64)
    ]
    missing = 'timm:no_such_network'
    training = Run('Training', (OURS, missing), ('channels-last',), 2, 32, 'train')
    return collect([*runs, training], seconds=0, progress=False)


def test_results_are_written_and_read_as_they_are(results, tmp_path):
    for name, chosen in (('a', results['runs'][:1]), ('b', results['runs'][1:])):
        part = dict(machine=results['machine'], runs=chosen)
        (tmp_path / name).write_text(json.dumps(part))
    again = read([str(tmp_path / 'a'), str(tmp_path / 'b')])
    assert page(again) == page(results)
    other = dict(results, machine={'threads': 99})
    (tmp_path / 'c').write_text(json.dumps(other))
    with pytest.raises(UserError, match='measured elsewhere'):
        read([str(tmp_path / 'a'), str(tmp_path / 'c')])
    with pytest.raises(UserError, match='no results'):
        read([str(tmp_path / 'd')])


def test_the_page_has_every_figure_and_what_could_not_be_had(results):
    earlier = f'old figures\n{benchmark.BY_HAND}\n\nA note.\n'
    text = page(results, earlier)
    for row in results['runs'][2]['rows']:
        if 'missing' not in row:
            assert f'{row["median"]:.1f} | {row["low"]:.1f} to' in text
            assert f'{row["memory"] / 2**20:.0f} MiB' in text
    assert 'no_such_network' in table(results['runs'][2])
    for threads, words in ((1, ', 1 thread, '), (2, ', 2 threads, ')):
        machine = dict(results['machine'], threads=threads)
        assert words in page(dict(results, machine=machine))
    assert text.endswith('A note.\n') and 'old figures' not in text
    assert page(results, text) == text
    lines = growth(results['runs'][:2]).splitlines()
    assert len(lines) == 2 + 4
    assert '| 32 |' in lines[2] and '| 1.00 |' in lines[2]


def test_a_training_step_needs_more_than_an_inference(results):
    eager = results['runs'][0]['rows'][0]
    step = results['runs'][2]['rows'][0]
    assert step['memory'] > eager['memory']


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(forms=('fast',)), '--forms fast'),
        (dict(forms=('deployed',), mode='train', batch=2), '--forms deployed'),
        (dict(forms=('eager',), size=16), '--shape 16'),
        (dict(forms=('eager',), mode='train'), '--batch of at least 2'),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, words):
    with pytest.raises(UserError, match=words):
        Run('', (OURS,), **settings)


def test_the_suite_holds_the_networks_and_sizes_that_it_promises():
    runs = [run for suite in benchmark.suites().values() for run in suite]
    assert {run.batch for run in runs} == {1, 16, 32}
    assert {run.size for run in runs} == {224, 320, 512, 800, 1280}
    assert all(run.reference[0] in run.models for run in runs)
