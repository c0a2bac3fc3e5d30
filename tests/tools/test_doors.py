"""The tools as a person calls them: help, errors, and the scripts around them."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.engine.toys import write_config

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'
SCRIPTS = ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh')


def run(*command: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
    return run(sys.executable, str(TOOLS / name), *arguments)


@pytest.mark.parametrize('name', ['train.py', 'test.py', 'image_demo.py'])
def test_help_shows_examples_and_the_flags(name):
    done = tool(name, '--help')
    assert done.returncode == 0
    assert f'python tools/{name} ' in done.stdout
    flags = {
        'train.py': [
            '--work-dir',
            '--resume',
            '--amp',
            '--auto-scale-lr',
            '--launcher',
        ],
        'test.py': [
            '--work-dir',
            '--out',
            '--show',
            '--show-dir',
            '--wait-time',
            '--tta',
        ],
        'image_demo.py': ['--out', '--score-thr', '--device'],
    }[name]
    for flag in [*flags, '--cfg-options']:
        assert flag in done.stdout


@pytest.mark.parametrize(
    ('name', 'arguments', 'words'),
    [
        ('train.py', ['configs/retinanet_ghostnet_coco.py'], 'did you mean'),
        (
            'train.py',
            [
                'configs/detection/retinanet_ghostnetv2-1.0_shapes.py',
                '--cfg-options',
                'train_dataloader.dataset.data_root=nowhere',
            ],
            'train_dataloader.dataset.data_root: there is no folder nowhere',
        ),
        (
            'test.py',
            ['configs/detection/retinanet_ghostnetv2-1.0_shapes.py', 'gone.pth'],
            'checkpoint gone.pth: there is no such file',
        ),
        (
            'image_demo.py',
            ['gone.jpg', 'configs/retinanet_ghostnetv2_coco.py', 'x', '--out', 'y.png'],
            'gone.jpg: there is no such picture or folder',
        ),
        (
            'image_demo.py',
            ['x.jpg', 'x.py', 'x', '--out', 'y.png', '--score-thr', '30'],
            '--score-thr 30: scores go from 0 to 1',
        ),
    ],
    ids=['config', 'data', 'checkpoint', 'picture', 'threshold'],
)
def test_an_error_is_one_message_without_a_traceback_and_status_1(
    name, arguments, words
):
    done = tool(name, *arguments)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert done.stderr.count('error: ') == 1
    assert words in done.stderr[done.stderr.index('error: ') :]


def test_train_resume_test_and_demo_one_after_the_other(
    tmp_path, shapes, monkeypatch, capsys
):
    config = write_config(tmp_path, 'classification', shapes)
    work = tmp_path / 'mine'

    def call(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        runpy.run_path(str(TOOLS / name), run_name='__main__')

    short = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    call('train.py', config, '--work-dir', str(work), '--cfg-options', *short)
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_2.pth')
    call('train.py', config, '--work-dir', str(work), '--resume', '--no-validate')
    meta = torch.load(work / 'iter_4.pth', weights_only=False)['meta']
    assert meta['iter'] == 4
    assert not list(work.glob('earlier_*'))

    checkpoint, out = str(work / 'iter_4.pth'), str(tmp_path / 'metrics.json')
    call('test.py', config, checkpoint, '--out', out, '--out-item', 'metrics')
    assert 'accuracy/top1' in json.loads(Path(out).read_text())
    shown = tmp_path / 'shown'
    capsys.readouterr()
    call('test.py', config, checkpoint, '--show-dir', str(shown))
    assert capsys.readouterr().out.endswith(f'The pictures are in {shown}\n')
    assert list(shown.glob('*.png'))

    pictures, seen = str(shapes / 'imagenet' / 'val' / 'ring'), tmp_path / 'seen'
    call(
        'image_demo.py',
        pictures,
        config,
        checkpoint,
        '--out',
        str(seen),
        '--device',
        'cpu',
    )
    assert [path.name for path in seen.iterdir()] == ['000001.png']


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_are_valid_shell_and_say_how_they_are_called(script):
    path = str(TOOLS / script)
    assert run('bash', '-n', path).returncode == 0
    assert os.access(path, os.X_OK)
    done = run('bash', path)
    assert done.returncode == 2
    assert f'bash tools/{script} ' in done.stdout


@pytest.mark.parametrize(
    ('script', 'arguments', 'command'),
    [
        (
            'dist_train.sh',
            ['c.py', '8', '--cfg-options', 'a="b c"'],
            'python -m torch.distributed.run --standalone --local_addr=127.0.0.1 '
            '--nproc_per_node=8 '
            '{tools}/train.py c.py --launcher pytorch --cfg-options a="b c"',
        ),
        (
            'dist_test.sh',
            ['c.py', 'x.pth', '4', '--tta'],
            'python -m torch.distributed.run --standalone --local_addr=127.0.0.1 '
            '--nproc_per_node=4 '
            '{tools}/test.py c.py x.pth --launcher pytorch --tta',
        ),
        (
            'slurm_train.sh',
            ['gpu', 'job', 'c.py', 'work', '--resume'],
            'srun -p gpu --job-name=job --gres=gpu:8 --ntasks=8 --ntasks-per-node=8 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --mem=9 -t 5 '
            'python -u {tools}/train.py c.py --work-dir=work --launcher=slurm --resume',
        ),
        (
            'slurm_test.sh',
            ['gpu', 'job', 'c.py', 'x.pth', '--out', 'a.pkl'],
            'srun -p gpu --job-name=job --gres=gpu:8 --ntasks=8 --ntasks-per-node=8 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --mem=9 -t 5 '
            'python -u {tools}/test.py c.py x.pth --launcher=slurm --out a.pkl',
        ),
    ],
    ids=SCRIPTS,
)
def test_scripts_start_the_tools_as_openmmlab_does(
    tmp_path, script, arguments, command
):
    for name in ('python', 'srun'):  # they print how they were called
        fake = tmp_path / name
        fake.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        fake.chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    done = run(
        'bash', str(TOOLS / script), *arguments, PATH=path, SRUN_ARGS='--mem=9 -t 5'
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == command.format(tools=TOOLS)


@pytest.mark.skipif(shutil.which('srun') is not None, reason='Slurm is here')
@pytest.mark.parametrize('door', ['train', 'test'])
def test_without_slurm_its_scripts_name_those_that_need_none(door):
    done = run('bash', str(TOOLS / f'slurm_{door}.sh'), 'part', 'job', 'c.py', 'x')
    assert done.returncode == 1
    assert f'there is no srun here; without Slurm there is tools/dist_{door}.sh' in (
        done.stderr
    )


def test_several_machines_are_told_apart_by_their_variables(tmp_path):
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    done = run(
        'bash',
        str(TOOLS / 'dist_train.sh'),
        'c.py',
        '8',
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
        PORT='29501',
    )
    assert (
        '--nnodes=2 --node_rank=1 --master_addr=10.0.0.1 --master_port=29501'
        in done.stdout
    )
