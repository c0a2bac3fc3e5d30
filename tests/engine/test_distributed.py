"""Two processes on the CPU do what one does with the bigger batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)

from .toys import ROOT, write_config

# RetinaNet's head divides by the positive anchors of its own process, in mmdet; ATSS
# takes their mean over all processes, which is what makes it one bigger batch.
ATSS = """
model['type'] = 'ATSS'
model['bbox_head'].update(
    type='ATSSHead', loss_bbox=dict(type='GIoULoss'),
    loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True),
    norm_cfg=dict(type='GN', num_groups=1))
model['train_cfg'] = dict(
    assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1,
    debug=False)
"""
TASKS = [
    'classification',
    pytest.param('segmentation', marks=pytest.mark.slow),
    pytest.param('detection', marks=pytest.mark.slow),
]


def two_processes(script: str, *arguments: str) -> str:
    """Run ``tools/dist_*.sh`` with two processes; return what it printed."""
    python = Path(sys.executable).parent
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / script), *arguments],
        env={
            **os.environ,
            'PATH': f'{python}{os.pathsep}{os.environ["PATH"]}',
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize('task', TASKS)
def test_two_processes_train_and_test_as_one_with_the_bigger_batch(
    tmp_path, shapes, task, monkeypatch
):
    monkeypatch.setattr('mmghost.engine.launch.get_device', lambda: 'cpu')
    path = write_config(tmp_path, task, shapes, ATSS if task == 'detection' else '')
    one, two = tmp_path / 'one', tmp_path / 'two'
    cfg = load_config(path, {'train_dataloader.batch_size': 4}, str(one))
    run_train(prepare_train(cfg))
    printed = two_processes('dist_train.sh', path, '2', '--work-dir', str(two))
    assert 'the processes talk by gloo' in printed

    first = torch.load(one / 'iter_4.pth', weights_only=False)['state_dict']
    second = torch.load(two / 'iter_4.pth', weights_only=False)['state_dict']
    start = torch.load(one / 'iter_2.pth', weights_only=False)['state_dict']
    for name, value in first.items():
        # Sums of gradients in another order, in 32 bit; steps are of the order of 1e-2.
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=2e-6)
    assert max(float((first[n] - start[n]).abs().max()) for n in first) > 1e-3

    cfg = prepare_test(load_config(path), str(one / 'iter_4.pth'))
    for name, value in run_test(cfg).items():
        if 'time' not in name:
            metric, expected = name, value
            break
    printed = two_processes('dist_test.sh', path, str(two / 'iter_4.pth'), '2')
    (line,) = [line for line in printed.splitlines() if f'{metric}: ' in line]
    shown = float(line.split(f'{metric}: ')[1].split()[0])
    assert shown == pytest.approx(expected, abs=5e-3)  # it is printed rounded


def test_a_launcher_that_starts_nothing_on_a_cpu_is_refused(
    tmp_path, shapes, monkeypatch
):
    from mmghost.engine.errors import UserError

    monkeypatch.setattr('mmghost.engine.launch.get_device', lambda: 'cpu')
    cfg = load_config(write_config(tmp_path, 'classification', shapes))
    with pytest.raises(UserError, match=r'--launcher slurm needs GPUs.*dist_train\.sh'):
        prepare_train(cfg, launcher='slurm')
