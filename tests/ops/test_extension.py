"""Which operators mmcv runs on, and what the stand-ins do to the process."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

from mmghost import ops
from mmghost.ops import extension
from mmghost.ops.__main__ import main


def python(root, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in a new process, with the default choice of operators."""
    kept = {k: v for k, v in os.environ.items() if k not in (ops.VARIABLE, 'RANK')}
    return subprocess.run(
        [sys.executable, '-W', 'ignore', *arguments],
        env=kept | {'PYTHONPATH': str(root)},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(ops.in_use() != 'fallback', reason='mmcv has compiled operators')
def test_stand_ins_are_installed_lazily_and_announced_once(root):
    done = python(
        root,
        '-c',
        """
import sys
try:
    import mmcv.ops
except ModuleNotFoundError as error:
    assert error.name == 'mmcv._ext'  # too early: fails, and must recover

import mmghost
from mmghost import ops
assert ops.install() == ops.in_use() == 'fallback'
assert not {'torchvision', 'mmcv.ops.nms', 'mmdet'} & set(sys.modules)

import mmcv, mmcv.ops, torch
from mmcv.utils import collect_env
from mmcv.utils.ext_loader import check_ops_exist
from mmengine.utils.dl_utils.misc import mmcv_full_available
assert mmcv._ext is sys.modules['mmcv._ext']
assert check_ops_exist() and mmcv_full_available()
box = torch.tensor([[0., 0., 4., 4.]])
assert mmcv.ops.nms(box, torch.ones(1), 0.5)[1] == 0
assert mmcv.ops.soft_nms(box, torch.ones(1), 0.5)[1] == 0
print(collect_env()['MMCV Compiler'])
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'none (stand-ins of mmghost)\n'
    assert done.stderr.count('stand-ins of mmghost') == 1, done.stderr


@pytest.mark.parametrize('rank, count', [('0', 1), ('1', 0)])
def test_only_the_main_process_announces_and_to_the_log_of_a_run(
    monkeypatch, tmp_path, rank, count
):
    monkeypatch.setenv('RANK', rank)
    monkeypatch.setattr(extension, '_announced', False)
    monkeypatch.setattr(extension.MMLogger, '_instance_dict', {})
    log = tmp_path / 'run.log'
    extension.MMLogger.get_instance('run', log_file=str(log))
    for _ in range(2):
        assert callable(extension.make_extension().nms)
    assert log.read_text().count('stand-ins of mmghost') == count


def test_compiled_operators_are_left_alone_and_fallback_comes_before_them(monkeypatch):
    compiled = ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    for mode in ('auto', 'native'):
        monkeypatch.setenv(ops.VARIABLE, mode)
        assert ops.install() == 'native'
        assert sys.modules['mmcv._ext'] is compiled
    monkeypatch.setenv(ops.VARIABLE, 'fallback')
    with pytest.raises(ImportError, match='import mmghost before'):
        ops.install()


@pytest.mark.parametrize(
    'mode, error, message',
    [
        ('native', ImportError, 'no compiled operators.*Compiled operators'),
        ('torchvision', ValueError, "auto, native, fallback, not 'torchvision'"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(monkeypatch, mode, error, message):
    monkeypatch.setitem(sys.modules, 'mmcv._ext', extension.make_extension())
    monkeypatch.setenv(ops.VARIABLE, mode)
    with pytest.raises(error, match=message):
        ops.install()


def test_missing_torchvision_is_explained_at_the_first_call(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    monkeypatch.delitem(sys.modules, 'mmghost.ops.operators', raising=False)
    with pytest.raises(ImportError, match=r'torchvision built for torch .*doctor'):
        _ = extension.make_extension().nms


def test_a_script_finds_operators_its_arguments_and_its_neighbors(
    root, tmp_path, monkeypatch
):
    (tmp_path / 'neighbor.py').write_text('NAME = "neighbor"\n')
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys, neighbor\n'
        'from mmcv.ops import nms\n'
        'assert __name__ == "__main__"\n'
        'print(neighbor.NAME, sys.argv[1:], nms.__name__)\n'
    )
    done = python(root, '-m', 'mmghost.ops', str(script), 'a', '--b')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "neighbor ['a', '--b'] nms"
    monkeypatch.setattr(sys, 'argv', ['mmghost.ops', 'nothing.py'])
    with pytest.raises(SystemExit, match=r'error: there is no script nothing\.py'):
        main()
