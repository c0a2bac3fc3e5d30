"""train.py, test.py, image_demo.py, demo.py and the scripts as a user calls them."""

import json
import os
import runpy
import subprocess
import sys

import pytest

from tests.engine.toys import ROOT, state, write_config

TOOLS = ROOT / 'tools'
DET = 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py'
SCRIPTS = {
    'dist_train.sh c.py 8 --cfg-options a="b_c"': (
        'python -m torch.distributed.run --standalone --local_addr=127.0.0.1 '
        '--nproc_per_node=8 '
        '{tools}/train.py c.py --launcher pytorch --cfg-options a="b_c"'
    ),
    'dist_test.sh c.py x.pth 4 --tta': (
        'python -m torch.distributed.run --standalone --local_addr=127.0.0.1 '
        '--nproc_per_node=4 {tools}/test.py c.py x.pth --launcher pytorch --tta'
    ),
    'slurm_train.sh gpu job c.py work --resume': (
        'srun -p gpu --job-name=job --gres=gpu:8 --ntasks=8 --ntasks-per-node=8 '
        '--cpus-per-task=5 --kill-on-bad-exit=1 --mem=9 -t 5 '
        'python -u {tools}/train.py c.py --work-dir=work --launcher=slurm --resume'
    ),
    'slurm_test.sh gpu job c.py x.pth --out a.pkl': (
        'srun -p gpu --job-name=job --gres=gpu:8 --ntasks=8 --ntasks-per-node=8 '
        '--cpus-per-task=5 --kill-on-bad-exit=1 --mem=9 -t 5 '
        'python -u {tools}/test.py c.py x.pth --launcher=slurm --out a.pkl'
    ),
}
MACHINES = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='29501')


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a tool; return its exit status and what it printed."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        monkeypatch.chdir(ROOT)
        status = 0
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


@pytest.mark.parametrize(
    ('name', 'flags'),
    [
        ('train.py', '--work-dir --resume --amp --auto-scale-lr --launcher'),
        ('test.py', '--work-dir --out --show --show-dir --wait-time --tta'),
        ('image_demo.py', '--out --score-thr --device'),
        ('demo.py', '--out --seed'),
    ],
)
def test_help_shows_examples_and_the_flags(call, name, flags):
    status, text = call(name, '--help')
    assert status == 0
    assert f'python tools/{name}' in text
    assert all(flag in text for flag in [*flags.split(), '--cfg-options'])


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ('train.py configs/retinanet_ghostnet_coco.py', 'did you mean'),
        (f'train.py {DET} --cfg-options trian_cfg.x=1', 'did you mean train_cfg'),
        (
            f'train.py {DET} --cfg-options train_dataloader.dataset.data_root=nowhere',
            'there is no folder nowhere',
        ),
        (f'test.py {DET} gone.pth', 'checkpoint gone.pth: there is no such file'),
        (
            f'image_demo.py gone.jpg {DET} x --out y.png',
            'gone.jpg: there is no such image or folder',
        ),
        (
            'image_demo.py x.jpg x.py x --out y.png --score-thr 30',
            '--score-thr 30: scores go from 0 to 1',
        ),
    ],
)
def test_an_error_is_one_message_without_a_traceback_and_status_1(call, command, words):
    status, text = call(*command.split())
    assert status == 1
    assert 'Traceback' not in text
    assert text.count('error: ') == 1
    assert words in text[text.index('error: ') :]


def test_train_resume_test_and_demo_one_after_the_other(tmp_path, shapes, call):
    config, work = write_config(tmp_path, 'classification', shapes), tmp_path / 'mine'
    given = (config, '--work-dir', str(work))
    call('train.py', *given, '--cfg-options', 'train_cfg.max_iters=2')
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_2.pth')
    call('train.py', *given, '--resume', '--no-validate')
    assert state(work / 'iter_4.pth', 'meta')['iter'] == 4
    assert not list(work.glob('earlier_*'))

    checkpoint, out = str(work / 'iter_4.pth'), tmp_path / 'metrics.json'
    call('test.py', config, checkpoint, '--out', str(out), '--out-item', 'metrics')
    assert 'accuracy/top1' in json.loads(out.read_text())
    shown = tmp_path / 'shown'
    _, text = call('test.py', config, checkpoint, '--show-dir', str(shown))
    assert f'The images are in {shown}\n' in text
    assert list(shown.glob('*.png'))

    images, seen = str(shapes / 'imagenet' / 'val' / 'ring'), tmp_path / 'seen'
    call('image_demo.py', images, config, checkpoint, '--out', str(seen))
    assert [path.name for path in seen.iterdir()] == ['000001.png']


@pytest.mark.slow
def test_the_demo_writes_what_it_names_and_its_commands_run(tmp_path, call):
    out = tmp_path / 'two words'  # the commands are quoted
    status, text = call(
        'demo.py', '--out', str(out), '--cfg-options', 'train_cfg.max_epochs=1'
    )
    assert status == 0
    for name in ('predictions.png', 'curves.png', 'images', 'data'):
        assert (out / name).exists()
    (command,) = [line for line in text.splitlines() if 'tools/test.py' in line]
    command = command.strip().replace('python', sys.executable, 1)
    subprocess.run(command, shell=True, check=True, cwd=ROOT)


# Scripts -------------------------------------------------------------------------------


def bash(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ['bash', str(TOOLS / script), *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def fakes(tmp_path) -> str:
    """A PATH with programs that print how they were called."""
    for name in ('python', 'srun'):
        fake = tmp_path / name
        fake.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        fake.chmod(0o755)
    return f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'


@pytest.mark.parametrize(('call_', 'command'), SCRIPTS.items())
def test_scripts_start_the_tools_as_openmmlab_does(fakes, call_, command):
    script, *arguments = call_.split()
    assert os.access(TOOLS / script, os.X_OK)
    done = bash(script)
    assert done.returncode == 2
    assert f'bash tools/{script} ' in done.stdout
    done = bash(script, *arguments, PATH=fakes, SRUN_ARGS='--mem=9 -t 5')
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == command.format(tools=TOOLS)


def test_several_machines_are_told_apart_by_their_variables(fakes):
    done = bash('dist_train.sh', 'c.py', '8', PATH=fakes, **MACHINES)
    words = '--nnodes=2 --node_rank=1 --master_addr=10.0.0.1 --master_port=29501'
    assert words in done.stdout
