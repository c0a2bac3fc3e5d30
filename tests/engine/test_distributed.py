"""Two processes on the CPU do what one does with the bigger batch."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .toys import MAINLY_ONE_TASK, ROOT, evaluate, state, train, write_config

# RetinaNet's head divides by the positive anchors of its own process, in mmdet; ATSS
# takes their mean over all processes, which makes it one bigger batch.
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
# What makes two processes differ from one, unless it is done right: frozen stages, layers
# past the last output, steps over four batches with two left over, a last batch that is
# not full, images that do not divide by the processes. Python runs the last line at its
# very end, when the threads of gloo must be gone: one that drops a tensor later aborts.
MORE = """
model['backbone'].update(frozen_stages=2)
train_dataloader.update(
    batch_size=3, sampler=dict(type='DefaultSampler', shuffle=False))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
optim_wrapper.update(accumulative_counts=4)
val_dataset['indices'] = 7
val_dataloader['batch_size'] = 2
default_hooks.update(checkpoint=dict(by_epoch=True, interval=1, save_best=None))
log_processor = dict(by_epoch=True)
import atexit
import os
atexit.register(lambda: print('threads at the end:', len(os.listdir('/proc/self/task'))))
"""


def launched(script: str, *arguments: str) -> str:
    """Run ``tools/dist_*.sh`` on the CPU; return what it printed."""
    python = Path(sys.executable).parent
    env = {
        'PATH': f'{python}{os.pathsep}{os.environ["PATH"]}',
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
    }
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / script), *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    printed = done.stdout + done.stderr
    # Gloo has three; the main one is left and, on the older stack, one of a library.
    assert max(map(int, re.findall(r'threads at the end: (\d+)', printed))) <= 2
    return printed


@pytest.mark.parametrize('task', MAINLY_ONE_TASK)
def test_two_processes_train_and_test_as_one_with_the_bigger_batch(
    tmp_path, shapes, task, monkeypatch
):
    monkeypatch.setattr('mmghost.engine.launch.get_device', lambda: 'cpu')
    more = MORE + ATSS * (task == 'detection')
    path = write_config(tmp_path, task, shapes, more)
    one, two = tmp_path / 'one', tmp_path / 'two'
    train(path, {'train_dataloader.batch_size': 6, 'work_dir': str(one)})
    launched('dist_train.sh', path, '2', '--work-dir', str(two))

    begun = state(one / 'epoch_1.pth')
    first, second = state(one / 'epoch_2.pth'), state(two / 'epoch_2.pth')
    assert first.keys() == second.keys()
    frozen = re.compile(r'backbone\.(conv_stem|bn1|blocks\.[012]\.)')
    for name, value in first.items():
        if frozen.match(name):
            assert torch.equal(value, begun[name]), name
            assert torch.equal(value, second[name]), name
        # Sums of gradients in another order, in 32 bit; steps are of the order of 1e-2.
        torch.testing.assert_close(
            second[name], value, rtol=1e-3, atol=1e-5, msg=f'{name} differs'
        )
    assert max(float((first[n] - begun[n]).abs().max()) for n in first) > 1e-3

    if task == 'classification':  # the slow ones are enough for the evaluation
        return
    metrics = evaluate(path, one / 'epoch_2.pth')
    printed = launched('dist_test.sh', path, str(two / 'epoch_2.pth'), '2')
    compared = 0
    for name, value in metrics.items():
        shown = re.findall(rf'(?<!\S){re.escape(name)}: +(-?[\d.]+)', printed)
        if 'time' not in name and shown:
            assert float(shown[-1]) == pytest.approx(value, abs=5e-3)  # printed rounded
            compared += 1
    assert compared
