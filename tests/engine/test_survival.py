"""What happens to a training when things go wrong: nothing earlier is lost."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmghost.engine import FiniteHook, InterruptHook
from mmghost.engine.hooks.exact_resume_hook import SeedSample, pipelines
from mmghost.engine.launch import explained
from mmghost.errors import UserError

from .toys import MAINLY_ONE_TASK, ROOT, TASKS, logged, state, train, write_config

# By epochs, with batch norm, dropout, random augmentation and workers that live on.
BY_EPOCH = """
model['backbone'].pop('norm_cfg')
model['backbone'].update(drop_path_rate=0.2)
pipeline.insert(2, dict(type='RandomFlip', prob=0.5))
train_dataloader.update(
    num_workers=1, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs={epochs}, val_interval=9)
default_hooks.update(checkpoint=dict(by_epoch=True, interval=1, save_best=None))
log_processor = dict(by_epoch=True)
optim_wrapper.update(clip_grad=dict(max_norm=1.0))  # so long a toy would diverge
"""
BY_ITERATION = """
model['backbone'].update(drop_path_rate=0.2)
pipeline[1] = dict(type='RandomResizedCrop', scale=64)
train_dataloader.update(sampler=dict(type='InfiniteSampler', shuffle=True))
train_cfg.update(max_iters=6, val_interval=9)
default_hooks.update(checkpoint=dict(by_epoch=False, interval=3, save_best=None))
"""
BATCH_NORM = "\nmodel['backbone'].pop('norm_cfg')\n"
STATES = ('state_dict', 'optimizer', 'param_schedulers')


def hooks(*configs: dict) -> str:
    return f'custom_hooks = {list(configs)!r}{BATCH_NORM}'


@HOOKS.register_module()
class Poison(Hook):
    """Put NaN into the images of one iteration."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            inputs = data_batch['inputs']
            wrong = [torch.full_like(p, np.nan, dtype=torch.float32) for p in inputs]
            stacked = torch.is_tensor(inputs)  # as mmpretrain has them
            data_batch['inputs'] = torch.stack(wrong) if stacked else wrong


def assert_equal(a, b, where: str = '') -> None:
    """Compare nested states, to the last bit."""
    if torch.is_tensor(a):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f'{where}.{key}')
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            assert_equal(x, y, f'{where}[{i}]')
    else:
        assert a == b, where


def assert_same_training(a: Path, b: Path, keys: tuple[str, ...] = STATES) -> None:
    """Weights, optimizer and schedules of two checkpoints are equal."""
    for key in keys:
        assert_equal(state(a, key), state(b, key), key)


# An infinite loss ----------------------------------------------------------------------


@pytest.mark.parametrize('task', TASKS)
def test_an_infinite_loss_stops_the_training_before_the_weights_change(
    tmp_path, shapes, task
):
    path = write_config(tmp_path, task, shapes, hooks(dict(type='Poison', at=2)))
    with pytest.raises(UserError, match=r'iteration 3: .*loss.* is nan') as caught:
        train(path)
    assert len(re.findall(r'[\w/]+\.jpg', str(caught.value))) == 2
    saved = tmp_path / 'work' / 'nonfinite_iter_3.pth'
    assert state(saved, 'meta')['iter'] == 2
    # Iteration 2 has a regular checkpoint: the state before iteration 3 is that one.
    keys = ('state_dict', 'optimizer')
    assert_same_training(saved, tmp_path / 'work' / 'iter_2.pth', keys)


@pytest.mark.parametrize('average', [{}, {'priority': 49}], ids=['normal', 'rtmdet'])
def test_a_skipped_step_leaves_weights_statistics_and_their_average_finite(
    tmp_path, shapes, average
):
    """Also where the averaging comes before other hooks, as in RTMDet's config."""
    ema = dict(type='EMAHook', update_buffers=True, momentum=0.5, **average)
    more = hooks(ema, dict(type='Poison', at=1))
    path = write_config(tmp_path, 'classification', shapes, more)
    train(path, {'default_hooks.finite.action': 'skip'})
    words = r'iteration 2: loss is nan; step skipped. Images: \S+\.jpg'
    assert re.search(words, logged(tmp_path / 'work'))
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in state(tmp_path / 'work' / 'iter_4.pth', key).items():
            assert torch.as_tensor(value).isfinite().all(), f'{key}: {name}'


def test_skipping_ends_after_so_many_in_a_row(tmp_path, shapes):
    path = write_config(tmp_path, 'classification', shapes)
    options = {
        'default_hooks.finite.action': 'skip',
        'default_hooks.finite.max_skips': 2,
        'optim_wrapper.optimizer.lr': 1e30,
        'param_scheduler': [],
    }
    with pytest.raises(UserError, match=r'iteration [34]'):
        train(path, options)


def test_an_overflow_is_left_to_the_loss_scaler_of_a_fused_optimizer():
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad, hook = torch.full((2,), np.inf), FiniteHook()
    optimizer = torch.optim.SGD([weight], lr=0.1)
    optimizer.found_inf = torch.ones(())
    hook._before_step(optimizer)
    assert not hook._prevented and weight.grad is not None


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match=r"'stop', 'skip'.*'pass'"):
        FiniteHook('pass')


# The machine ---------------------------------------------------------------------------


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no /dev/full here')
def test_a_full_disk_is_one_message_and_the_earlier_checkpoint_serves(tmp_path, shapes):
    path, work = write_config(tmp_path, 'classification', shapes), tmp_path / 'work'
    train(path, {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 9})
    (work / 'iter_4.pth').symlink_to('/dev/full')  # every write to it: no space left
    with pytest.raises(UserError, match=r'No space left.*--resume goes on') as caught:
        train(path, resume='auto')
    assert isinstance(caught.value.__cause__, OSError)
    (work / 'iter_4.pth').unlink()
    assert train(path, resume='auto').load_from == str(work / 'iter_2.pth')


@pytest.mark.parametrize('seconds', [0, 0.2], ids=['at-once', 'after-its-pipe-broke'])
def test_a_killed_worker_is_one_message(tmp_path, shapes, seconds):
    @HOOKS.register_module(force=True)
    class KillWorker(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 2:
                iterator = runner.train_loop.dataloader_iterator._iterator
                end = (iterator._workers[0].pid, signal.SIGKILL)
                (timer := threading.Timer(seconds, os.kill, end)).start()
                if seconds:
                    raise EOFError
                timer.join()

    more = 'train_dataloader.update(num_workers=1)\n' + hooks(dict(type='KillWorker'))
    path = write_config(tmp_path, 'classification', shapes, more)
    with pytest.raises(UserError, match=r'DataLoader worker.*num_workers.*--resume'):
        train(path, {'train_cfg.max_iters': 40})
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()


def test_without_a_network_the_way_on_is_one_message_and_other_errors_pass():
    cfg = Config(dict(work_dir='w'))
    with pytest.raises(UserError, match=r'not known.*checkpoint=FILE'), explained(cfg):
        raise urllib.error.URLError('Name or service not known')
    with pytest.raises(RuntimeError, match='shape mismatch'), explained(cfg):
        raise RuntimeError('shape mismatch')


# Told to end ---------------------------------------------------------------------------


def start(*arguments: str) -> subprocess.Popen:
    """Start tools/train.py in a session, and so a process group, of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def finish(*arguments: str) -> None:
    """Let a training run to its end."""
    process = start(*arguments)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-2000:]


def wait_for(found, process: subprocess.Popen, seconds: float = 300) -> None:
    """Wait until ``found()``, which a running process is to bring about."""
    end = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.monotonic() < end, f'nothing in {seconds} s'
        time.sleep(0.02)


@pytest.mark.parametrize(
    'by_epoch',
    [
        pytest.param(False, id='iterations'),
        pytest.param(True, id='epochs', marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_at_the_terminal_saves_the_state_and_leaves_the_workers_alone(
    tmp_path, shapes, by_epoch
):
    """A terminal sends it to the whole process group, workers included."""
    long = 'train_cfg.update(max_iters=5000, val_interval=5000)\nparam_scheduler = []'
    more = BY_EPOCH.format(epochs=999) if by_epoch else long
    more = more.replace('num_workers=1', 'num_workers=2')
    if not by_epoch:  # whose workers mmengine forks before any hook is called
        more += '\ntrain_dataloader.update(num_workers=2)'
    path = write_config(tmp_path, 'classification', shapes, more)
    work = tmp_path / 'work'
    process = start(path, '--cfg-options', 'param_scheduler=[]')
    first = 'epoch_1.pth' if by_epoch else 'iter_2.pth'
    wait_for((work / first).is_file, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors[-2000:]
    assert errors.count('SIGINT: the state will be saved') == 1
    assert 'Traceback' not in errors
    if by_epoch:
        (saved,) = work.glob('interrupted_iter_*.pth')
        assert errors.splitlines()[-1] == (
            f'interrupted; --resume {saved} goes on from here, --resume alone from the '
            'end of the last epoch'
        )
        return
    last = Path((work / 'last_checkpoint').read_text())
    done = state(last, 'meta')['iter']
    assert last.name == f'iter_{done}.pth'
    # To resume from it is to go on with the next iteration.
    options = {f'train_cfg.{k}': done + 1 for k in ('max_iters', 'val_interval')}
    assert train(path, options, resume='auto').load_from == str(last)


def test_sigterm_may_come_twice_at_once_and_ctrl_c_then_ends():
    hook = InterruptHook()
    hook._process, hook._training = os.getpid(), True
    for _ in range(2):  # as `timeout` sends it
        hook._receive(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        hook._receive(signal.SIGINT, None)


def test_told_to_end_in_an_evaluation_it_saves_the_weights_of_the_training(
    tmp_path, shapes
):
    """While it evaluates, the averaged weights are in the model's place."""

    work = tmp_path / 'work'

    @HOOKS.register_module(force=True)
    class Tell(Hook):
        def after_val_iter(self, runner, **_):
            shutil.copy(work / 'iter_4.pth', tmp_path / 'regular.pth')
            for hook in runner.hooks:
                if isinstance(hook, InterruptHook):
                    hook.received = signal.SIGTERM

    more = hooks(dict(type='EMAHook', momentum=0.5), dict(type='Tell'))
    with pytest.raises(KeyboardInterrupt):
        train(write_config(tmp_path, 'classification', shapes, more))
    assert 'interrupted: the state is in' in logged(work)
    keys = ('state_dict', 'ema_state_dict', 'optimizer')
    assert_same_training(work / 'iter_4.pth', tmp_path / 'regular.pth', keys)


# Killed and resumed --------------------------------------------------------------------


@pytest.mark.parametrize('task', MAINLY_ONE_TASK)
def test_resuming_by_epochs_repeats_augmentation_and_dropout(tmp_path, shapes, task):
    path = write_config(tmp_path, task, shapes, BY_EPOCH.format(epochs=2))
    whole, halves = tmp_path / 'whole', tmp_path / 'halves'
    train(path, {'work_dir': str(whole)})
    train(path, {'work_dir': str(halves), 'train_cfg.max_epochs': 1})
    train(path, {'work_dir': str(halves)}, resume='auto')
    assert_same_training(whole / 'epoch_2.pth', halves / 'epoch_2.pth')


@pytest.mark.parametrize(
    'sampler, workers',
    [
        pytest.param('DefaultSampler', 0, marks=pytest.mark.slow),
        pytest.param('InfiniteSampler', 0, marks=pytest.mark.slow),
        ('InfiniteSampler', 2),
    ],
)
def test_resuming_by_iterations_repeats_augmentation_and_dropout(
    tmp_path, shapes, sampler, workers
):
    path = write_config(tmp_path, 'classification', shapes, BY_ITERATION)
    loading = {
        'train_dataloader.sampler.type': sampler,
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': workers > 0,
    }
    whole, halves = tmp_path / 'whole', tmp_path / 'halves'
    train(path, {'work_dir': str(whole), **loading})
    train(path, {'work_dir': str(halves), 'train_cfg.max_iters': 3, **loading})
    train(path, {'work_dir': str(halves), **loading}, resume='auto')
    assert_same_training(whole / 'iter_6.pth', halves / 'iter_6.pth')


def wait_until_it_logs(work: Path, process: subprocess.Popen) -> None:
    """Wait until a training has opened a new log, which it does once it is built."""
    before = set(work.rglob('*.log'))
    wait_for(lambda: set(work.rglob('*.log')) - before, process)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # twenty trainings
def test_killed_at_random_moments_it_ends_in_the_same_numbers(tmp_path, shapes):
    """Twenty kills over the three toolboxes."""
    dice = random.Random(0)
    kills = 0
    for task in TASKS:
        folder = tmp_path / task
        folder.mkdir()
        path = write_config(folder, task, shapes, BY_EPOCH.format(epochs=12))
        finish(path)
        (folder / 'work').rename(folder / 'whole')
        last = folder / 'work' / 'epoch_12.pth'
        while kills < {'detection': 7, 'segmentation': 14, 'classification': 20}[task]:
            process = start(path, '--resume')
            wait_until_it_logs(folder / 'work', process)
            try:
                process.wait(timeout=dice.uniform(0.5, 12))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
            if last.exists():
                assert_same_training(last, folder / 'whole' / 'epoch_12.pth')
                shutil.rmtree(folder / 'work')  # and from the beginning again
        finish(path, '--resume')
        assert_same_training(last, folder / 'whole' / 'epoch_12.pth')
    assert kills == 20


# Random numbers ------------------------------------------------------------------------


def test_what_a_sample_draws_depends_on_its_place_alone():
    epoch = torch.zeros(1, dtype=torch.int64)

    def draws(step: SeedSample) -> list[tuple]:
        found = []
        for _ in range(3):
            step({})
            found.append((random.random(), np.random.rand(), float(torch.rand(()))))
        return found

    first = draws(SeedSample(3, 0, epoch))
    assert len(set(first)) == 3
    random.random(), torch.rand(5), np.random.rand(7)  # what ran before
    step = SeedSample(3, 0, epoch)
    assert draws(step) == first
    assert draws(SeedSample(4, 0, epoch)) != first
    assert draws(SeedSample(3, 1, epoch)) != first
    epoch.fill_(1)
    second = draws(step)
    assert second != first
    assert draws(SeedSample(3, 0, epoch)) == second


def test_pipelines_inside_wrappers_are_found():
    class Box:
        def __init__(self, **parts):
            self.__dict__.update(parts)

    inner = [Box(pipeline=Box(transforms=[name])) for name in 'ab']
    both = Box(dataset=Box(datasets=inner), pipeline=Box(transforms=[]))
    assert [found[0] for found in pipelines(both)] == ['a', 'b']
