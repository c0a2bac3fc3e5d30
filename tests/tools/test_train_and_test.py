"""train.py, test.py, image_demo.py, demo.py and the scripts as a user calls them."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmghost.errors import UserError
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


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ('train.py configs/retinanet_ghostnet_coco.py', 'did you mean'),
        (f'test.py {DET} gone.pth', 'gone.pth: there is no such file'),
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
    call('test.py', config, checkpoint, '--show-dir', str(shown))
    assert list(shown.glob('*.png'))

    images, seen = str(shapes / 'imagenet' / 'val' / 'ring'), tmp_path / 'seen'
    call('image_demo.py', images, config, checkpoint, '--out', str(seen))
    assert [path.name for path in seen.iterdir()] == ['000001.png']


# image_demo.py -------------------------------------------------------------------------

DEMO = runpy.run_path(str(TOOLS / 'image_demo.py'))


def test_predictions_are_written_as_json_and_label_maps(
    tmp_path, trained, shapes, call
):
    config, work = trained['segmentation']
    images = shapes / 'ade/ADEChallengeData2016/images/validation'
    out, maps = tmp_path / 'a.json', tmp_path / 'maps'
    given = (str(images), config, str(work / 'iter_4.pth'), '--batch-size', '3')
    status, text = call(
        'image_demo.py', *given, '--json', str(out), '--label-maps', str(maps)
    )
    assert status == 0
    found = json.loads(out.read_text())
    assert len(found) == len(list(images.iterdir())) == len(list(maps.iterdir()))
    for path, result in found.items():
        labels = np.asarray(Image.open(maps / f'{Path(path).stem}.png'))
        assert result['labels'] == np.unique(labels).tolist()
        assert sum(result['pixels']) == labels.size
        assert f'{path}: classes {result["classes"][0]} ' in text
    status, text = call('image_demo.py', *given)
    assert status == 2 and '--out, --json or --label-maps' in text


def test_a_video_becomes_a_video_with_a_result_for_each_frame(tmp_path, trained, call):
    config, work = trained['detection']
    writer = cv2.VideoWriter(
        str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 64)
    )
    for shade in (0, 90, 180):
        writer.write(np.full((64, 96, 3), shade, np.uint8))
    writer.release()
    given = (str(tmp_path / 'a.avi'), config, str(work / 'iter_4.pth'), '--out')
    out, found = tmp_path / 'b.mp4', tmp_path / 'b.json'
    assert call('image_demo.py', *given, str(out), '--json', str(found))[0] == 0
    assert list(json.loads(found.read_text())) == [f'{given[0]}#{i}' for i in range(3)]
    capture = cv2.VideoCapture(str(out))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert capture.read()[1].shape == (64, 96, 3)
    assert 'videos end in' in call('image_demo.py', *given, 'b.png')[1]
    words = call('image_demo.py', '77', *given[1:], str(out))[1]  # a webcam
    assert '77: no video or webcam that OpenCV can open' in words
    (tmp_path / 'folder.mp4').mkdir()
    given = (*given, str(tmp_path / 'folder.mp4'))
    assert 'OpenCV cannot write it' in call('image_demo.py', *given)[1]
    words = call('image_demo.py', *given, '--json', 'no/b.json')[1]
    assert 'error: no/b.json: No such file or directory' in words


def test_a_folder_of_images_becomes_a_folder_of_images(tmp_path, shapes):
    source = str(shapes / 'imagenet' / 'val')
    found = DEMO['find_images'](source)
    outputs = DEMO['output_paths'](source, found, str(tmp_path / 'seen'))
    assert len(set(outputs)) == len(found) == 8
    assert outputs[0] == str(tmp_path / 'seen' / 'circle' / '000001.png')


def test_where_drawn_images_go(tmp_path):
    paths = DEMO['output_paths']
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        Image.new('RGB', (4, 4)).save(tmp_path / name)
    outputs = paths(str(tmp_path), DEMO['find_images'](str(tmp_path)), 'out')
    assert outputs == ['out/a.jpg.png', 'out/a.png.png', 'out/b.png']
    assert paths('x/a.jpg', ['x/a.jpg'], 'out.png') == ['out.png']
    assert paths('x/a.jpg', ['x/a.jpg'], 'out') == ['out.png']
    assert paths('x/a.jpg', ['x/a.jpg'], str(tmp_path)) == [f'{tmp_path}/a.png']
    with pytest.raises(UserError, match=r'one\.png: name a folder for the images'):
        paths(str(tmp_path), ['a.jpg', 'b.jpg'], 'one.png')
    with pytest.raises(UserError, match='images end in'):
        paths('x/a.jpg', ['x/a.jpg'], 'out.txt')


def test_images_that_are_not_there_or_not_whole_are_refused_by_name(tmp_path):
    find = DEMO['find_images']
    with pytest.raises(UserError, match='holds no images'):
        find(str(tmp_path))
    image = tmp_path / 'a.jpg'
    Image.new('RGB', (64, 64)).save(image)
    image.write_bytes(image.read_bytes()[:-100])
    with pytest.raises(UserError, match=r'a\.jpg is'):
        find(str(tmp_path))
    with pytest.raises(UserError, match=r'such image or folder; did you mean a\.jpg'):
        find(str(tmp_path / 'a.jpeg'))


# demo.py -------------------------------------------------------------------------------


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
