"""Whatever --cfg-options say: training begins, or one message tells what is wrong."""

import argparse
import signal
from typing import Any

import pytest
import torch
from hypothesis import event
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmghost.engine.explaining import walk
from mmghost.engine.hooks.interrupt_hook import SIGNALS
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.engine.options import CfgOptions
from mmghost.errors import UserError
from tests.fuzzing import depths, fuzz

from .toys import TASKS, forget_runners, write_config

VALUES = st.sampled_from(
    [
        None, True, False, -1, 0, 1, 2, 3, 0.5, -0.1, float('nan'), '', 'x', 'BN',
        'Pretrained', '1e-3', [], {}, (1, 2), [1, 2, 3], ['x'], [None], [{}], {'type': 'x'},
        {'type': 'ReLU'}, {'x': 1}, {'type': None},
    ]
)  # fmt: skip


class Begun(Exception):
    """Training has begun: all was built, the data looked at."""


@pytest.fixture
def to_the_first_iteration(monkeypatch, tmp_path):
    """End every training where its first iteration would begin."""

    def begin(loop):
        loop.runner.call_hook('before_train')
        raise Begun

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for loop in (EpochBasedTrainLoop, IterBasedTrainLoop):
        monkeypatch.setattr(loop, 'run', begin)
    # It asks compilers for their versions, which takes seconds.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.chdir(tmp_path)  # work_dir may become anything
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = False


def paths_of(cfg: Config) -> list[str]:
    """All dotted paths into a config, as --cfg-options spell them."""
    found = []
    for path, _ in walk(cfg._cfg_dict):
        dotted = path.replace('[', '.').replace(']', '')
        if dotted and not dotted.startswith(('.', '_')):
            found.append(dotted)
    return found


@st.composite
def options(draw, paths: list[str]) -> dict[str, Any]:
    """One or two settings, of names that are there and of some that nearly are."""
    found = {}
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths))
        if draw(st.integers(0, 3)) == 0:
            at = draw(st.integers(0, len(path) - 1))
            path = (path[:at] + path[at + 1 :]).strip('.').replace('..', '.') or 'x'
        found[path] = draw(VALUES)
    return found


@depths(6, 200)
@pytest.mark.parametrize('task', TASKS)
def test_settings_let_a_training_begin_or_are_refused_in_words(
    tmp_path, shapes, task, examples, to_the_first_iteration
):
    path = write_config(tmp_path, task, shapes)
    paths = paths_of(Config.fromfile(path))

    def holds(settings):
        try:
            run_train(prepare_train(load_config(path, settings)))
        except Begun:
            event('begins')
        except UserError as error:
            event('refused')
            assert 0 < len(str(error)) < 3000
        else:
            raise AssertionError('it neither began nor stopped')
        finally:
            forget_runners()

    fuzz(examples, holds, options(paths))


@depths(100, 5000)
def test_the_flag_reads_any_text_or_refuses_it_in_words(examples):
    def holds(texts):
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
        try:
            parser.parse_args(['--cfg-options', *texts])
        except argparse.ArgumentError as error:
            assert '--cfg-options' in str(error)

    piece = st.text('ab.=[](),\'" 1-', max_size=12)
    fuzz(examples, holds, st.lists(piece.filter(lambda t: t[:1] != '-'), min_size=1))


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('model', "'model' is not KEY=VALUE"),
        ('=3', "'=3' is not KEY=VALUE"),
        ('a..b=3', "'a..b=3' is not KEY=VALUE"),
        ('a=[(1, 2]', 'the brackets do not match'),
        ('a=],[', 'the brackets do not match'),
    ],
)
def test_a_flag_that_cannot_be_read_ends_with_status_2_and_words(capsys, text, words):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(['--cfg-options', text])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'model': 3}, 'model = 3: it must be a dict'),
        (
            {'train_dataloader': 'x'},
            "train_dataloader = 'x': it must be a dict or None",
        ),
        ({'custom_hooks': {}}, 'custom_hooks = {}: it must be a list of dicts or None'),
        ({'custom_hooks': ['x']}, "custom_hooks[0] = 'x': it must be a dict"),
        ({'load_from': 1}, 'load_from = 1: it must be text or None'),
        ({'env_cfg.dist_cfg': 1}, 'env_cfg.dist_cfg = 1: it must be a dict'),
    ],
)
def test_a_part_of_the_wrong_kind_is_named_with_what_it_must_be(
    tmp_path, shapes, settings, words
):
    path = write_config(tmp_path, 'classification', shapes)
    with pytest.raises(UserError) as caught:
        load_config(path, settings)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ('key', 'words'),
    [
        ('work_dir.x', 'work_dir is .*, nothing that has settings of its own'),
        ('custom_imports.imports.0.x', r"imports\.0 is 'mmghost', nothing that has"),
        ('custom_imports.imports.7', 'do not fit'),
    ],
)
def test_a_key_that_leads_nowhere_is_told(tmp_path, shapes, key, words):
    path = write_config(tmp_path, 'classification', shapes)
    with pytest.raises(UserError, match=words):
        load_config(path, {key: 1})


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'randomness.sed': 3}, "the config: TypeError: .*argument 'sed'"),
        (
            {'train_dataloader.batch_size': 0},
            'train_dataloader: ValueError: batch_size',
        ),
        ({'optim_wrapper.optimizer.lr': -1}, r'SGD cannot be built: .*rate: -1'),
        ({'env_cfg.mp_cfg.mp_start_method': 'x'}, 'env_cfg: ValueError: .*x'),
        ({'train_cfg.type': True}, r"train_cfg: type must be a str .*'bool'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_a_setting_that_cannot_be_read_is_told_with_its_part(
    tmp_path, shapes, settings, words, to_the_first_iteration
):
    path = write_config(tmp_path, 'classification', shapes)
    with pytest.raises(UserError, match=words):
        run_train(prepare_train(load_config(path, settings)))
