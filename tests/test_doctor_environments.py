"""The doctor in environments that are broken in one way each, from start to exit code.

An environment is a folder of small packages in the place of the real ones, with the
metadata that pip writes and as much behaviour as the doctor tries out; a Python that has
nothing else examines it by ``tools/doctor.py``.
"""

import json
import os
import re
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

TORCH = """
__version__ = '{version}'
class Tensor:
    def numpy(self): return [1.0, 1.0]
    def repeat(self, *sizes): return self
    def tolist(self): return [0]
def ones(*sizes, **more): return Tensor()
def tensor(values): return Tensor()
def get_num_threads(): return 1
class version: cuda = {cuda!r}
class cuda:
    is_available = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 0)
"""
TORCHVISION = """
import torch
class ops: nms = staticmethod(lambda *arguments: torch.Tensor())
"""
REGISTRY = """
class MODELS: get = staticmethod(lambda name: {found})
"""
MMGHOST = """
import sys, types
sys.modules['mmcv._ext'] = types.ModuleType('mmcv._ext')
"""
VERSIONS = {
    'onedl': {
        'torch': '2.14.1', 'torchvision': '0.29.1', 'numpy': '2.2.6', 'timm': '1.0.31',
        'mmghost': '0.1.0', 'opencv-python': '4.12.0.88', 'setuptools': '80.10.2',
        'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1', 'onedl-mmsegmentation': '1.4.2',
        'onedl-mmpretrain': '1.3.6',
    },
    'openmmlab': {
        'torch': '2.1.2', 'torchvision': '0.16.2', 'numpy': '1.26.4', 'timm': '1.0.31',
        'mmghost': '0.1.0', 'opencv-python': '4.11.0.86', 'setuptools': '80.10.2',
        'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'mmdet': '3.3.0',
        'mmsegmentation': '1.2.2', 'mmpretrain': '1.2.0',
    },
}  # fmt: skip
MODULES = {
    'onedl-mmengine': 'mmengine', 'onedl-mmcv': 'mmcv', 'mmcv-lite': 'mmcv',
    'onedl-mmdetection': 'mmdet', 'onedl-mmsegmentation': 'mmseg',
    'mmsegmentation': 'mmseg', 'onedl-mmpretrain': 'mmpretrain',
    'opencv-python': 'cv2',
}  # fmt: skip


class Environment:
    """Packages in a folder that Python is told to look into.

    Args:
        folder: Where they go.
        stack: Which family they are of.
    """

    def __init__(self, folder: Path, stack: str = 'onedl') -> None:
        self.site = folder / 'site'
        self.bin = folder / 'bin'
        self.variables: dict[str, str] = {}
        self.bin.mkdir(parents=True)
        for name, version in VERSIONS[stack].items():
            self.distribution(name, version)
            module = MODULES.get(name, name)
            self.module(module, f'__version__ = {version!r}')
            if module.startswith('mm'):
                self.module(f'{module}.registry', REGISTRY.format(found='object'))
        self.module('torch', TORCH.format(version=VERSIONS[stack]['torch'], cuda=None))
        self.module('torchvision', TORCHVISION)
        self.module('mmghost', MMGHOST)

    def distribution(self, name: str, version: str, site: Path | None = None) -> Path:
        """Write down that a distribution is installed."""
        info = (site or self.site) / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        )
        return info

    def module(self, name: str, text: str) -> None:
        """Write a module; of a package, its ``__init__``."""
        *parents, last = name.split('.')
        if parents:
            (self.site.joinpath(*parents) / f'{last}.py').write_text(text)
            return
        (self.site / name).mkdir(exist_ok=True)
        (self.site / name / '__init__.py').write_text(text)

    def remove(self, name: str) -> None:
        """Remove a distribution with its files."""
        (info,) = self.site.glob(f'{name.replace("-", "_")}-[0-9]*.dist-info')
        shutil.rmtree(info)
        shutil.rmtree(self.site / MODULES.get(name, name))

    def fails(self, name: str, error: str) -> None:
        """Let the import of a module fail."""
        self.module(name, f'raise {error}')

    def command(self, name: str, output: str) -> None:
        """Put a command on the path that prints something."""
        (self.bin / name).write_text(f'#!/bin/sh\ncat <<END\n{output}\nEND\n')
        (self.bin / name).chmod(0o755)

    def gpu(self, cuda: str, build: str | None, more: str = '') -> None:
        """Put a GPU in, with a driver for ``cuda`` and a torch built for ``build``."""
        told = f'GPU 0: NVIDIA H200 (UUID: GPU-1)\n| CUDA Version: {cuda} |'
        self.command('nvidia-smi', told)
        text = TORCH.format(version=VERSIONS['onedl']['torch'], cuda=build)
        self.module('torch', text + more)


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory) -> Path:
    """A Python in which nothing is installed."""
    folder = tmp_path_factory.mktemp('bare')
    venv.create(folder, with_pip=False)
    return folder / 'bin' / 'python'


def doctor(environment: Environment, python: Path, root: Path, *flags: str):
    """Run the doctor in an environment."""
    path = f'{environment.bin}{os.pathsep}/usr/bin{os.pathsep}/bin'
    return subprocess.run(
        [python, root / 'tools' / 'doctor.py', *flags],
        env={
            'PYTHONPATH': str(environment.site),
            'PATH': path,
            **environment.variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize('stack', VERSIONS)
def test_a_whole_environment_passes_with_status_0(tmp_path, bare_python, root, stack):
    done = doctor(Environment(tmp_path, stack), bare_python, root)
    assert (done.returncode, done.stderr) == (0, ''), done.stdout
    assert done.stdout.rstrip().endswith('No problem found.')
    assert re.search(rf'^stack +{stack}$', done.stdout, re.MULTILINE)
    assert re.search('^mmcv operators +stand-ins', done.stdout, re.MULTILINE)
    everywhere = 'mmengine, mmdet, mmseg, mmpretrain, mmghost'
    assert re.search(rf'^GhostNetV2 in +{everywhere}$', done.stdout, re.MULTILINE)
    for name, version in VERSIONS[stack].items():
        assert re.search(rf'{re.escape(version)}( \({name}\))?$', done.stdout, re.M), (
            name
        )


class Break(NamedTuple):
    """One way in which an environment is broken.

    Args:
        name: For the person who reads the tests' names.
        how: Breaks an environment.
        told: What the doctor says, a regular expression.
        mend: The command that it names, a regular expression for its whole.
        stack: In which stack.
    """

    name: str
    how: Callable[[Environment], object]
    told: str
    mend: str
    stack: str = 'onedl'


def doubled_folder(env: Environment) -> None:
    other = env.site.parent / 'second'
    env.distribution('torch', '2.1.2', other)
    env.variables['PYTHONPATH'] = f'{env.site}{os.pathsep}{other}'


PIP = 'python -m pip '
NO_CUDA_LIBRARY = "OSError('libcudart.so.13: cannot open shared object file')"
DRIVER_TOO_OLD = """
import warnings
def old():
    warnings.warn('The NVIDIA driver on your system is too old')
    return False
cuda.is_available = staticmethod(old)
"""
NO_KERNEL = """
cuda.is_available = staticmethod(lambda: True)
cuda.get_device_name = staticmethod(lambda number: 'NVIDIA H200')
def ones(*sizes, device=None):
    if device == 'cuda':
        raise RuntimeError('CUDA error: no kernel image is available for execution')
    return Tensor()
"""
BREAKS = [
    Break(
        'two families',
        lambda env: env.distribution('mmdet', '3.3.0'),
        'onedl-mmengine.* and mmdet are of two families',
        rf"{PIP}uninstall -y onedl-mmengine .* mmdet && {PIP}install -e '\.\[onedl\]'",
    ),
    Break(
        'mmcv beside mmcv-lite',
        lambda env: env.distribution('mmcv', '2.1.0'),
        'mmcv and mmcv-lite are both installed',
        f'{PIP}uninstall -y mmcv mmcv-lite && {PIP}install mmcv==2.1.0',
        'openmmlab',
    ),
    Break(
        'no torch',
        lambda env: env.remove('torch'),
        'torch is not installed',
        f'{PIP}install torch',
    ),
    Break(
        'no mmcv',
        lambda env: env.remove('mmcv-lite'),
        'mmcv-lite is not installed',
        f'{PIP}install mmcv-lite',
        'openmmlab',
    ),
    Break(
        'no toolbox',
        lambda env: [
            env.remove(f'onedl-mm{name}')
            for name in ('detection', 'segmentation', 'pretrain')
        ],
        'neither mmdet nor mmseg nor mmpretrain',
        rf"{PIP}install -e '\.\[onedl\]'",
    ),
    Break(
        'mmghost not installed',
        lambda env: env.remove('mmghost'),
        'mmghost is not installed',
        rf'{PIP}install -e \.',
    ),
    Break(
        'the clone of mmghost has moved',
        lambda env: shutil.rmtree(env.site / 'mmghost'),
        "mmghost: ModuleNotFoundError: No module named 'mmghost'",
        rf'{PIP}install --no-deps -e \.',
    ),
    Break(
        "another torch's torchvision",
        lambda env: env.fails(
            'torchvision', "RuntimeError('operator torchvision::nms does not exist')"
        ),
        'torchvision: .*nms does not exist',
        f'{PIP}uninstall -y torchvision && {PIP}install torch==2.14.1 torchvision',
    ),
    Break(
        'torchvision that computes nonsense',
        lambda env: env.module(
            'torchvision',
            'class Kept: tolist = staticmethod(lambda: [0, 1])\n'
            'class ops: nms = staticmethod(lambda *arguments: Kept)',
        ),
        r'torchvision\.ops\.nms kept \[0, 1\] instead of \[0\]',
        f'{PIP}uninstall -y torchvision && {PIP}install torch==2.14.1 torchvision',
    ),
    Break(
        'CUDA libraries gone',
        lambda env: env.fails('torch', NO_CUDA_LIBRARY),
        'torch: OSError: libcudart',
        f'{PIP}uninstall -y torch torchvision && {PIP}install torch==2.14.1 torchvision',
    ),
    Break(
        'torch that kills the process',
        lambda env: env.module('torch', 'import os; os.abort()'),
        'torch: the process died with code -6',
        f'{PIP}uninstall -y torch torchvision && {PIP}install torch==2.14.1 torchvision',
    ),
    Break(
        'numpy 2 under torch 2.1',
        lambda env: env.module(
            'torch',
            TORCH.format(version='2.1.2', cuda=None).replace(
                'return [1.0, 1.0]', "raise RuntimeError('Numpy is not available')"
            ),
        ),
        'torch: RuntimeError: Numpy is not available',
        f"{PIP}install 'numpy<2'",
        'openmmlab',
    ),
    Break(
        'setuptools without pkg_resources',
        lambda env: env.module('mmengine', 'import pkg_resources'),
        "No module named 'pkg_resources'",
        f"{PIP}install 'setuptools<81'",
        'openmmlab',
    ),
    Break(
        'mmcv too new for mmdet',
        lambda env: env.fails(
            'mmdet', "AssertionError('MMCV==2.2.0 is used but incompatible.')"
        ),
        'mmdet: AssertionError: MMCV==2.2.0',
        f"{PIP}install 'mmcv-lite>=2.1,<2.2'",
        'openmmlab',
    ),
    Break(
        'mmcv compiled for another torch',
        lambda env: [
            env.remove('mmcv-lite'),
            env.distribution('mmcv', '2.1.0'),
            env.module('mmcv', "__version__ = '2.1.0'"),
            env.module('mmcv.registry', REGISTRY.format(found='object')),
            env.module('mmcv._ext', "raise ImportError('undefined symbol: _ZN2at4')"),
        ],
        'mmcv_ops: ImportError: undefined symbol',
        f'{PIP}uninstall -y mmcv && {PIP}install mmcv-lite==2.1.0',
        'openmmlab',
    ),
    Break(
        'mmseg without ftfy',
        lambda env: env.module('mmseg', 'import ftfy'),
        "mmseg: ModuleNotFoundError: No module named 'ftfy'",
        f'{PIP}install ftfy',
        'openmmlab',
    ),
    Break(
        'OpenCV without a display library',
        lambda env: env.fails(
            'mmcv', "ImportError('libGL.so.1: cannot open shared object')"
        ),
        'mmcv: ImportError: libGL',
        f'{PIP}uninstall -y opencv-python opencv-contrib-python && {PIP}install '
        '--force-reinstall --no-deps opencv-python-headless',
    ),
    Break(
        'two different OpenCVs',
        lambda env: env.distribution('opencv-python-headless', '4.5.5.64'),
        'opencv-python 4.12.0.88 and opencv-python-headless 4.5.5.64 write the same',
        f'{PIP}uninstall -y opencv-python opencv-python-headless && '
        f'{PIP}install opencv-python==4.12.0.88',
    ),
    Break(
        'pycocotools made for another numpy',
        lambda env: env.fails(
            'mmdet', "ValueError('numpy.dtype size changed, may indicate binary')"
        ),
        'mmdet: ValueError: numpy.dtype size changed',
        f'{PIP}install --force-reinstall --no-cache-dir pycocotools',
    ),
    Break(
        'an interrupted pip',
        lambda env: (env.site / '~orch').mkdir(),
        'an interrupted installation has left ~orch in ',
        r'rm -r \S*/site/~orch\S?',
    ),
    Break(
        'the same package twice',
        doubled_folder,
        r'torch is installed twice: 2\.14\.1 in \S+/site/? and 2\.1\.2 in \S+/second',
        f'{PIP}uninstall -y torch && {PIP}install torch==2.14.1',
    ),
    Break(
        'files written over',
        lambda env: env.module('mmdet', "__version__ = '3.3.0'"),
        'the files of mmdet are of version 3.3.0, installed is onedl-mmdetection 3.5.1',
        f'{PIP}install --force-reinstall --no-deps onedl-mmdetection==3.5.1',
    ),
    Break(
        'the first generation',
        lambda env: env.distribution('mmcv-full', '1.7.2'),
        "mmcv-full 1.7.2: OpenMMLab's first generation",
        rf"{PIP}uninstall -y mmcv-full && {PIP}install -e '\.\[openmmlab\]'",
        'openmmlab',
    ),
    Break(
        'mmengine that cannot resume',
        lambda env: [
            env.remove('torch'),
            env.distribution('torch', '2.6.0'),
            env.module('torch', TORCH.format(version='2.6.0', cuda=None)),
        ],
        'mmengine 0.10.7 cannot resume its own checkpoints on torch 2.6.0',
        f"{PIP}install 'torch<2.6' torchvision",
        'openmmlab',
    ),
    Break(
        'operators asked for that are not there',
        lambda env: env.fails(
            'mmghost', "ImportError('MMGHOST_MMCV_OPS=native asks for operators')"
        ),
        'mmghost: ImportError: MMGHOST_MMCV_OPS=native',
        'unset MMGHOST_MMCV_OPS',
    ),
    Break(
        'a registry without GhostNetV2',
        lambda env: env.module('mmseg.registry', REGISTRY.format(found='None')),
        'registries: LookupError: GhostNetV2 is not in the registry of mmseg',
        rf'{PIP}install --no-deps -e \.',
    ),
    Break(
        'a GPU, and torch for CPUs',
        lambda env: env.gpu('13.0', None),
        'there is NVIDIA H200, but torch 2.14.1 is a build for CPUs',
        f'{PIP}uninstall -y torch torchvision && {PIP}install torch==2.14.1 torchvision',
    ),
    Break(
        'a driver older than torch',
        lambda env: env.gpu('12.4', '13.0', DRIVER_TOO_OLD),
        'driver is for CUDA 12.4, but torch 2.14.1 is built for CUDA 13.0',
        f"{PIP}install 'torch<2.10' torchvision",
    ),
    Break(
        'a driver that no torch of today has',
        lambda env: env.gpu('11.4', '13.0', DRIVER_TOO_OLD),
        'driver is for CUDA 11.4',
        'install an NVIDIA driver for CUDA 13.0',
    ),
    Break(
        'a GPU that torch does not get',
        lambda env: env.gpu('13.0', '13.0', DRIVER_TOO_OLD),
        'cannot use it: The NVIDIA driver on your system is too old',
        r'python -c "import torch; torch\.zeros\(1\)\.cuda\(\)"  # and nvidia-smi',
    ),
    Break(
        'a GPU newer than torch',
        lambda env: env.gpu('13.0', '13.0', NO_KERNEL),
        'torch: RuntimeError: CUDA error: no kernel image is available',
        f'{PIP}install --upgrade torch torchvision',
    ),
]


@pytest.mark.parametrize('broken', BREAKS, ids=lambda broken: broken.name)
def test_a_break_is_told_once_with_what_mends_it_and_status_1(
    tmp_path, bare_python, root, broken
):
    environment = Environment(tmp_path, broken.stack)
    broken.how(environment)
    done = doctor(environment, bare_python, root)
    assert (done.returncode, done.stderr) == (1, ''), done.stdout
    told = re.findall('^PROBLEM  (.*)$', done.stdout, re.MULTILINE)
    mends = re.findall('^mend it  (.*)$', done.stdout, re.MULTILINE)
    assert len(told) == len(mends) == 1, done.stdout
    assert re.search(broken.told, told[0]), told[0]
    assert re.fullmatch(broken.mend, mends[0]), mends[0]


def test_the_same_is_there_as_data(tmp_path, bare_python, root):
    environment = Environment(tmp_path)
    environment.remove('torchvision')
    done = doctor(environment, bare_python, root, '--json')
    assert done.returncode == 1
    data = json.loads(done.stdout)
    assert data['ok'] is False
    assert [p['what'] for p in data['problems']] == ['torchvision is not installed']
    assert data['versions']['opencv'] == '4.12.0.88 (opencv-python)'


def test_a_gpu_that_is_hidden_on_purpose_is_no_problem(tmp_path, bare_python, root):
    environment = Environment(tmp_path)
    environment.gpu('13.0', '13.0')
    environment.variables['CUDA_VISIBLE_DEVICES'] = ''
    done = doctor(environment, bare_python, root)
    assert done.returncode == 0, done.stdout
    assert 'there is NVIDIA H200, which CUDA_VISIBLE_DEVICES hides' in done.stdout


def test_a_wrong_flag_ends_with_status_2(tmp_path, bare_python, root):
    done = doctor(Environment(tmp_path), bare_python, root, '--jsn')
    assert done.returncode == 2
    assert '--json' in done.stderr
