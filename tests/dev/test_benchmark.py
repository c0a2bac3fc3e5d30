"""The benchmark takes turns, compares turn by turn, and times what it says."""

import json

import pytest
import torch

from dev.benchmark import BY_HAND, Run, measure, page, suites, with_checkout
from dev.networks import build, fold, prepare
from dev.timing import interleave
from mmghost.errors import UserError
from tests.helpers import randomize, relative_error


def test_speedups_are_those_of_the_turns_and_not_of_the_medians():
    # Every other turn the machine is ten times slower, for both calls alike.
    turns = {'slow': [], 'fast': []}

    def clock(name, time):
        def measured(repeats):
            turns[name].append(repeats)
            return time * (10 if len(turns[name]) % 2 else 1)

        return measured

    clocks = dict(slow=clock('slow', 0.2), fast=clock('fast', 0.1))
    times = interleave(clocks, 'slow', turns=10)
    assert times['fast'].speedup == times['fast'].speedup_low == pytest.approx(2)
    assert times['slow'].speedup == 1
    assert times['fast'].median == pytest.approx(550)  # in ms, between both


@pytest.mark.parametrize(
    'name', ['timm:mobilenetv3_large_100', 'mmghost:ghostnetv2-0.5']
)
def test_folding_keeps_the_outputs(name):
    model = randomize(build(name)).eval()
    folded = fold(model)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(folded(x), model(x)) < 1e-4  # float32, 60 layers
    assert not any('running_mean' in key for key in folded.state_dict())


@pytest.mark.parametrize('form', ['eager', 'channels-last', 'folded', 'deployed'])
def test_the_forms_of_inference_run(form):
    prepare('mmghost:ghostnetv2-0.5', form, 'infer', 1, 64)()


@pytest.mark.slow
@pytest.mark.parametrize('form', ['compiled', 'onnxruntime', 'openvino', 'amp'])
def test_compiled_and_exported_forms_run(form):
    prepare('mmghost:ghostnetv2-0.5', form, 'infer', 1, 64)()


@pytest.mark.slow
@pytest.mark.parametrize('form', ['eager', 'channels-last', 'amp'])
def test_the_forms_of_training_run(form):
    prepare('mmghost:ghostnetv2-0.5', form, 'train', 2, 64)()


def test_unknown_networks_and_forms_are_named():
    with pytest.raises(UserError, match='timm has no such model'):
        build('timm:ghostnetv9')
    with pytest.raises(UserError, match='mmghost:ghostnetv2-WIDTH'):
        build('ghostnetv2')
    with pytest.raises(UserError, match=r'--forms folder: .* there are eager'):
        Run('', ['timm:ghostnetv2_100'], ['folder'])


def test_another_checkout_stands_beside_ours():
    names = with_checkout(['timm:a', 'mmghost:ghostnetv2-1.0'], '../old')
    assert names[2] == 'mmghost@../old:ghostnetv2-1.0'
    for run in suites(against='../old')['quick']:
        assert set(names[1:]) <= set(run.models)


@pytest.mark.slow  # two processes that import torch
def test_networks_are_timed_in_processes_of_their_own(root, capsys):
    ours = 'mmghost:ghostnetv2-0.5'
    names = [ours, f'mmghost@{root}:ghostnetv2-0.5', 'timm:ghostnetv9']
    found = measure(Run('Tiny', names, ['eager'], size=32), seconds=0.1)
    times, again, missing = found['rows']
    assert times['speedup'] == 1
    assert 0.3 < again['speedup'] < 3  # the same network
    assert 'no such model' in missing['missing']
    assert json.loads(json.dumps(found)) is not None


def test_the_page_keeps_what_is_written_by_hand(tmp_path, call):
    row = dict(model='timm:x', form='eager')
    timing = dict(median=10, low=9, high=11, speedup=1, speedup_low=1, speedup_high=1)
    runs = [
        dict(
            title='A', reference=['timm:x', 'eager'], device='cpu', rows=[row | timing]
        )
    ]
    machine = dict(date='d', processor='p', threads=2, system='s', versions={})
    text = page(dict(machine=machine, runs=runs), f'earlier\n{BY_HAND}\n\n## Read me\n')
    assert '| timm:x | eager | 10.0 | 9.0 to 11.0 | 1.00 | 1.00 to 1.00 |' in text
    assert text.endswith('## Read me\n') and 'earlier' not in text
    # The command writes the same from a file.
    results, target = tmp_path / 'a.json', tmp_path / 'page.md'
    results.write_text(json.dumps(dict(machine=machine, runs=runs)))
    target.write_text(f'{BY_HAND}\n\n## Read me\n')
    call('analysis_tools/benchmark.py', '--read', results, '--page', target)
    assert target.read_text() == text
