"""Every toolbox finds the backbones, and importing mmghost needs next to nothing."""

import subprocess
import sys

import pytest
from mmengine.registry import Registry

from mmghost import registry

TOOLBOXES = ['mmengine', 'mmdet', 'mmseg', 'mmpretrain']


def run(code: str) -> list[str]:
    """Run code in a fresh interpreter; return the lines that it marked with '>'."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line[1:] for line in done.stdout.splitlines() if line.startswith('>')]


@pytest.fixture(scope='module')
def toolboxes() -> list[str]:
    for name in TOOLBOXES:
        pytest.importorskip(name)
    return TOOLBOXES


def test_the_plain_name_is_found_from_every_toolbox_once_mmghost_is_imported(toolboxes):
    lines = run(
        'import importlib, mmghost\n'
        f'for toolbox in {toolboxes}:\n'
        '    models = importlib.import_module(toolbox + ".registry").MODELS\n'
        '    for name in ("GhostNetV1", "GhostNetV2"):\n'
        '        print(">", toolbox, type(models.build(dict(type=name))).__name__)\n'
    )
    expected = [
        f' {t} {name}' for t in toolboxes for name in ('GhostNetV1', 'GhostNetV2')
    ]
    assert lines == expected


def test_the_scoped_name_is_found_without_importing_mmghost(toolboxes):
    # A fork for each toolbox: the first build imports mmghost. The empty module is in
    # place of a compiled mmcv: without one, mmdet's own models cannot be imported, and
    # the stand-ins come only with mmghost (a config's custom_imports brings it).
    lines = run(
        'import importlib, os, sys\n'
        'from importlib.machinery import ModuleSpec\n'
        'from types import ModuleType\n'
        'class Compiled(ModuleType):\n'
        '    def __getattr__(self, name):\n'
        '        if name.startswith("__"):\n'
        '            raise AttributeError(name)\n'
        '        return None\n'
        'import mmcv\n'
        'mmcv._ext = sys.modules["mmcv._ext"] = Compiled("mmcv._ext")\n'
        'mmcv._ext.__spec__ = ModuleSpec("mmcv._ext", None, origin="here")\n'
        f'for toolbox in {toolboxes}:\n'
        '    models = importlib.import_module(toolbox + ".registry").MODELS\n'
        '    sys.stdout.flush()\n'
        '    child = os.fork()\n'
        '    if child == 0:\n'
        '        assert "mmghost" not in sys.modules\n'
        '        model = models.build(dict(type="mmghost.GhostNetV2"))\n'
        '        print("\\n>", toolbox, type(model).__module__, flush=True)\n'
        '        os._exit(0)\n'
        '    os.waitpid(child, 0)\n'
    )
    assert lines == [f' {toolbox} mmghost.models.ghostnet' for toolbox in toolboxes]


def test_importing_needs_nothing_but_torch_mmengine_and_mmcv():
    """Each other package that the stacks have raises ImportError if it is touched."""
    lines = run(
        'import sys\n'
        'from importlib.machinery import ModuleSpec\n'
        'class Refuse:\n'
        '    names = ("mmdet", "mmseg", "mmpretrain", "timm", "torchvision", "onnx",\n'
        '             "onnxruntime", "pycocotools", "scipy", "pandas", "sklearn")\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        if name.split(".")[0] in self.names:\n'
        '            return ModuleSpec(name, self)\n'  # torch asks where they are
        '    def create_module(self, spec):\n'
        '        raise ImportError(f"{spec.name} is not here")\n'
        '    def exec_module(self, module):\n'
        '        raise AssertionError(module)\n'
        'sys.meta_path.insert(0, Refuse())\n'
        'import torch, mmghost\n'
        'from mmengine.registry import MODELS\n'
        'model = MODELS.build(dict(type="GhostNetV2"))\n'
        'print(">", len(model(torch.rand(2, 3, 64, 64))))\n'
    )
    assert lines == [' 4']


def test_every_registry_holds_something_that_its_parent_holds_too(toolboxes):
    own = {
        name: one for name, one in vars(registry).items() if isinstance(one, Registry)
    }
    assert own
    for name, one in own.items():
        one.import_from_location()
        assert one.module_dict, f'{name} is empty'
        for key, cls in one.module_dict.items():
            assert one.parent.module_dict[key] is cls
