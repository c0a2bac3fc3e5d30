"""A config trains and scores the same under our tools and under the toolboxes' own."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .toys import ROOT, evaluate, logged, state, train, write_config

METRIC = {'mmdet': 'coco/bbox_mAP', 'mmseg': 'mIoU', 'mmpretrain': 'accuracy/top1'}


def tool(scope: str, name: str, *arguments: str) -> None:
    """Run a toolbox's own tool, with mmcv's operators where mmcv has none."""
    package = Path(importlib.util.find_spec(scope).origin).parent
    script = str(package / '.mim' / 'tools' / name)
    done = subprocess.run(
        [sys.executable, '-m', 'mmghost.ops', script, *arguments],
        env=os.environ | {'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ('task', 'scope'),
    [
        ('detection', 'mmdet'),
        pytest.param('segmentation', 'mmseg', marks=pytest.mark.slow),
        pytest.param('classification', 'mmpretrain', marks=pytest.mark.slow),
    ],
)
def test_a_config_gives_the_same_weights_and_metrics_under_either_tool(
    tmp_path, shapes, trained, task, scope
):
    # mmpretrain's own tool asks for workers that live on.
    more = 'for d in (train_dataloader, val_dataloader): d.update(num_workers=1)'
    path = write_config(tmp_path, task, shapes, more)
    work = tmp_path / 'theirs'
    tool(scope, 'train.py', path, '--work-dir', str(work))
    theirs = state(work / 'iter_4.pth')
    for name, value in state(trained[task][1] / 'iter_4.pth').items():
        # The same operations, in a process of its own.
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-6)

    if task == 'detection':
        return  # the slow ones are enough for the evaluation
    tool(scope, 'test.py', path, str(work / 'iter_4.pth'), '--work-dir', str(work))
    ours = evaluate(path, work / 'iter_4.pth')[METRIC[scope]]
    printed = re.findall(rf'{METRIC[scope]}: +(-?[\d.]+)', logged(work))
    # The validation of the training and the test, both rounded.
    assert [float(p) for p in printed] == pytest.approx([ours] * 2, abs=5e-3)


@pytest.mark.slow
def test_compile_leaves_the_optimizer_alone(tmp_path, shapes):
    """mmengine compiles all of train_step; torch 2.14 cannot trace Adam's step."""
    for name, compiled in zip('ab', (False, dict(backend='eager'))):
        options = {'compile': compiled, 'work_dir': str(tmp_path / name)}
        options['optim_wrapper.optimizer'] = dict(type='AdamW', lr=1e-3, _delete_=True)
        train(write_config(tmp_path, 'classification', shapes), options)
    ends = (state(tmp_path / name / 'iter_4.pth') for name in 'ab')
    torch.testing.assert_close(
        *ends, rtol=1e-4, atol=1e-5
    )  # traced, the same operations
