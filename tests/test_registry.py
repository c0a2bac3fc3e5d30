"""Every toolbox finds the backbones, and importing mmghost does nothing else."""

import os
import subprocess
import sys

import pytest
from mmengine.registry import Registry

from mmghost import registry

TOOLBOXES = ['mmengine', 'mmdet', 'mmseg', 'mmpretrain']


def run(root, code: str) -> list[str]:
    """Run code in a new process; return the lines of its output marked with '>'."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        env={**os.environ, 'PYTHONPATH': str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line[1:] for line in done.stdout.splitlines() if line.startswith('>')]


@pytest.fixture(scope='module')
def toolboxes() -> list[str]:
    for name in TOOLBOXES:
        pytest.importorskip(name)
    return TOOLBOXES


def test_importing_changes_no_other_loading_logging_or_registry(root, toolboxes):
    """Before and after, in one process that has the registries of all toolboxes."""
    lines = run(
        root,
        """
import logging, signal, sys, warnings
import torch, torch.nn as nn
from mmengine.logging import MMLogger
from mmengine.registry import Registry
from mmengine.runner import CheckpointLoader, checkpoint, load_checkpoint
from mmengine import registry as root
import mmcv.cnn, mmdet.registry, mmseg.registry, mmpretrain.registry

def state():
    registries = {
        f'{module.__name__}.{name}': (list(one.children), dict(one.module_dict))
        for module in (root, mmdet.registry, mmseg.registry, mmpretrain.registry)
        for name, one in vars(module).items() if isinstance(one, Registry)
    }
    loggers = [logging.getLogger(name) for name in (None, 'mmengine', 'torch', 'timm')]
    return dict(
        registries=registries,
        schemes=dict(CheckpointLoader._schemes),
        functions=[vars(checkpoint), vars(CheckpointLoader), vars(nn.Module),
                   vars(torch.serialization), vars(Registry)],
        loggers=[(one.level, list(one.handlers), list(one.filters)) for one in loggers],
        instances=dict(MMLogger._instance_dict),
        filters=list(warnings.filters),
        defaults=(torch.get_default_dtype(), torch.get_num_threads(), sys.excepthook,
                  signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
    )

before = state()
before['functions'] = [dict(one) for one in before['functions']]
import mmghost
after = state()
for key in set(before) - {'registries'}:
    assert before[key] == after[key], key
added = set()
for name, (children, modules) in before['registries'].items():
    now = after['registries'][name]
    assert set(now[0]) - set(children) <= {'mmghost'}, name
    assert modules.items() <= now[1].items(), name
    added |= {one.__module__ for key, one in now[1].items() if key not in modules}
assert added and all(one.startswith('mmghost.') for one in added), added
print('> same')
""",
    )
    assert lines == [' same']


def test_importing_needs_nothing_but_torch_mmengine_and_mmcv(root):
    """Importing any other package raises here, installed or not."""
    lines = run(
        root,
        """
import sys
from importlib.machinery import ModuleSpec
class Refuse:
    names = ('mmdet', 'mmseg', 'mmpretrain', 'timm', 'torchvision', 'onnx', 'openvino',
             'onnxruntime', 'pycocotools', 'scipy', 'pandas', 'sklearn', 'supervision',
             'huggingface_hub', 'google.protobuf')
    def find_spec(self, name, path=None, target=None):
        if name.startswith(self.names):
            return ModuleSpec(name, self)  # torch asks where they are
    def create_module(self, spec):
        raise ImportError(f'{spec.name} is not here')
    def exec_module(self, module):
        raise AssertionError(module)
sys.meta_path.insert(0, Refuse())
import torch
import mmghost
from mmengine.registry import MODELS
model = MODELS.build(dict(type='GhostNetV2'))
print('>', len(model(torch.rand(2, 3, 64, 64))))
""",
    )
    assert lines == [' 4']


def test_names_are_found_from_every_toolbox(root, toolboxes):
    """The scoped name without importing mmghost, and the plain one after that."""
    lines = run(
        root,
        f"""
import importlib, os, sys
registries = [importlib.import_module(name + '.registry').MODELS for name in {toolboxes}]
for models in registries:
    models._imported = True  # the toolbox's own models take long to import
    sys.stdout.flush()
    child = os.fork()  # mmghost is new in each
    if child == 0:
        assert 'mmghost' not in sys.modules
        found = [type(models.build(dict(type='mmghost.GhostNetV2'))).__name__]
        for name in ('GhostNetV1', 'GhostNetV2', 'GhostNetV3'):
            found.append(type(models.build(dict(type=name))).__name__)
        print('>', *found, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
""",
    )
    assert lines == [' GhostNetV2 GhostNetV1 GhostNetV2 GhostNetV3'] * len(toolboxes)


def test_every_registry_holds_something_that_its_parent_holds_too(toolboxes):
    own = [one for one in vars(registry).values() if isinstance(one, Registry)]
    assert own
    for one in own:
        one.import_from_location()
        assert one.module_dict, f'{one.name} is empty'
        for key, cls in one.module_dict.items():
            assert one.parent.module_dict[key] is cls
