"""What happens to a training when things go wrong: nothing earlier is lost."""

import multiprocessing.connection
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS

from mmghost.engine import FiniteHook, InterruptHook, checkpoints
from mmghost.engine.explaining import explain_fault
from mmghost.engine.hooks.exact_resume_hook import SeedSample, pipelines
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.errors import UserError

from .toys import ROOT, TASKS, write_config

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


@HOOKS.register_module()
class Poison(Hook):
    """Put NaN into the pictures of one iteration."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            inputs = data_batch['inputs']
            wrong = [torch.full_like(p, np.nan, dtype=torch.float32) for p in inputs]
            stacked = torch.is_tensor(inputs)  # as mmpretrain has them
            data_batch['inputs'] = torch.stack(wrong) if stacked else wrong


@HOOKS.register_module()
class AddInfinity(Hook):
    """Add a constant to the loss of one iteration: its gradients stay as they were."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train(self, runner):
        parse = runner.model.parse_losses

        def add(losses):
            total, logged = parse(losses)
            if runner.iter == self.at:
                total = logged['loss'] = total + float('inf')
            return total, logged

        runner.model.parse_losses = add


def train(path: str, options: dict | None = None, **flags) -> Config:
    cfg = prepare_train(load_config(path, options), **flags)
    run_train(cfg)
    return cfg


def state(path: Path) -> dict:
    return torch.load(path, weights_only=False)


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


def assert_same_training(ours: Path, theirs: Path) -> None:
    """Weights, optimizer and schedules of two checkpoints are equal."""
    ours, theirs = state(ours), state(theirs)
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_equal(ours[key], theirs[key], key)


# A loss that is no number --------------------------------------------------------------


@pytest.mark.parametrize(
    ('task', 'cause', 'loss'),
    [
        ('detection', 'Poison', 'nan'),
        ('segmentation', 'Poison', 'nan'),
        ('classification', 'AddInfinity', 'inf'),
    ],
)
def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoilt(
    tmp_path, shapes, task, cause, loss
):
    more = (
        f'custom_hooks = [dict(type={cause!r}, at=2)]\n'
        "model['backbone'].pop('norm_cfg')"
    )
    path = write_config(tmp_path, task, shapes, more)
    words = rf'iteration 3: .*loss.* is {loss}'
    with pytest.raises(UserError, match=words) as caught:
        train(path)
    assert len(re.findall(r'[\w/]+\.jpg', str(caught.value))) == 2
    saved = state(tmp_path / 'work' / 'nonfinite_iter_3.pth')
    assert saved['meta']['iter'] == 2
    # Iteration 2 has a regular checkpoint: the state before iteration 3 is that one.
    regular = state(tmp_path / 'work' / 'iter_2.pth')
    assert_equal(saved['state_dict'], regular['state_dict'])
    assert_equal(saved['optimizer'], regular['optimizer'])


def test_the_step_is_left_out_where_that_is_wanted(tmp_path, shapes):
    more = (
        "custom_hooks = [dict(type='Poison', at=1)]\nmodel['backbone'].pop('norm_cfg')"
    )
    path = write_config(tmp_path, 'classification', shapes, more)
    train(path, {'default_hooks.finite.action': 'skip'})
    log = '\n'.join(p.read_text() for p in (tmp_path / 'work').rglob('*.log'))
    assert re.search(
        r'iteration 2: loss is nan; step left out. Pictures: \S+\.jpg', log
    )
    for name, value in state(tmp_path / 'work' / 'iter_4.pth')['state_dict'].items():
        assert torch.as_tensor(value).isfinite().all(), name


@pytest.mark.parametrize('average', [dict(), dict(priority=49)], ids=str)
def test_averaged_statistics_take_in_nothing_of_a_step_left_out(
    tmp_path, shapes, average
):
    """Also where the averaging comes before other hooks, as in RTMDet's config."""
    more = "custom_hooks = [{}, dict(type='Poison', at=1)]\n".format(
        dict(type='EMAHook', update_buffers=True, momentum=0.5, **average)
    )
    more += "model['backbone'].pop('norm_cfg')"
    path = write_config(tmp_path, 'classification', shapes, more)
    train(path, {'default_hooks.finite.action': 'skip'})
    saved = state(tmp_path / 'work' / 'iter_4.pth')
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in saved[key].items():
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


@pytest.mark.parametrize('wrong', [dict(action='pass'), dict(max_skips=0)])
def test_the_hook_refuses_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FiniteHook(**wrong)


# The machine ---------------------------------------------------------------------------


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no /dev/full here')
def test_a_full_disk_is_told_in_plain_words_and_the_earlier_checkpoint_serves(
    tmp_path, shapes
):
    path = write_config(tmp_path, 'classification', shapes)
    work = tmp_path / 'work'
    work.mkdir()
    (work / 'iter_4.pth').symlink_to('/dev/full')  # every write to it: no space left
    # set_aside would move the link out of the way, as it would an earlier checkpoint.
    train(path, {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 9})
    (work / 'iter_4.pth').symlink_to('/dev/full')
    with pytest.raises(UserError, match=r'No space left.*--resume goes on'):
        train(path, resume='auto')
    (work / 'iter_4.pth').unlink()
    cfg = train(path, resume='auto')
    assert cfg.load_from == str(work / 'iter_2.pth')
    assert (work / 'iter_4.pth').is_file()


def test_a_checkpoint_cut_short_is_told_and_the_one_before_it_goes_on(
    tmp_path, shapes, monkeypatch
):
    path = write_config(tmp_path, 'classification', shapes)
    work = tmp_path / 'work'
    train(path)
    whole = state(work / 'iter_4.pth')
    content = (work / 'iter_4.pth').read_bytes()
    (work / 'iter_4.pth').write_bytes(content[: len(content) // 2])  # and then a crash
    said = []
    monkeypatch.setattr(
        checkpoints, 'print_log', lambda text, *_, **__: said.append(text)
    )
    cfg = train(path, resume='auto')
    assert said == [
        'iter_4.pth was cut short; resuming from iter_2.pth, the last whole checkpoint'
    ]
    assert cfg.load_from == str(work / 'iter_2.pth')
    again = state(work / 'iter_4.pth')
    for key in ('state_dict', 'optimizer'):
        assert_equal(again[key], whole[key], key)


def test_a_killed_worker_is_told_in_plain_words(tmp_path, shapes):
    more = 'train_dataloader.update(num_workers=1)\n'
    path = write_config(tmp_path, 'classification', shapes, more)

    @HOOKS.register_module(force=True)
    class KillWorker(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 2:
                iterator = runner.train_loop.dataloader_iterator._iterator
                os.kill(iterator._workers[0].pid, signal.SIGKILL)

    options = {'custom_hooks': [dict(type='KillWorker')], 'train_cfg.max_iters': 40}
    with pytest.raises(UserError, match=r'DataLoader worker.*num_workers.*--resume'):
        train(path, options)
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()


def test_a_worker_killed_while_it_hands_over_a_batch_is_told_too(tmp_path, shapes):
    more = (
        'train_dataloader.update(num_workers=1)\n'
        "pipeline.insert(2, dict(type='DieHandingOver', after=16))\n"
    )
    path = write_config(tmp_path, 'classification', shapes, more)

    @TRANSFORMS.register_module(force=True)
    class DieHandingOver(BaseTransform):
        def __init__(self, after: int) -> None:
            self.left = after

        def transform(self, results: dict) -> dict:
            self.left -= 1
            if self.left == 0:
                # What the worker calls when the main process asks for a tensor.
                multiprocessing.connection.deliver_challenge = self.die
            return results

        def die(self, connection, _) -> None:
            connection.close()
            time.sleep(0.3)  # the other side finds the connection cut before the signal
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match=r'DataLoader worker.*num_workers.*--resume'):
        train(path, {'train_cfg.max_iters': 40})
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()


@pytest.mark.parametrize(
    'text',
    [
        '[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer '
        '[127.0.0.1]:3121',
        'NCCL error: remote process exited or there was a network error',
    ],
)
def test_a_lost_process_is_told_in_plain_words(text):
    words = explain_fault(RuntimeError(text), 'work')
    assert 'another process of this training has ended' in words
    assert '--resume' in words


def test_other_errors_keep_their_traceback():
    assert explain_fault(RuntimeError('shape mismatch'), 'work') is None


# Told to end ---------------------------------------------------------------------------


def start(config: str, *flags: str) -> subprocess.Popen:
    """Start tools/train.py in a session, and so a process group, of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), config, *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def finish(config: str, *flags: str) -> None:
    """Let tools/train.py run to its end."""
    process = start(config, *flags)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-2000:]


def wait_for(found, process: subprocess.Popen, seconds: float = 300) -> None:
    """Wait until ``found()``, which a running process is to bring about."""
    end = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.monotonic() < end, f'nothing in {seconds} s'
        time.sleep(0.02)


def test_ctrl_c_saves_the_iteration_and_leaves_cleanly(tmp_path, shapes):
    path = write_config(tmp_path, 'segmentation', shapes)
    work = tmp_path / 'work'
    options = ['train_cfg.max_iters=5000', 'train_cfg.val_interval=5000']
    process = start(path, '--cfg-options', *options, 'param_scheduler=[]')
    wait_for((work / 'iter_2.pth').is_file, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    assert 'SIGINT: the state will be saved' in errors
    last = Path((work / 'last_checkpoint').read_text())
    done = state(last)['meta']['iter']
    assert last.name == f'iter_{done}.pth'
    # To resume from it is to go on with the next iteration.
    more = {f'train_cfg.{k}': done + 1 for k in ('max_iters', 'val_interval')}
    cfg = train(path, more | {'param_scheduler': []}, resume='auto')
    assert cfg.load_from == str(last)


def test_loading_processes_leave_ctrl_c_to_the_training(tmp_path, shapes):
    """A terminal sends it to the whole process group, workers included."""
    more = BY_EPOCH.format(epochs=999).replace('num_workers=1', 'num_workers=2')
    path = write_config(tmp_path, 'classification', shapes, more)
    work = tmp_path / 'work'
    process = start(path, '--cfg-options', 'param_scheduler=[]')
    wait_for((work / 'epoch_1.pth').is_file, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors[-2000:]
    assert errors.count('the state will be saved') == 1
    assert 'Traceback' not in errors
    (saved,) = work.glob('interrupted_iter_*.pth')
    assert errors.splitlines()[-1] == (
        f'interrupted; --resume {saved} goes on from here, --resume alone from the end '
        'of the last epoch'
    )


def test_told_to_end_while_it_waits_for_a_worker_that_has_ended_it_saves(
    tmp_path, shapes
):
    """A worker forked before the training listens ends of Ctrl-C itself."""
    more = (
        'train_dataloader.update(num_workers=1)\n'
        "pipeline.insert(2, dict(type='InterruptAndDie', after=9))\n"
    )

    @TRANSFORMS.register_module(force=True)
    class InterruptAndDie(BaseTransform):
        def __init__(self, after: int) -> None:
            self.left = after

        def transform(self, results: dict) -> dict:
            self.left -= 1
            if self.left == 0:
                time.sleep(2)  # until the four batches before this one are used up
                os.kill(os.getppid(), signal.SIGINT)
                time.sleep(0.3)
                os.kill(os.getpid(), signal.SIGKILL)
            return results

    work = tmp_path / 'work'
    path = write_config(tmp_path, 'classification', shapes, more)
    longer = {'train_cfg.max_iters': 6, 'train_cfg.val_interval': 6}
    with pytest.raises(KeyboardInterrupt, match='--resume goes on from here'):
        train(path, longer)
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_4.pth')
    path = write_config(tmp_path, 'classification', shapes)
    assert train(path, longer, resume='auto').load_from == str(work / 'iter_4.pth')
    resumed = state(work / 'iter_6.pth')
    shutil.rmtree(work)
    train(path, longer)
    whole = state(work / 'iter_6.pth')
    for key in ('state_dict', 'optimizer'):
        assert_equal(resumed[key], whole[key], key)


def test_a_handler_that_c_code_had_set_gives_way_to_the_systems():
    """``signal.signal`` says None of such a one, and does not take None."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        hook = InterruptHook()
        hook.before_train(None)
        hook._before[signal.SIGTERM] = None
        hook.after_train(None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_told_to_end_in_an_evaluation_it_saves_the_trainings_own_weights(
    tmp_path, shapes
):
    """While it evaluates, the averaged weights are in the model's place."""

    @HOOKS.register_module(force=True)
    class Tell(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            for hook in runner.hooks:
                if isinstance(hook, InterruptHook):
                    hook.received = signal.SIGTERM

    average = dict(type='EMAHook', momentum=0.5)
    saved = {}
    for name, hooks in (('whole', []), ('told', [dict(type='Tell')])):
        (tmp_path / name).mkdir()
        path = write_config(tmp_path / name, 'classification', shapes)
        try:
            train(path, {'custom_hooks': [average, *hooks]})
        except KeyboardInterrupt:
            assert name == 'told'
        saved[name] = state(tmp_path / name / 'work' / 'iter_4.pth')
        log = '\n'.join(
            p.read_text() for p in (tmp_path / name / 'work').rglob('*.log')
        )
        assert ('interrupted: the state is in' in log) == (name == 'told')
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_equal(saved['told'][key], saved['whole'][key], key)


# Killed and resumed --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize('task', TASKS)
def test_resuming_by_epochs_repeats_augmentation_and_dropout(tmp_path, shapes, task):
    whole, halves = tmp_path / 'whole', tmp_path / 'halves'
    for folder in (whole, halves):
        folder.mkdir()
    path = write_config(whole, task, shapes, BY_EPOCH.format(epochs=3))
    train(path)
    path = write_config(halves, task, shapes, BY_EPOCH.format(epochs=3))
    train(path, {'train_cfg.max_epochs': 2})
    train(path, resume='auto')
    assert_same_training(
        whole / 'work' / 'epoch_3.pth', halves / 'work' / 'epoch_3.pth'
    )


def wait_until_it_logs(work: Path, process: subprocess.Popen) -> None:
    """Wait until a training has opened a new log, which it does once it is built."""
    before = set(work.rglob('*.log'))
    wait_for(lambda: set(work.rglob('*.log')) - before, process)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # twenty trainings
def test_killed_at_random_moments_it_ends_in_the_same_numbers(tmp_path, shapes):
    """Twenty kills over the three toolboxes, at moments drawn by chance."""
    dice = random.Random(0)
    kills = 0
    for task in TASKS:
        folder = tmp_path / task
        folder.mkdir()
        path = write_config(folder, task, shapes, BY_EPOCH.format(epochs=12))
        finish(path)
        (folder / 'work').rename(folder / 'whole')
        while kills < {'detection': 7, 'segmentation': 14, 'classification': 20}[task]:
            process = start(path, '--resume')
            wait_until_it_logs(folder / 'work', process)
            try:
                process.wait(timeout=dice.uniform(0.5, 12))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
            if (folder / 'work' / 'epoch_12.pth').exists():
                assert_same_training(
                    folder / 'work' / 'epoch_12.pth', folder / 'whole' / 'epoch_12.pth'
                )
                for file in (folder / 'work').glob('*.pth'):
                    file.unlink()  # and from the beginning again
                (folder / 'work' / 'last_checkpoint').unlink()
        finish(path, '--resume')
        assert_same_training(
            folder / 'work' / 'epoch_12.pth', folder / 'whole' / 'epoch_12.pth'
        )
    assert kills == 20


# Killed and resumed, two processes ------------------------------------------------------


def start_two(config: str, *flags: str) -> subprocess.Popen:
    """Start a training in two processes."""
    python = Path(sys.executable).parent
    return subprocess.Popen(
        ['bash', str(ROOT / 'tools' / 'dist_train.sh'), config, '2', *flags],
        env={
            **os.environ,
            'PATH': f'{python}{os.pathsep}{os.environ["PATH"]}',
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def ranks_of(launcher: subprocess.Popen) -> list[int]:
    """The ids of the processes that torchrun has started, by their rank."""
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
            variables = (folder / 'environ').read_bytes().split(b'\0')
        except OSError:  # it has ended meanwhile
            continue
        if parent == launcher.pid:
            for variable in variables:
                if variable.startswith(b'RANK='):
                    found[int(variable[5:])] = int(folder.name)
    return [found[rank] for rank in sorted(found)]


def kill_some(launcher: subprocess.Popen, whom: str) -> None:
    """Kill all processes of a training, or one of the two; wait for the others to end."""
    ranks = ranks_of(launcher)
    if whom == 'all' or len(ranks) < 2:
        # torchrun first, or it would end the others itself; each is in its own session.
        for process in (launcher.pid, *ranks):
            os.kill(process, signal.SIGKILL)
    else:
        os.kill(ranks[int(whom)], signal.SIGKILL)
    launcher.communicate(timeout=120)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='no /proc here')
@pytest.mark.parametrize('task', TASKS)
def test_two_processes_killed_at_random_moments_end_in_the_same_numbers(
    tmp_path, shapes, task
):
    """Once all processes, once the first and once the second one alone."""
    dice = random.Random(task)
    path = write_config(tmp_path, task, shapes, BY_EPOCH.format(epochs=8))
    work = tmp_path / 'work'
    process = start_two(path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    work.rename(tmp_path / 'whole')
    for whom in dice.sample(['all', '0', '1'], 3):
        for attempt in range(5):
            process = start_two(path, '--resume')
            wait_until_it_logs(work, process)
            try:
                process.wait(timeout=dice.uniform(0.5, 6))
            except subprocess.TimeoutExpired:
                kill_some(process, whom)
                assert process.returncode != 0
                break
            process.communicate()  # it was done before: begin anew
            shutil.rmtree(work)
            assert attempt < 4
    process = start_two(path, '--resume')
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert_same_training(work / 'epoch_8.pth', tmp_path / 'whole' / 'epoch_8.pth')


# Random numbers ------------------------------------------------------------------------


def draws(step: SeedSample, count: int) -> list[tuple]:
    found = []
    for _ in range(count):
        step({})
        found.append((random.random(), np.random.rand(), float(torch.rand(()))))
    return found


def test_what_a_sample_draws_depends_on_its_place_alone():
    epoch = torch.zeros(1, dtype=torch.int64)
    first = draws(SeedSample(3, 0, epoch), 3)
    assert len(set(first)) == 3
    random.random(), torch.rand(5), np.random.rand(7)  # what ran before
    assert draws(SeedSample(3, 0, epoch), 3) == first
    assert draws(SeedSample(4, 0, epoch), 3) != first
    assert draws(SeedSample(3, 1, epoch), 3) != first
    step = SeedSample(3, 0, epoch)
    assert draws(step, 3) == first
    epoch.fill_(1)
    second = draws(step, 3)
    assert second != first
    assert draws(SeedSample(3, 0, epoch), 3) == second


def test_pipelines_inside_wrappers_are_found():
    class Box:
        def __init__(self, **parts):
            self.__dict__.update(parts)

    inner = [Box(pipeline=Box(transforms=[name])) for name in 'ab']
    both = Box(dataset=Box(datasets=inner), pipeline=Box(transforms=[]))
    assert [found[0] for found in pipelines(both)] == ['a', 'b']
