"""Which operators mmcv runs on: ``MMGHOST_MMCV_OPS``, and what it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmghost import ops
from mmghost.ops import backend, extension

ROOT = Path(__file__).parents[2]

without_compiled = pytest.mark.skipif(
    ops.in_use() != 'fallback', reason='mmcv has compiled operators here'
)


def python(code: str) -> subprocess.CompletedProcess:
    """Run a program in a new interpreter."""
    inherited = {k: v for k, v in os.environ.items() if k not in (ops.VARIABLE, 'RANK')}
    return subprocess.run(
        [sys.executable, '-c', code],
        env=inherited | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,  # a busy machine takes a minute to import torch
    )


@without_compiled
def test_stand_ins_are_installed_late_cheap_and_said_once():
    """One interpreter looks at all of it, for an interpreter takes seconds to start."""
    result = python("""
import sys
try:
    import mmcv.ops
except ModuleNotFoundError as error:
    assert error.name == 'mmcv._ext'  # imported too early: fails, and must recover

import mmghost
from mmghost import ops
early = [m for m in ('torchvision', 'mmcv.ops.nms', 'mmdet') if m in sys.modules]
assert not early, early
assert ops.install() == ops.in_use() == 'fallback'

import mmcv, mmcv._ext, mmcv.ops, torch
from mmcv import _ext
from mmcv.utils import collect_env
from mmcv.utils.ext_loader import check_ops_exist
from mmengine.utils.dl_utils.misc import mmcv_full_available
assert mmcv._ext is _ext is sys.modules['mmcv._ext']
assert check_ops_exist() and mmcv_full_available()

assert 'torchvision' not in sys.modules
box = torch.tensor([[0., 0., 4., 4.]])
assert mmcv.ops.nms(box, torch.ones(1), 0.5)[1].tolist() == [0]
assert 'torchvision' in sys.modules
assert 'mmghost' in collect_env()['MMCV Compiler']
try:
    mmcv.ops.nms_rotated(torch.rand(3, 5), torch.rand(3), 0.5)
except NotImplementedError as error:
    print(error)
""")
    assert result.returncode == 0, result.stderr
    assert "'nms_rotated' is not available" in result.stdout
    assert 'MMCV_WITH_OPS=1' in result.stdout  # how to get it
    assert result.stderr.count('stand-ins of mmghost') == 1, result.stderr


@without_compiled
def test_native_without_compiled_operators_ends_with_the_remedy(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.setenv(ops.VARIABLE, 'native')
    with pytest.raises(ImportError, match=r'=native asks for .*MMCV_WITH_OPS=1'):
        ops.install()


def test_unknown_choice_is_named(monkeypatch):
    monkeypatch.setenv(ops.VARIABLE, 'torchvision')
    with pytest.raises(ValueError, match=r"auto, native, fallback, not 'torchvision'"):
        ops.install()


def test_compiled_operators_are_left_alone_unless_the_stand_ins_are_forced(monkeypatch):
    """A module stands for mmcv's compiled operators, and one for a part that has it."""
    import mmcv

    compiled, part = type(os)('mmcv._ext'), type(os)('mmcv.ops.part')
    part.ext_module = compiled
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    monkeypatch.setitem(sys.modules, 'mmcv.ops.part', part)
    monkeypatch.setattr(mmcv, '_ext', compiled, raising=False)
    for mode in ('auto', 'native'):
        monkeypatch.setenv(ops.VARIABLE, mode)
        assert ops.install() == 'native'
        assert sys.modules['mmcv._ext'] is mmcv._ext is part.ext_module is compiled
    monkeypatch.setenv(ops.VARIABLE, 'fallback')
    assert ops.install() == 'fallback'
    assert sys.modules['mmcv._ext'] is mmcv._ext is part.ext_module is not compiled
    monkeypatch.setenv(ops.VARIABLE, 'native')
    with pytest.raises(ImportError, match='before mmghost is imported'):
        ops.install()


@pytest.mark.parametrize('variable', ['RANK', 'SLURM_PROCID'])
def test_only_the_main_process_says_it(monkeypatch, caplog, variable):
    for rank, said in (('1', 0), ('0', 1)):
        monkeypatch.setenv(variable, rank)
        monkeypatch.setattr(extension, '_announced', False)
        monkeypatch.setattr(extension.MMLogger, '_instance_dict', {})
        for _ in range(2):
            assert callable(extension.make_extension().nms)
        assert len(caplog.records) == said


def test_it_is_said_in_the_log_of_a_run_where_there_is_one(monkeypatch, tmp_path):
    log = tmp_path / 'run.log'
    monkeypatch.setattr(extension, '_announced', False)
    monkeypatch.setattr(extension.MMLogger, '_instance_dict', {})
    extension.MMLogger.get_instance('run', log_file=str(log))
    assert callable(extension.make_extension().nms)
    assert log.read_text().count('stand-ins of mmghost') == 1


@pytest.mark.parametrize('error', [ImportError('No module'), RuntimeError('no nms')])
def test_missing_or_broken_torchvision_is_explained(monkeypatch, error):
    class Broken:
        def find_spec(self, name, *_):
            if name == 'torchvision':
                raise error

    for name in [n for n in sys.modules if n.split('.')[0] == 'torchvision']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    backend.torchvision_ops.cache_clear()
    with pytest.raises(ImportError, match=f'built for torch .*{error}.*Install'):
        extension.make_extension().nms(torch.ones(1, 4), torch.ones(1), 0.5, 0)


def test_private_names_are_not_invented():
    made = extension.make_extension()
    assert not hasattr(made, '__path__') and not hasattr(made, '_private')
    assert made.__spec__.name == 'mmcv._ext' and made.__spec__.loader is not None
